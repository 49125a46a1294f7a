package sim

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// softHSMConf names the file that tells SoftHSM where its tokens are.
const softHSMConf = "SOFTHSM2_CONF"

// SoftHSMToken is a token of SoftHSM in a folder of its own.
type SoftHSMToken struct {
	Module string // path of the PKCS#11 module
	Conf   string // path of SoftHSM's configuration
	Label  string
	PIN    string
	URI    string // RFC 7512
}

// Env returns the environment variable that a process needs to see the token.
func (t *SoftHSMToken) Env() string { return softHSMConf + "=" + t.Conf }

// Use makes this process see the token. SoftHSM reads the variable when the
// module is initialised, and a process can have one configuration only: where a
// test needs several tokens, make all of them in one folder, then call Use once,
// in TestMain.
func (t *SoftHSMToken) Use() error { return os.Setenv(softHSMConf, t.Conf) }

// SoftHSM makes a token with a user PIN in a folder, which is created if it is
// missing. Called again with the same folder and another label, it adds a token
// beside the first.
func SoftHSM(dir, label, pin string) (*SoftHSMToken, error) {
	module, err := SoftHSMModule()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	tokens := filepath.Join(dir, "tokens")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", tokens)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	t := &SoftHSMToken{Module: module, Conf: conf, Label: label, PIN: pin, URI: "pkcs11:token=" + url.PathEscape(label)}
	// The PIN is on a command line, where every user of the host can read it. It
	// protects a simulation.
	cmd := exec.Command("softhsm2-util", "--module", module, "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "so-"+pin)
	cmd.Env = append(os.Environ(), t.Env())
	if out, err := cmd.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, errors.New("softhsm2-util is not installed; run `make deps`")
		}
		return nil, fmt.Errorf("make SoftHSM token %q: %w: %s", label, err, strings.TrimSpace(string(out)))
	}
	return t, nil
}

// SoftHSMModule finds SoftHSM's PKCS#11 module.
func SoftHSMModule() (string, error) {
	patterns := []string{
		"/usr/lib/softhsm/libsofthsm2.so",              // Debian
		"/usr/lib/*-linux-gnu*/softhsm/libsofthsm2.so", // Debian, multiarch
		"/usr/lib64/pkcs11/libsofthsm2.so",             // Fedora
		"/usr/lib64/softhsm/libsofthsm.so",
		"/usr/local/lib/softhsm/libsofthsm2.so",
	}
	return find("SoftHSM's module", patterns)
}

// find returns the first file that matches one of the patterns.
func find(what string, patterns []string) (string, error) {
	for _, p := range patterns {
		if files, err := filepath.Glob(p); err == nil && len(files) > 0 {
			return files[0], nil
		}
	}
	return "", fmt.Errorf("%s is not installed (looked for %s); run `make deps`", what, strings.Join(patterns, ", "))
}
