package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// signSSH has ssh-keygen sign: it knows files, agents and FIDO tokens, and asks for a
// passphrase or a PIN itself. What it made is verified here, as the daemon will.
func (a *approver) signSSH(ctx context.Context, s signer.Approval) ([]byte, error) {
	device, typ, err := readSSHKey(a.Device.SSHKey)
	if err != nil {
		return nil, err
	}
	s.Device = device.ID
	if _, err := signer.ParseApproval(s.Canonical()); err != nil { // what nobody could read
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "ssh-keygen", "-Y", "sign", "-n", signer.ApprovalNamespace, "-f", a.Device.SSHKey)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(s.Canonical()), &out, &said
	if strings.HasPrefix(typ, "sk-") {
		a.tell("touch your key now; if it has a PIN, ssh-keygen asks for that first")
	}
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, errors.New("ssh-keygen is not installed; it signs with SSH keys (package openssh-client)")
		}
		return nil, fmt.Errorf("ssh-keygen did not sign with %s: %w: %s", a.Device.SSHKey, err, strings.TrimSpace(said.String()))
	}
	signed, err := approval.WrapSSH(s, out.String())
	if err != nil {
		return nil, err
	}
	me := signer.People{Approvers: []signer.Approver{{Name: approverToken, Devices: []signer.Device{device}}}}
	if _, err := (approval.Verifier{}).Verify(signed, me); err != nil {
		return nil, fmt.Errorf("what ssh-keygen made does not verify: %s", message(err))
	}
	return signed, nil
}

// readSSHKey finds the public half of an SSH key: beside the file, as ssh-keygen keeps it,
// or in the file itself where an agent has the private half.
func readSSHKey(path string) (d signer.Device, typ string, err error) {
	text, err := os.ReadFile(path + ".pub")
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(path, ".pub") {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return d, "", fmt.Errorf("read the public half of your SSH key: %w; ssh-keygen -y -f KEY > KEY.pub makes it", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return d, "", fmt.Errorf("%s.pub is no public SSH key; ssh-keygen -y -f KEY > KEY.pub makes it", path)
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return d, "", fmt.Errorf("%s.pub is no public SSH key: %w", path, err)
	}
	sum := sha256.Sum256(blob)
	// Whether the token has to check its user, the policy says.
	return signer.Device{ID: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), SSH: blob, Unverified: true}, fields[0], nil
}
