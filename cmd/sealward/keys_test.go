package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// TestActsSendWhatTheFlagsSay compares the payloads, byte for byte, with the canonical
// form that docs/formats.md gives.
func TestActsSendWhatTheFlagsSay(t *testing.T) {
	folder := t.TempDir()
	blob := filepath.Join(folder, "blob")
	if err := os.WriteFile(blob, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"create":         {[]string{"create", "hot-2", "--token", "card", "--algorithm", "p256", "--option", "slot=9c", "--option", "touch_policy=always"}, `{"act":"keys.create","algorithm":"p256","name":"hot-2","options":{"slot":"9c","touch_policy":"always"},"token":"card"}`},
		"create RSA":     {[]string{"create", "r", "--token", "hsm", "--algorithm", "rsa", "--bits", "3072"}, `{"act":"keys.create","algorithm":"rsa","bits":3072,"name":"r","token":"hsm"}`},
		"create wrapped": {[]string{"create", "w", "--token", "tpm0", "--algorithm", "secp256k1", "--wrapped"}, `{"act":"keys.create","algorithm":"secp256k1","name":"w","token":"tpm0","wrapped":true}`},
		"an option whose value has an equals sign": {[]string{"create", "w", "--token", "t", "--algorithm", "p256", "--option", "a=b=c"}, `{"act":"keys.create","algorithm":"p256","name":"w","options":{"a":"b=c"},"token":"t"}`},
		"import":                {[]string{"import", "w", "--token", "tpm0", "--in", blob}, `{"act":"keys.import","blob":"aGVsbG8=","name":"w","token":"tpm0"}`},
		"attest":                {[]string{"attest", "hot"}, `{"act":"keys.attest","key":"hot"}`},
		"attest with challenge": {[]string{"attest", "hot", "--challenge", "000102"}, `{"act":"keys.attest","challenge":"AAEC","key":"hot"}`},
		"disable":               {[]string{"disable", "hot", "--reason", "laptop lost"}, `{"act":"keys.disable","key":"hot","reason":"laptop lost"}`},
		"enable":                {[]string{"enable", "hot", "--reason", "found"}, `{"act":"keys.enable","key":"hot","reason":"found"}`},
		"rotate":                {[]string{"rotate", "hot", "--to", "hot-2"}, `{"act":"keys.rotate","key":"hot","successor":"hot-2"}`},
		"duplicate":             {[]string{"duplicate", "hot", "--for", blob, "--out", filepath.Join(folder, "1")}, `{"act":"keys.duplicate","key":"hot","target":"aGVsbG8="}`},
		"duplicate to a test":   {[]string{"duplicate", "hot", "--for", blob, "--out", filepath.Join(folder, "2"), "--accept-test-tpm", "ci", "--fingerprint", "sha256:ab"}, `{"act":"keys.duplicate","key":"hot","target":"aGVsbG8=","test_exception":"ci sha256:ab"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := operated()
			code, _, stderr := sealward("", append([]string{"--sockets", f.serve(t), "keys"}, append(c.args, "--id", "mine")...)...)
			if code != exitOK || len(f.signed) != 1 {
				t.Fatalf("exit code %d, asked %d times: %s", code, len(f.signed), stderr)
			}
			r := f.signed[0].GetRequest()
			if string(r.GetPayload()) != c.want || r.GetKey() != "sealward" || r.GetKind() != "sealward.admin" || r.GetId() != "mine" {
				t.Errorf("asked %v\nwant the payload %s", r, c.want)
			}
		})
	}
}

func TestActsThatCannotBeMeantAskNothing(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"create without a token":               {[]string{"create", "w", "--algorithm", "p256"}, exitUsage, "--token is missing"},
		"create without an algorithm":          {[]string{"create", "w", "--token", "t"}, exitUsage, "--algorithm is missing"},
		"create with an odd algorithm":         {[]string{"create", "w", "--token", "t", "--algorithm", "p257"}, exitInvalid, "want secp256k1"},
		"create RSA of no size":                {[]string{"create", "w", "--token", "t", "--algorithm", "rsa"}, exitInvalid, "want 2048"},
		"create with half an option":           {[]string{"create", "w", "--token", "t", "--algorithm", "p256", "--option", "slot"}, exitUsage, `--option "slot": want NAME=VALUE`},
		"create with an option twice":          {[]string{"create", "w", "--token", "t", "--algorithm", "p256", "--option", "slot=9a", "--option", "slot=9c"}, exitUsage, "--option slot is there twice"},
		"create of a name that is none":        {[]string{"create", "../w", "--token", "t", "--algorithm", "p256"}, exitInvalid, "a name is made of"},
		"create of two names":                  {[]string{"create", "a", "b", "--token", "t", "--algorithm", "p256"}, exitUsage, "want the NAME of the key, got 2 arguments"},
		"import of nothing":                    {[]string{"import", "w", "--token", "t"}, exitUsage, "--in is missing"},
		"import of a file that is not there":   {[]string{"import", "w", "--token", "t", "--in", "/nowhere"}, exitGeneral, "/nowhere"},
		"attest with a challenge of no digits": {[]string{"attest", "hot", "--challenge", "xy"}, exitUsage, "want up to 32 bytes in hexadecimal"},
		"attest with a long challenge":         {[]string{"attest", "hot", "--challenge", strings.Repeat("00", 33)}, exitUsage, "want up to 32 bytes in hexadecimal"},
		"disable without a reason":             {[]string{"disable", "hot"}, exitUsage, "--reason is missing"},
		"enable without a reason":              {[]string{"enable", "hot"}, exitUsage, "--reason is missing"},
		"rotate to nothing":                    {[]string{"rotate", "hot"}, exitUsage, "--to is missing"},
		"duplicate to nobody":                  {[]string{"duplicate", "hot", "--out", "x"}, exitUsage, "--for is missing"},
		"duplicate to nowhere":                 {[]string{"duplicate", "hot", "--for", "x"}, exitUsage, "--out is missing"},
		"duplicate with half an exception":     {[]string{"duplicate", "hot", "--for", "x", "--out", "y", "--accept-test-tpm", "ci"}, exitUsage, "go together"},
		"target of no token":                   {[]string{"target"}, exitUsage, "--token is missing"},
		"reseal with half a value":             {[]string{"reseal", "hot", "--pcr", "0"}, exitUsage, `--pcr "0": want N=HEX`},
		"reseal with a value twice":            {[]string{"reseal", "hot", "--pcr", "0=aa", "--pcr", "0=bb"}, exitUsage, "once for each N"},
		"reseal without a signature":           {[]string{"reseal", "hot", "--out", "x"}, exitUsage, "needs the --signature"},
		"reseal to nowhere":                    {[]string{"reseal", "hot", "--signature", "x"}, exitUsage, "--out is missing"},
		"reseal with no signature in the file": {[]string{"reseal", "hot", "--signature", "/nowhere", "--out", "x"}, exitGeneral, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			f := operated()
			code, stdout, stderr := sealward("", append([]string{"--sockets", f.serve(t), "keys"}, c.args...)...)
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q, %q; want %d and %q", code, stdout, stderr, c.code, c.want)
			}
			if len(f.signed) != 0 || f.resealed != nil {
				t.Errorf("asked %v, %v", f.signed, f.resealed)
			}
		})
	}
}

func mode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm().String()
}

func TestAKeyFileIsWrittenBeforeItIsClaimed(t *testing.T) {
	f := operated()
	dir := f.serve(t)
	path := filepath.Join(t.TempDir(), "hot-2.tpm")
	create := []string{"--sockets", dir, "keys", "create", "hot-2", "--token", "tpm0", "--algorithm", "p256", "--out", path}

	code, stdout, stderr := sealward("", create...)
	if code != exitOK || !regexp.MustCompile(`(?m)^key file +`+regexp.QuoteMeta(path)+`$`).MatchString(stdout) || strings.Contains(stdout, "TSS2") || !strings.Contains(stdout, "\nkey \"hot-2\" {\n") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != keyFile || mode(t, path) != "-rw-r--r--" {
		t.Errorf("%s has %q, %v, mode %s", path, b, err, mode(t, path))
	}

	if code, stdout, stderr := sealward("", create...); code != exitGeneral || stdout != "" || !strings.Contains(stderr, "file exists") || len(f.signed) != 1 {
		t.Errorf("a file that is there: exit code %d, asked %d times:\n%s%s", code, len(f.signed), stdout, stderr)
	}

	// Without a place for it the key file is shown, and said to be needed.
	if code, stdout, stderr := sealward("", create[:len(create)-2]...); code != exitOK || !strings.Contains(stdout, keyFile) || !strings.Contains(stderr, "without it the key is lost") {
		t.Errorf("without --out: exit code %d:\n%s%s", code, stdout, stderr)
	}
	// A program gets all of it, and the file too.
	path += "2"
	code, stdout, _ = sealward("", append([]string{"-o", "json"}, append(create[:len(create)-1], path)...)...)
	var result struct {
		KeyFile string `json:"key_file"`
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != exitOK || result.KeyFile != keyFile {
		t.Errorf("as JSON: exit code %d, %v:\n%s", code, err, stdout)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != keyFile {
		t.Errorf("%s has %q, %v", path, b, err)
	}
}

// A duplicate opens with the other host's TPM alone, which others there may use.
func TestADuplicateIsForNobodyElseToRead(t *testing.T) {
	f := operated()
	folder := t.TempDir()
	target, out := filepath.Join(folder, "target"), filepath.Join(folder, "blob")
	if err := os.WriteFile(target, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.result = `{"key":"hot","facts":[{"Name":"TPM model","Value":"SLB 9672"}],"key_file":"a key\nfile\n"}`
	code, stdout, stderr := sealward("", "--sockets", f.serve(t), "keys", "duplicate", "hot", "--for", target, "--out", out)
	if code != exitOK || !regexp.MustCompile(`(?m)^TPM model +SLB 9672$`).MatchString(stdout) || mode(t, out) != "-rw-------" {
		t.Errorf("exit code %d, mode %s:\n%s%s", code, mode(t, out), stdout, stderr)
	}
}

func TestAKeyFileThatCannotBeWrittenIsShown(t *testing.T) {
	var stdout, stderr strings.Builder
	c := &cli{stdout: &stdout, stderr: &stderr, output: outputText}
	path := filepath.Join(t.TempDir(), "key")
	file, err := createFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	_ = file.f.Close() // so that writing to it fails
	err = c.acted(&act{id: "mine", out: path}, file, []byte(operated().result))
	if err == nil || !strings.Contains(err.Error(), "request mine shows it again") || !strings.Contains(stdout.String(), keyFile) {
		t.Errorf("%v:\n%s", err, &stdout)
	}
	file.abandon()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("half a key file is left behind: %v", err)
	}

	stdout.Reset()
	file, err = createFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.acted(&act{out: path}, file, []byte(`{"key":"hot"}`)); err == nil || !strings.Contains(err.Error(), "no key file in the result") || !strings.Contains(stdout.String(), "hot") {
		t.Errorf("%v:\n%s", err, &stdout)
	}
	file.abandon()
	for name, text := range map[string]string{"no JSON": "x", "no object": "[]", "an object that is cut off": `{"key":`} {
		if err := c.acted(&act{}, nil, []byte(text)); err == nil {
			t.Errorf("%s was taken for a result", name)
		}
	}
}

func TestResultsAreShown(t *testing.T) {
	for name, c := range map[string]struct {
		result string
		want   []string
	}{
		"a proof": {`{"key":"hot","evidence":{"format":"piv-attestation","parts":{"x":"AA=="},"proven":[{"Name":"touch","Value":"always"}],"claimed":[{"Name":"pin","Value":"once"}]}}`,
			[]string{`(?m)^evidence +piv-attestation$`, `(?m)^proven: touch +always$`, `(?m)^claimed: pin +once$`}},
		"a rotation":                 {`{"statement":"sealward.dev/rotation/v1\n{}","signature":"0a","scheme":"ed25519"}`, []string{`(?m)^signature +0a$`, `(?m)^sealward\.dev/rotation/v1\n\{\}$`}},
		"what a newer daemon has":    {`{"number":7,"list":[1,2],"made":true}`, []string{`(?m)^number +7$`, `(?m)^list +\[1,2\]$`, `(?m)^made +true$`}},
		"a text that moves a cursor": {`{"note":"a\u001b[2Jb"}`, []string{`a\\u\{1b\}\[2Jb`}},
		"lines that do":              {`{"statement":"a\n\u001b[2Jb"}`, []string{`(?m)^a\n\\u\{1b\}\[2Jb$`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := operated()
			f.result = c.result
			code, stdout, stderr := sealward("", "--sockets", f.serve(t), "keys", "attest", "hot")
			for _, want := range c.want {
				if code != exitOK || !regexp.MustCompile(want).MatchString(stdout) {
					t.Errorf("exit code %d, no %s in:\n%s%s", code, want, stdout, stderr)
				}
			}
		})
	}
}

// A device that waits for a finger says so on standard error, each time, and to
// programs too; the answer is not disturbed.
func TestSomebodyIsToldToTouch(t *testing.T) {
	const once = "touch your key now\n"
	for name, c := range map[string]struct {
		args   []string
		states []string
		want   int
	}{
		"for a signature":             {[]string{"sign", "--key", "hot", "--kind", "evm.message", "-"}, []string{"unknown", "running", "touch", "running"}, 1},
		"for a signature with two":    {[]string{"sign", "--key", "hot", "--kind", "evm.message", "-"}, []string{"touch", "running", "touch"}, 2},
		"when the wait is renewed":    {[]string{"sign", "--key", "hot", "--kind", "evm.message", "-"}, []string{"touch", "touch", "touch"}, 1},
		"not when nothing is waited":  {[]string{"sign", "--key", "hot", "--kind", "evm.message", "-"}, []string{"running"}, 0},
		"for an act":                  {[]string{"keys", "rotate", "hot", "--to", "hot-2"}, []string{"running", "touch"}, 1},
		"not when it was signed long": {[]string{"sign", "--key", "hot", "--kind", "evm.message", "-"}, []string{"done", "answer"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, output := range []string{outputText, outputJSON} {
				f := operated()
				f.states, f.seen = slices.Concat(c.states, []string{"answer"}), make(chan struct{})
				if slices.Contains(c.states, "done") {
					f.seen = nil // who watches has gone
				}
				code, stdout, stderr := sealward("x", append([]string{"-o", output, "--sockets", f.serve(t)}, c.args...)...)
				line := once
				if output == outputJSON {
					line = `{"notice":"touch","request_id":"` + f.signed[0].GetRequest().GetId() + `"}` + "\n"
				}
				if n := strings.Count(stderr, line); code != exitOK || n != c.want || strings.Contains(stdout, "touch your") {
					t.Errorf("exit code %d, told %d times, want %d:\n%s%s", code, n, c.want, stdout, stderr)
				}
			}
		})
	}
}

func TestRequestWatchShowsStatesUntilItIsDone(t *testing.T) {
	for _, args := range [][]string{{"request", "watch", "r1"}, {"request", "watch", "--caller", "uid:1000", "r1"}} {
		f := operated()
		f.states = []string{"running", "touch", "touch", "running", "done"}
		if code, stdout, stderr := sealward("", append([]string{"--sockets", f.serve(t)}, args...)...); code != exitOK || stdout != "running\ntouch\nrunning\ndone\n" {
			t.Errorf("exit code %d: %q, %s", code, stdout, stderr)
		}
	}
}

func TestKeysAreShownWithWhereTheyAreAndWere(t *testing.T) {
	f := operated()
	dir := f.serve(t)
	if code, stdout, _ := sealward("", "--sockets", dir, "keys", "list"); code != exitOK || !regexp.MustCompile(`(?m)^KEY +TOKEN +ALGORITHM +PROTECTION .* DISABLED$\n^hot +tpm0 +secp256k1 +wrapped, imported +.* +laptop lost$`).MatchString(stdout) {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	_, stdout, _ := sealward("", "--sockets", dir, "keys", "show", "hot")
	for _, want := range []string{`disabled +laptop lost`, `protection +wrapped`, `origin +imported`, `token +tpm0`, `touch +needed`, `PCRs +0,7`, `evidence +tpm2-certify`, `proven: fixed to its TPM +no`, `claimed: firmware +7\.2`} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(stdout) {
			t.Errorf("no %s in:\n%s", want, stdout)
		}
	}
	// A caller is told of no token, and sees no column for it.
	f.passport = &v1.GetKeyResponse{Key: hot()}
	if _, stdout, _ := sealward("", "--sockets", dir, "keys", "list"); strings.Contains(stdout, "TOKEN") {
		t.Errorf("a column that is empty:\n%s", stdout)
	}
}

func TestTheResultOfAnActIsShownAgain(t *testing.T) {
	r := &v1.GetRequestResponse{Id: "mine", State: "acted", Kind: string(signer.KindAdmin), Key: signer.AdminKey, Artifact: []byte(operated().result), Intent: payment(), Decision: &v1.Decision{Verdict: "allow"}}
	var b strings.Builder
	if err := showRequest(&b, r, console.Names{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), keyFile) || !regexp.MustCompile(`(?m)^state +done$`).MatchString(b.String()) {
		t.Errorf("shown:\n%s", &b)
	}
}
