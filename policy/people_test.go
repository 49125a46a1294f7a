package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sealward/sealward/signer"
)

// manyPeople have devices of every sort, roles, and groups of both sorts.
const manyPeople = assetsText + `attestation {
  roots = ["approvers/piv-root.pem"]
  touch = "always"
  pin   = "once"
}
approver "dora" {
  certificate = "approvers/dora.pem"
  attestation = "approvers/dora-attestation.pem"
  users       = ["dora", "dora-admin"]
  roles       = ["treasurer"]
}
approver "emil" {
  device "card" {
    certificate = "approvers/emil.pem"
    attestation = "approvers/emil-attestation.pem"
  }
  device "spare" {
    certificate = "approvers/emil-spare.pem"
    attestation = "approvers/emil-spare-attestation.pem"
  }
  device "laptop" {
    ssh_key           = "approvers/emil-sk.pub"
    user_verification = false
  }
  roles = ["treasurer", "officer"]
}
approver "fay" {
  ssh_key = "approvers/fay.pub"
  roles   = ["officer"]
}
group "treasury" {
  members = ["fay"]
  roles   = ["treasurer"]
}
group "officers" {
  roles = ["officer"]
}
group "treasurers" {
  roles = ["treasurer"]
}
recovery {
  group     = "officers"
  approvals = 2
}
rule "pay" {
  keys = ["hot"]
  require {
    group     = "treasury"
    approvals = 2
    including = "officers"
  }
}
`

func TestPeopleAreThoseOfTheFile(t *testing.T) {
	p := load(t, manyPeople).People()
	var all []string
	for _, a := range p.Approvers {
		for _, d := range a.Devices {
			all = append(all, fmt.Sprintf("%s %v %q certificate=%t ssh=%t unverified=%t", a.Name, a.Users, d.Name, len(d.Certificate) > 0, len(d.SSH) > 0, d.Unverified))
		}
	}
	want := []string{
		`dora [dora dora-admin] "" certificate=true ssh=false unverified=false`,
		`emil [] "card" certificate=true ssh=false unverified=false`,
		`emil [] "spare" certificate=true ssh=false unverified=false`,
		`emil [] "laptop" certificate=false ssh=true unverified=true`,
		`fay [] "" certificate=false ssh=true unverified=false`,
	}
	if !slices.Equal(all, want) {
		t.Errorf("People =\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	for name, want := range map[string][]string{"treasury": {"dora", "emil", "fay"}, "officers": {"emil", "fay"}, "treasurers": {"dora", "emil"}} {
		if got := p.Groups[name]; !slices.Equal(got, want) {
			t.Errorf("group %q = %q, want %q", name, got, want)
		}
	}
	if r := p.Recovery; r == nil || *r != (signer.Quorum{Rule: "recovery", Group: "officers", Approvals: 2}) {
		t.Errorf("Recovery = %+v", r)
	}
	if len(p.Groups) != 3 {
		t.Errorf("%d groups", len(p.Groups))
	}
	twice := load(t, strings.Replace(manyPeople, `members = ["fay"]`, `members = ["fay", "emil"]`, 1)).People()
	if got := twice.Groups["treasury"]; !slices.Equal(got, []string{"dora", "emil", "fay"}) {
		t.Errorf("with somebody who is in it by name and by role, the group is %q", got)
	}
	if p := load(t, sample).People(); len(p.Approvers)+len(p.Groups) > 0 || p.Recovery != nil {
		t.Errorf("People of a policy that names none = %+v", p)
	}
}

// The names of keys are what the approvers' own tools say, so that an approval finds its
// device.
func TestDevicesAreNamedByTheirKeys(t *testing.T) {
	p := load(t, manyPeople).People()
	der := load(t, manyPeople).People().Approvers[0].Devices[0].Certificate
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := cert.PublicKey.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	key := signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: pub}
	if got := p.Approvers[0].Devices[0].ID; got != key.Fingerprint() || got != fmt.Sprintf("sha256:%x", sha256.Sum256(cert.RawSubjectPublicKeyInfo)) {
		t.Errorf("ID = %s, want %s", got, key.Fingerprint())
	}
	// As ssh-keygen -lf shows it.
	line, err := os.ReadFile("testdata/approvers/emil-sk.pub")
	if err != nil {
		t.Fatal(err)
	}
	blob, err := base64.StdEncoding.DecodeString(strings.Fields(string(line))[1])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(blob)
	if got := p.Approvers[1].Devices[2]; got.ID != "SHA256:"+base64.RawStdEncoding.EncodeToString(sum[:]) || string(got.SSH) != string(blob) {
		t.Errorf("ID = %s of %x", got.ID, got.SSH)
	}
	if a, d, ok := p.Find(p.Approvers[1].Devices[2].ID); !ok || a.Name != "emil" || d.Name != "laptop" {
		t.Errorf("Find = %v, %v, %t", a.Name, d.Name, ok)
	}
}

// The daemon loads the policy in force from the journal, whatever is on disk by then.
func TestAKeptPolicyHasItsPeopleWithoutTheDisk(t *testing.T) {
	p := load(t, manyPeople)
	b, err := ReadBundle(p.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"piv-root.pem", "dora.pem", "dora-attestation.pem", "emil-sk.pub", "fay.pub"} {
		if len(b.Files["approvers/"+name]) == 0 {
			t.Errorf("the bundle lacks %s", name)
		}
	}
	again, err := b.Load()
	if err != nil || again.Version() != p.Version() {
		t.Fatalf("the bundle loads as another policy: %v", err)
	}
	if !same(again.content(), p.content()) || !reflect.DeepEqual(again.People(), p.People()) {
		t.Error("the bundle has other people")
	}
	b.Files["approvers/fay.pub"] = append(b.Files["approvers/fay.pub"], '\n')
	if again, err = b.Load(); err != nil || again.Version() == p.Version() {
		t.Errorf("an SSH key that changed is the same version, or does not load: %v", err)
	}
}

func TestMisplacedPeople(t *testing.T) {
	person := func(args string) string {
		return strings.Replace(peopleText, "approver \"alice\"", "approver \"a\" {\n"+args+"\n}\napprover \"alice\"", 1)
	}
	group := func(args string) string { return peopleText + "«group \"g\"» {\n" + args + "\n}\n" }
	asked := func(args string) string {
		return manyPeople + "rule \"r\" {\nrequire {\n" + args + "\n}\n}\n"
	}
	change := func(old, new string) string { return strings.Replace(manyPeople, old, new, 1) }
	misplaced(t, map[string]struct{ src, want string }{
		"nothing to approve with":                 {strings.Replace(person(""), `approver "a"`, `«approver "a"»`, 1), `approver "a" has nothing to approve with`},
		"a device beside devices":                 {person("ssh_key = \"approvers/fay.pub\"\n«device \"x\"» {\n certificate = \"approvers/dora.pem\"\n}"), "a device beside them in its own arguments (ssh_key)"},
		"a device without a key":                  {person("«device \"x\"» {\n}"), `device "x" of approver "a" has no key`},
		"a device with two keys":                  {person("certificate = \"approvers/dora.pem\"\n«ssh_key» = \"approvers/fay.pub\""), "a device has one key"},
		"a device twice":                          {person("device \"x\" {\n certificate = \"approvers/dora.pem\"\n}\ndevice «\"x\"» {\n ssh_key = \"approvers/fay.pub\"\n}"), `two devices "x"`},
		"one key for two devices":                 {person("device \"x\" {\n certificate = \"approvers/dora.pem\"\n}\ndevice \"y\" {\n certificate = «\"approvers/dora.pem\"»\n}"), `device "x" of approver "a" and device "y" of approver "a" have one public key`},
		"one key for two people":                  {person("ssh_key = \"approvers/fay.pub\"") + "approver \"b\" {\n ssh_key = «\"approvers/fay.pub\"»\n}\n", `approvers "a" and "b" have one public key`},
		"an attestation without roots":            {person("certificate = \"approvers/dora.pem\"\n«attestation» = \"approvers/dora-attestation.pem\""), "does not say whose word counts; write a block attestation"},
		"an attestation of an SSH key":            {person("ssh_key = \"approvers/fay.pub\"\n«attestation» = \"approvers/dora-attestation.pem\""), "is for certificates of PIV tokens"},
		"a verified user of a certificate":        {person("certificate = \"approvers/dora.pem\"\n«user_verification» = false"), "user_verification is for FIDO keys"},
		"a verified user of a plain SSH key":      {person("ssh_key = \"approvers/fay.pub\"\n«user_verification» = false"), "this key is of type ssh-ed25519"},
		"a verified user in words":                {person("ssh_key = \"approvers/emil-sk.pub\"\nuser_verification = «\"no\"»"), "want true or false"},
		"an SSH key that is not there":            {person("ssh_key = «\"approvers/gus.pub\"»"), "read the SSH key of approver \"a\""},
		"an SSH key elsewhere":                    {person("ssh_key = «\"/approvers/id.pub\"»"), "want a name below the folder"},
		"an SSH key that is a certificate":        {person("ssh_key = «\"approvers/dora.pem\"»"), "write certificate in place of ssh_key"},
		"a certificate that is an SSH key":        {person("certificate = «\"approvers/fay.pub\"»"), "write ssh_key in place of certificate"},
		"a role twice":                            {person("ssh_key = \"approvers/fay.pub\"\nroles = [\"x\", «\"x\"»]"), "in the list twice"},
		"no roles":                                {person("ssh_key = \"approvers/fay.pub\"\nroles = «[]»"), "the list is empty"},
		"a group of nobody":                       {group(""), `group "g" has nobody in it; write members`},
		"a role that nobody has":                  {change("group \"officers\" {\n  roles = [\"officer\"]", "group \"officers\" {\n  roles = [«\"oficer\"»]"), `no approver has the role "oficer"; did you mean "officer"?`},
		"a role where there are none":             {peopleText + "group \"g\" {\n roles = [«\"boss\"»]\n}\n", `no approver has the role "boss"; there are none`},
		"including nobody known":                  {asked("group = \"treasury\"\napprovals = 1\nincluding = «\"oficers\"»"), `did you mean "officers"?`},
		"including the group itself":              {asked("group = \"treasury\"\napprovals = 1\nincluding = «\"treasury\"»"), "names the group that approves itself"},
		"including people of another group":       {strings.Replace(asked("group = \"fays\"\napprovals = 1\nincluding = «\"treasurers\"»"), "recovery {", "group \"fays\" {\n members = [\"fay\"]\n}\nrecovery {", 1), `no member of group "fays" is of group "treasurers"`},
		"including somebody with too few devices": {asked("group = \"treasurers\"\napprovals = 1\ndevices = 2\nincluding = «\"doras\"»") + "group \"doras\" {\n members = [\"dora\"]\n}\n", `no member of group "treasurers" with 2 devices is of group "doras"`},
		"more devices than they have":             {asked("group = \"treasury\"\napprovals = 2\ndevices = «2»"), `nobody could collect 2 approvals with 2 devices each: group "treasury" has 3 members, and 1 of them has so many devices`},
		"more devices than anybody has":           {asked("group = \"treasury\"\napprovals = 1\ndevices = «4»"), "and 0 of them have so many devices"},
		"no device":                               {asked("group = \"treasury\"\napprovals = 1\ndevices = «0»"), "a whole number from 1 to 9"},
		"a recovery of nobody":                    {change("\"officers\"\n  approvals = 2\n}", "«\"keepers\"»\n  approvals = 2\n}"), `no group is named "keepers"`},
		"a recovery of too many":                  {change("approvals = 2\n}", "approvals = «3»\n}"), `nobody could collect 3 approvals: group "officers" has 2 members`},
		"a recovery without a number":             {change("recovery {\n  group     = \"officers\"\n  approvals = 2\n}", "recovery «»{\n  group     = \"officers\"\n}"), `The argument "approvals" is required`},
		"a recovery that leaves the caller out":   {change("approvals = 2\n}", "approvals = 2\n  «exclude_caller» = true\n}"), `An argument named "exclude_caller" is not expected here`},
		"two recoveries":                          {manyPeople + "«recovery» {\n group = \"officers\"\n approvals = 1\n}\n", "recovery is there twice"},
	})
}

// oneKey is a policy with one approver, whose key is in a file of the test.
func oneKey(argument, name string, file []byte) (*Policy, error) {
	env := testEnv()
	env.Files = func(string) ([]byte, error) { return file, nil }
	src := fmt.Sprintf("%sapprover \"a\" {\n %s = %q\n}\ngroup \"g\" {\n members = [\"a\"]\n}\nrecovery {\n group = \"g\"\n approvals = 1\n}\n", assetsText+elsewhere, argument, name)
	return Load("policy.hcl", []byte(src), env)
}

// skKey is the public key of a FIDO token as OpenSSH writes it (PROTOCOL.u2f).
func skKey(t *testing.T, algorithm string) string {
	t.Helper()
	var blob []byte
	switch algorithm {
	case ssh.KeyAlgoSKED25519:
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		blob = ssh.Marshal(struct {
			Type string
			Key  []byte
			App  string
		}{algorithm, pub, "ssh:"})
	default:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		blob = ssh.Marshal(struct {
			Type, Curve string
			Key         []byte
			App         string
		}{algorithm, "nistp256", point, "ssh:"})
	}
	return algorithm + " " + base64.StdEncoding.EncodeToString(blob)
}

func sshLine(t *testing.T, public any) string {
	t.Helper()
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func curveKey(t *testing.T, curve elliptic.Curve) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// modulus is an RSA key of a size, as far as anybody can tell who has no factors.
func modulus(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

func TestSSHKeys(t *testing.T) {
	good := sshLine(t, curveKey(t, elliptic.P256()))
	words := strings.Fields(good)
	for name, tt := range map[string]struct{ file, want string }{
		"P-256":                        {good, ""},
		"P-384":                        {sshLine(t, curveKey(t, elliptic.P384())), ""},
		"P-521":                        {sshLine(t, curveKey(t, elliptic.P521())), ""},
		"RSA of 2048 bits":             {sshLine(t, modulus(2048)), ""},
		"a FIDO key, Ed25519":          {skKey(t, ssh.KeyAlgoSKED25519), ""},
		"a FIDO key, P-256":            {skKey(t, ssh.KeyAlgoSKECDSA256), ""},
		"with a comment":               {good + " alice@laptop, the blue one\n", ""},
		"with an end of two bytes":     {good + "\r\n", ""},
		"RSA of 1024 bits":             {sshLine(t, modulus(1024)), "has an RSA key of 1024 bits; want at least 2048"},
		"a type that says another":     {"ssh-ed25519 " + words[1], "another type than it says"},
		"no base64":                    {words[0] + " " + words[1] + "!", "no base64"},
		"half a key":                   {words[0] + " " + words[1][:40], "no SSH key that can be read"},
		"more behind the key":          {words[0] + " " + base64.StdEncoding.EncodeToString(append(must(base64.StdEncoding.DecodeString(words[1])), 0)), "no SSH key that can be read"},
		"options":                      {"no-pty " + good, `begins with "no-pty", which is no type`},
		"options that name a command":  {`command="true" ` + good, "is no type of a key"},
		"an authority":                 {"cert-authority " + good, "is no type of a key"},
		"a certificate of SSH":         {"ssh-ed25519-cert-v01@openssh.com " + words[1], "a certificate of an SSH authority"},
		"two keys":                     {good + "\n" + good, "is not an SSH public key alone"},
		"a line before it":             {"\n" + good, "is not an SSH public key alone"},
		"a comment alone":              {"# " + good, "is not an SSH public key alone"},
		"nothing":                      {"", "is not an SSH public key alone"},
		"the type alone":               {words[0], "is not an SSH public key alone"},
		"DSA":                          {"ssh-dss " + words[1], "is no type of a key"},
		"a private key":                {"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n", "name the file that ends in .pub"},
		"the form of other tools":      {"---- BEGIN SSH2 PUBLIC KEY ----\n" + words[1] + "\n---- END SSH2 PUBLIC KEY ----\n", "is not an SSH public key alone"},
		"bytes that are no characters": {"\xff\xfe \xff", "is no type of a key"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := oneKey("ssh_key", "a.pub", []byte(tt.file))
			switch {
			case tt.want == "" && (err != nil || len(p.People().Approvers[0].Devices) != 1):
				t.Errorf("Load error = %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), `approver "a": a.pub `) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Load error = %v, want %q", err, tt.want)
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// A PIV token shows its key as a certificate and, by its PKCS#11 module, as an SSH key.
func TestOneKeyInTwoFormsIsOneDevice(t *testing.T) {
	src, err := os.ReadFile("testdata/approvers/alice.pem")
	if err != nil {
		t.Fatal(err)
	}
	certs, err := certificates(src)
	if err != nil {
		t.Fatal(err)
	}
	env := diffEnv("approvers/again.pub", []byte(sshLine(t, certs[0].PublicKey)))
	_, err = Load("policy.hcl", []byte(peopleText+elsewhere+"approver \"again\" {\n ssh_key = \"approvers/again.pub\"\n}\n"), env)
	if err == nil || !strings.Contains(err.Error(), `approvers "alice" and "again" have one public key`) {
		t.Errorf("Load error = %v", err)
	}
	// An Ed25519 key in a FIDO token is the same key, whatever else is said of it.
	sk := skKey(t, ssh.KeyAlgoSKED25519)
	key, err := parseSSHKey([]byte(sk))
	if err != nil {
		t.Fatal(err)
	}
	plain := sshLine(t, key.(ssh.CryptoPublicKey).CryptoPublicKey())
	env.Files = func(name string) ([]byte, error) {
		if name == "sk.pub" {
			return []byte(sk), nil
		}
		return []byte(plain), nil
	}
	_, err = Load("policy.hcl", []byte(assetsText+elsewhere+"approver \"a\" {\n device \"x\" {\n ssh_key = \"sk.pub\"\n}\n device \"y\" {\n ssh_key = \"plain.pub\"\n}\n}\n"), env)
	if err == nil || !strings.Contains(err.Error(), "have one public key, which makes them one device") {
		t.Errorf("Load error = %v", err)
	}
}

func TestAFIDOKeyThatIsForSomethingElseIsRefused(t *testing.T) {
	for _, algorithm := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		for application, want := range map[string]string{"ssh:": "", "ssh:pay": "", "": `is for application ""`, "example.org": `is for application "example.org"`, "xssh:": `is for application "xssh:"`} {
			blob := must(base64.StdEncoding.DecodeString(strings.Fields(skKey(t, algorithm))[1]))
			blob = append(blob[:len(blob)-len("\x00\x00\x00\x04ssh:")], ssh.Marshal(struct{ App string }{application})...)
			_, err := oneKey("ssh_key", "a.pub", []byte(algorithm+" "+base64.StdEncoding.EncodeToString(blob)))
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s for %q: Load error = %v, want %q", algorithm, application, err, want)
			}
		}
	}
}

func TestCertificatesOfKeysThatCannotApprove(t *testing.T) {
	signing := must(x509.MarshalPKIXPublicKey(curveKey(t, elliptic.P224())))
	if _, err := approving(must2(x509.ParsePKIXPublicKey(signing))); err == nil || !strings.Contains(err.Error(), "another curve") {
		t.Errorf("P-224: %v", err)
	}
	if _, err := approving(modulus(1024)); err == nil || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("RSA of 1024 bits: %v", err)
	}
	if _, err := approving(nil); err == nil || !strings.Contains(err.Error(), "signs no approvals") {
		t.Errorf("no key: %v", err)
	}
	for name, key := range map[string]any{"P-384": curveKey(t, elliptic.P384()), "RSA": modulus(3072)} {
		if spki, err := approving(key); err != nil || len(spki) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func must2(v any, err error) any {
	if err != nil {
		panic(err)
	}
	return v
}
