package approval

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/strictjson"
)

// document is a signed approval: a JWS alone, or the text of an approval and an SSH
// signature of it. Its fields stand in canonical order.
type document struct {
	Approval string `json:"approval"`
	JWS      string `json:"jws"`
	SSHSig   string `json:"sshsig"`
}

// encode returns canonical JSON (RFC 8785).
func (d document) encode() []byte {
	if d.JWS != "" {
		return []byte(`{"jws":` + quote(d.JWS) + `}`)
	}
	return []byte(`{"approval":` + quote(d.Approval) + `,"sshsig":` + quote(d.SSHSig) + `}`)
}

// quote writes a text in UTF-8 as RFC 8785, 3.2.2.2 has it, which encoding/json does not.
func quote(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch i := strings.IndexByte("\"\\\b\f\n\r\t", c); {
		case i >= 0:
			b = append(b, '\\', `"\bfnrt`[i])
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// WrapJWS returns the signed approval of a JWS in compact serialization.
func WrapJWS(jws string) ([]byte, error) { return wrap(document{JWS: jws}) }

// WrapSSH returns the signed approval of an approval and an SSH signature of its
// canonical form, in armor as ssh-keygen -Y sign writes it, wherever its lines end.
func WrapSSH(a signer.Approval, armored string) ([]byte, error) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(armored), armorBegin)
	inner, ended := strings.CutSuffix(inner, armorEnd)
	if !ok || !ended {
		return nil, fmt.Errorf("approval: the SSH signature is not in armor; give what ssh-keygen -Y sign wrote, from %q to %q", armorBegin, armorEnd)
	}
	blob, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(inner), ""))
	if err != nil {
		return nil, fmt.Errorf("approval: the SSH signature is not base64 between its first and its last line: %w", err)
	}
	return wrap(document{Approval: string(a.Canonical()), SSHSig: armor(blob)})
}

func wrap(d document) ([]byte, error) {
	signed := d.encode()
	_, err := ReadUnverified(signed)
	return signed, err
}

// ReadUnverified reads what a signed approval says, for showing it. Anybody can have made
// it: it checks no signature.
func ReadUnverified(signed []byte) (signer.Approval, error) {
	_, a, err := read(signed)
	return a, err
}

// read takes a signed approval apart.
func read(signed []byte) (document, signer.Approval, error) {
	var d document
	if len(signed) > signer.MaxSignedApproval {
		return d, signer.Approval{}, fmt.Errorf("approval: it has %d bytes; the most is %d", len(signed), signer.MaxSignedApproval)
	}
	if err := strictjson.Unmarshal(signed, &d); err != nil {
		return d, signer.Approval{}, fmt.Errorf("approval: not the JSON of a signed approval: %w", err)
	}
	text := []byte(d.Approval)
	switch {
	case d.JWS != "" && d.Approval == "" && d.SSHSig == "":
		var err error
		if text, err = payload(d.JWS); err != nil {
			return d, signer.Approval{}, err
		}
	case d.JWS == "" && d.Approval != "" && d.SSHSig != "":
	default:
		return d, signer.Approval{}, errors.New(`approval: want either {"jws"} or {"approval","sshsig"}, and nothing else`)
	}
	a, err := signer.ParseApproval(text)
	if err != nil {
		return d, signer.Approval{}, err
	}
	if !bytes.Equal(d.encode(), signed) {
		return d, signer.Approval{}, errors.New("approval: its JSON is not canonical (RFC 8785): no white space, fields in order, shortest escapes; docs/approvals.md shows how to make it")
	}
	return d, a, nil
}

const (
	armorBegin = "-----BEGIN SSH SIGNATURE-----"
	armorEnd   = "-----END SSH SIGNATURE-----"
)

// armor writes an SSH signature as ssh-keygen does, with 70 characters a line
// (PROTOCOL.sshsig leaves the length open).
func armor(blob []byte) string {
	var b strings.Builder
	b.WriteString(armorBegin + "\n")
	for text := base64.StdEncoding.EncodeToString(blob); text != ""; {
		n := min(70, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString(armorEnd + "\n")
	return b.String()
}
