package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// placeholderText is hashed to the public key of an example's approver. Nobody knows a
// private key to it: one would have to be found to a given point.
func placeholderText(file string) string { return "sealward placeholder, not a person: " + file }

// placeholders are the certificates in the examples.
func placeholders(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(examples, "examples/*/approvers/*.pem")
	if err != nil || len(files) == 0 {
		t.Fatalf("the examples have %d certificates, error %v", len(files), err)
	}
	return files
}

// TestNobodyIsAnApproverOfAnExample works the public keys out again, with the curve of the
// standard library.
func TestNobodyIsAnApproverOfAnExample(t *testing.T) {
	if *update {
		writePlaceholders(t)
	}
	for _, file := range placeholders(t) {
		t.Run(file, func(t *testing.T) {
			src, err := examples.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			block, rest := pem.Decode(src)
			if block == nil || len(rest) > 0 {
				t.Fatal("it is not one block of PEM")
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if name := cert.Subject.CommonName; !strings.HasPrefix(name, "placeholder: replace before use") {
				t.Errorf("its subject is %q", name)
			}
			if cert.NotAfter.Year() > 2001 {
				t.Errorf("it is valid until %s", cert.NotAfter)
			}
			key, ok := cert.PublicKey.(*ecdsa.PublicKey)
			if !ok || key.Curve != elliptic.P256() {
				t.Fatalf("its key is a %T", cert.PublicKey)
			}
			point, err := key.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(point, firstPoint(t, placeholderText(path.Base(file)))) {
				t.Error("its key is not the point that its name is hashed to: somebody may have the private key")
			}
		})
	}
}

// firstPoint is what hashedPoint is for P-256.
func firstPoint(t *testing.T, text string) []byte {
	t.Helper()
	for i := range uint32(1000) {
		sum := sha256.Sum256(append(binary.BigEndian.AppendUint32([]byte(text), i), 0, 0, 0, 0))
		if x, y := elliptic.UnmarshalCompressed(elliptic.P256(), append([]byte{2}, sum[:]...)); x != nil {
			return append(append([]byte{4}, x.FillBytes(make([]byte, 32))...), y.FillBytes(make([]byte, 32))...)
		}
	}
	t.Fatal("no point in a thousand")
	return nil
}

// writePlaceholders makes those certificates that are empty files, signed by a key that is
// thrown away. The test finds them after the next build.
func writePlaceholders(t *testing.T) {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range placeholders(t) {
		if info, err := os.Stat(file); err != nil || info.Size() > 0 {
			continue
		}
		person := strings.TrimSuffix(path.Base(file), ".pem")
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), hashedPoint(nist(elliptic.P256()), placeholderText(path.Base(file))))
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "placeholder: replace before use (" + person + ")"},
			NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC),
		}, &x509.Certificate{Subject: pkix.Name{CommonName: "key of nobody, thrown away"}}, key, ca)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheNextRuleOfTheManualComesOutAsItSays does what the page tells somebody who writes
// the treasury example's next rule: it runs each command, and writes each text to the end
// of the file that it is for.
func TestTheNextRuleOfTheManualComesOutAsItSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Your next rule, step by step\n")
	section, _, _ = strings.Cut(section, "\n## ")
	t.Chdir(t.TempDir())
	var codes []int
	var stdout, stderr string
	for _, step := range regexp.MustCompile("(?m)^    sealward (.+)$|^```(hcl|text) ?(.*)\n((?s:.*?))^```$").FindAllStringSubmatch(section, -1) {
		command, kind, file, text := step[1], step[2], step[3], step[4]
		switch kind {
		case "":
			var code int
			code, stdout, stderr = sealward("", strings.Fields(command)...)
			codes = append(codes, code)
			t.Logf("sealward %s: exit code %d\n%s%s", command, code, stdout, stderr)
		case "text":
			for line := range strings.Lines(text) {
				if !strings.Contains(stdout, line) {
					t.Errorf("it did not print %q", line)
				}
			}
		case "hcl":
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, append(before, "\n"+text...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Both copies, the example as it is, two cases that fail, all as it should be, the difference.
	if want := []int{exitOK, exitOK, exitOK, exitProblems, exitOK, exitProblems}; !slices.Equal(codes, want) {
		t.Errorf("exit codes %d, want %d", codes, want)
	}
}
