package pkcs11

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Settings describe a token. Module and URI are required.
type Settings struct {
	Module string `json:"module"` // absolute path of the PKCS#11 module
	// ModuleSHA256 is the digest that the module must have, in hexadecimal; empty
	// accepts any. It is compared right before each loading. Whether the file can
	// be changed by others is for the owner of the worker to check.
	ModuleSHA256 string `json:"module_sha256,omitempty"`
	// URI is RFC 7512's, and must give the token's label or serial number.
	URI string `json:"uri"`
	// Sessions bounds how many things the token does at once, 8 by default. One more
	// session holds the login, and one is opened to make a key.
	Sessions int `json:"sessions,omitempty"`
}

const defaultSessions, mostSessions = 8, 1024

// parseSettings reads settings, and refuses what they do not have.
func parseSettings(data json.RawMessage) (Settings, URI, error) {
	s := Settings{Sessions: defaultSessions}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return Settings{}, URI{}, fmt.Errorf("settings: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, URI{}, errors.New("settings: something follows them")
	}
	uri, err := ParseURI(s.URI)
	switch {
	case err != nil:
		return Settings{}, URI{}, err
	case !filepath.IsAbs(s.Module):
		return Settings{}, URI{}, fmt.Errorf("module %q: want an absolute path", s.Module)
	case uri.Token == "" && uri.Serial == "":
		return Settings{}, URI{}, fmt.Errorf("%s: name the token by its label (token=) or serial number (serial=)", uri)
	case uri.Object != "" || uri.ID != "" || uri.Type != "":
		return Settings{}, URI{}, fmt.Errorf("%s: this names a key; the token's URI has no object, id or type", uri)
	case s.Sessions < 1 || s.Sessions > mostSessions:
		return Settings{}, URI{}, fmt.Errorf("%d sessions: want 1 to %d", s.Sessions, mostSessions)
	}
	return s, uri, nil
}
