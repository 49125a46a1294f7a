package approval_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// refuses checks that a document is refused, with a text that says why.
func refuses(t *testing.T, signed []byte, p signer.People, want string) {
	t.Helper()
	h, err := approval.Verifier{}.Verify(signed, p)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Verify = %v; want an error with %q\n%.400s", err, want, signed)
	}
	if h.Approver != "" || h.Device != "" || h.Signed != nil || h.Approval != (signer.Approval{}) {
		t.Errorf("Verify returned %+v with its error", h)
	}
}

func jwsDoc(jws string) []byte { return []byte(`{"jws":` + jcsText(jws) + `}`) }

func TestAForgedJWSIsRefused(t *testing.T) {
	alice, bob, mallory := ec(elliptic.P256(), 1), ec(elliptic.P256(), 2), ec(elliptic.P256(), 66)
	hers, his, evil := certified(t, "alice", alice), certified(t, "bob", bob), certified(t, "mallory", mallory)
	all := people(hers, his)
	a := said(hers.ID)
	text, head := a.Canonical(), header("ES256", hers.ID)
	good := jws(t, alice, "ES256", head, text)
	parts := strings.Split(good, ".")
	spki, err := x509.MarshalPKIXPublicKey(alice.Public())
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, spki)
	hmacInput := b64([]byte(header("HS256", hers.ID))) + "." + b64(text)
	mac.Write([]byte(hmacInput))
	as := func(device string) []byte { b := a; b.Device = device; return b.Canonical() }
	with := func(more string) string { return strings.Replace(head, `,"typ"`, more+`,"typ"`, 1) }
	raw := must[[]byte](t)(base64.RawURLEncoding.DecodeString(parts[2]))
	der := must[[]byte](t)(ecdsa.SignASN1(rand.Reader, alice, sum256(parts[0]+"."+parts[1])))
	stray := func(s string) string { // the last character, with a bit set that no byte has
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return s[:len(s)-1] + string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])|1])
	}
	const notHis = "not by this key over this text"
	for name, c := range map[string]struct{ jws, want string }{
		"no algorithm and no signature":            {b64([]byte(header("none", hers.ID))) + "." + b64(text) + ".", "signature of its JWS is empty"},
		"no algorithm and a signature":             {jws(t, alice, "ES256", header("none", hers.ID), text), "want exactly"},
		"a MAC with the public key":                {hmacInput + "." + b64(mac.Sum(nil)), "want exactly"},
		"another algorithm of the same family":     {jws(t, alice, "ES256", header("ES384", hers.ID), text), "want exactly"},
		"an algorithm of another family":           {jws(t, alice, "ES256", header("RS256", hers.ID), text), "want exactly"},
		"a key of its own in the header":           {jws(t, mallory, "ES256", with(`,"jwk":{"kty":"EC"}`), text), "want exactly"},
		"an address of keys in the header":         {jws(t, mallory, "ES256", with(`,"jku":"https://evil.example/keys"`), text), "want exactly"},
		"a certificate in the header":              {jws(t, mallory, "ES256", with(`,"x5c":["AAAA"]`), text), "want exactly"},
		"critical extensions":                      {jws(t, alice, "ES256", with(`,"crit":["b64"],"b64":false`), text), "want exactly"},
		"no base64 (RFC 7797)":                     {jws(t, alice, "ES256", with(`,"b64":true`), text), "want exactly"},
		"a content type":                           {jws(t, alice, "ES256", with(`,"cty":"json"`), text), "want exactly"},
		"two algorithms":                           {jws(t, alice, "ES256", with(`,"alg":"none"`), text), "want exactly"},
		"a header in another order":                {jws(t, alice, "ES256", `{"kid":"`+hers.ID+`","alg":"ES256","typ":"sealward-approval+jws"}`, text), "want exactly"},
		"white space in the header":                {jws(t, alice, "ES256", strings.Replace(head, ",", ", ", 1), text), "want exactly"},
		"another type":                             {jws(t, alice, "ES256", strings.Replace(head, "sealward-approval+jws", "JWT", 1), text), "want exactly"},
		"no type":                                  {jws(t, alice, "ES256", `{"alg":"ES256","kid":"`+hers.ID+`"}`, text), "want exactly"},
		"no header":                                {jws(t, alice, "ES256", "{}", text), "want exactly"},
		"a header for another key":                 {jws(t, alice, "ES256", header("ES256", his.ID), text), "want exactly"},
		"by a key that nobody enrolled":            {jws(t, mallory, "ES256", header("ES256", evil.ID), as(evil.ID)), "no approver of the policy in force has this key"},
		"by somebody else in her name":             {jws(t, mallory, "ES256", head, text), notHis},
		"by one approver in another's name":        {jws(t, bob, "ES256", head, text), notHis},
		"by her in another's name":                 {jws(t, alice, "ES256", header("ES256", his.ID), as(his.ID)), notHis},
		"her header on another's approval":         {jws(t, alice, "ES256", head, as(his.ID)), "want exactly"},
		"her signature under another text":         {parts[0] + "." + b64(said2(hers.ID).Canonical()) + "." + parts[2], notHis},
		"a text that is not canonical":             {jws(t, alice, "ES256", head, append([]byte(" "), text...)), "not in canonical form"},
		"a text with something after it":           {jws(t, alice, "ES256", head, append(bytes.Clone(text), "{}"...)), "not in canonical form"},
		"a text with a field that is not known":    {jws(t, alice, "ES256", head, bytes.Replace(text, []byte(`{`), []byte(`{"a":1,`), 1)), "unknown field"},
		"a text with a field twice":                {jws(t, alice, "ES256", head, bytes.Replace(text, []byte(`"word":`), []byte(`"word":"reject","word":`), 1)), "not in canonical form"},
		"a text with a field in capital letters":   {jws(t, alice, "ES256", head, bytes.Replace(text, []byte(`"word":`), []byte(`"Word":`), 1)), "not in canonical form"},
		"a text that is something else":            {jws(t, alice, "ES256", head, []byte(`{"type":"jwt"}`)), "its type is"},
		"no text":                                  {parts[0] + ".." + parts[2], "payload of its JWS is empty"},
		"a signature in DER":                       {parts[0] + "." + parts[1] + "." + b64(der), notHis},
		"a signature that is cut short":            {parts[0] + "." + parts[1] + "." + b64(raw[:63]), notHis},
		"a signature that is longer":               {parts[0] + "." + parts[1] + "." + b64(append(bytes.Clone(raw), 0)), notHis},
		"a signature of zeros":                     {parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), notHis},
		"padding after the signature":              {good + "==", "is not base64url"},
		"padding after the header":                 {parts[0] + "=." + parts[1] + "." + parts[2], "is not base64url"},
		"a bit left over in the signature":         {parts[0] + "." + parts[1] + "." + stray(parts[2]), "is not base64url"},
		"a line feed in the signature":             {parts[0] + "." + parts[1] + "." + parts[2][:5] + "\n" + parts[2][5:], "is not base64url"},
		"the other base64":                         {parts[0] + "." + parts[1] + "." + base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 64)), "is not base64url"},
		"a fourth part":                            {good + "." + parts[2], "has 4 parts"},
		"two parts":                                {parts[0] + "." + parts[1], "has 2 parts"},
		"the JSON serialization":                   {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "has 1 parts"},
		"an unencoded header":                      {head + "." + parts[1] + "." + parts[2], "is not base64url"},
		"words around it":                          {" " + good, "is not base64url"},
		"another approval's text before its own":   {parts[0] + "." + b64(said2(hers.ID).Canonical()) + parts[1] + "." + parts[2], "is not base64url"},
		"an empty JWS":                             {"", "want either"},
		"only dots":                                {"..", "is empty"},
		"a device that is the empty string":        {jws(t, alice, "ES256", header("ES256", ""), as("")), "must be there"},
		"a device that is very long":               {jws(t, alice, "ES256", head, as(strings.Repeat("x", 9000))), "no approver"},
		"a word that is none":                      {jws(t, alice, "ES256", head, bytes.Replace(text, []byte(`"approve"`), []byte(`"pay"`), 1)), "its word is"},
		"a text that is cut short":                 {jws(t, alice, "ES256", head, text[:40]), "approval: unexpected EOF"},
		"an approval of the digest that is zero":   {jws(t, alice, "ES256", head, zeroed(a)), "about no proposal"},
		"an approval with upper-case hexadecimals": {jws(t, alice, "ES256", head, bytes.Replace(text, []byte(`"nonce":"09`), []byte(`"nonce":"0A`), 1)), "not in canonical form"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, jwsDoc(c.jws), all, c.want) })
	}
	accepts(t, jwsDoc(good), all, a, "owner of alice")
}

func sum256(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

// said2 differs from said in one character.
func said2(device string) signer.Approval {
	a := said(device)
	a.Reason += "!"
	return a
}

// zeroed is an approval of no proposal, which Canonical would leave out.
func zeroed(a signer.Approval) []byte {
	a.Proposal = [32]byte{0xff}
	return bytes.Replace(a.Canonical(), []byte(`"proposal":"ff`), []byte(`"proposal":"00`), 1)
}

func TestARSASignatureIsHeldToItsKey(t *testing.T) {
	k := rsaKey()
	d := certified(t, "alice", k)
	a := said(d.ID)
	input := b64([]byte(header("PS256", d.ID))) + "." + b64(a.Canonical())
	salted := must[[]byte](t)(k.Sign(rand.Reader, sum256(input), &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}))
	for name, c := range map[string]string{
		"PS256 in the header of RS256":  jws(t, k, "PS256", header("RS256", d.ID), a.Canonical()),
		"RS256 in the header of PS256":  jws(t, k, "RS256", header("PS256", d.ID), a.Canonical()),
		"a salt that is not the hash's": input + "." + b64(salted),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, jwsDoc(c), people(d), "not by this key over this text") })
	}
	t.Run("SHA-512 where the key signs with SHA-256", func(t *testing.T) {
		refuses(t, jwsDoc(jws(t, k, "RS256", header("RS512", d.ID), a.Canonical())), people(d), "where alg is PS256 or RS256")
	})
}

func TestADocumentHasOneForm(t *testing.T) {
	alice := ed(1)
	cert := certified(t, "alice", alice)
	sshKey := must[ssh.Signer](t)(ssh.NewSignerFromSigner(ed(2)))
	key := sshDevice("bob", sshKey.PublicKey())
	all := people(cert, key)
	a, b := said(cert.ID), said(key.ID)
	jwt := jws(t, alice, "EdDSA", header("EdDSA", cert.ID), a.Canonical())
	armor := goodSSH(sshKey.PublicKey()).by(t, sshKey, ssh.KeyAlgoED25519, b.Canonical())
	good, goodSSH := string(jwsDoc(jwt)), string(wrapped(b, armor))
	accepts(t, []byte(good), all, a, "owner of alice")
	accepts(t, []byte(goodSSH), all, b, "owner of bob")
	for name, c := range map[string]struct{ doc, want string }{
		"nothing":                        {"", "not the JSON"},
		"no JSON":                        {"approve", "not the JSON"},
		"null":                           {"null", "not the JSON"},
		"a list":                         {"[" + good + "]", "not the JSON"},
		"an empty object":                {"{}", "want either"},
		"a field more":                   {good[:len(good)-1] + `,"x":1}`, `x`},
		"a field twice":                  {`{"jws":"x",` + good[1:], "repeat"},
		"a field in capital letters":     {strings.Replace(good, "jws", "JWS", 1), "JWS"},
		"a twin in capital letters":      {good[:len(good)-1] + `,"JWS":"x"}`, "JWS"},
		"both forms":                     {good[:len(good)-1] + "," + goodSSH[1:], "want either"},
		"an empty second form":           {good[:len(good)-1] + `,"sshsig":""}`, "not canonical"},
		"only the approval":              {`{"approval":` + jcsText(string(a.Canonical())) + `}`, "want either"},
		"only the signature":             {`{"sshsig":` + jcsText(armor) + `}`, "want either"},
		"a second value":                 {good + good, "not the JSON"},
		"a line feed at the end":         {good + "\n", "not canonical"},
		"a space at the beginning":       {" " + good, "not canonical"},
		"a space within":                 {strings.Replace(good, ":", ": ", 1), "not canonical"},
		"an escape that is not needed":   {strings.Replace(good, "ey", `\u0065y`, 1), "not canonical"},
		"a longer escape":                {strings.Replace(goodSSH, `\n`, `\u000a`, 1), "not canonical"},
		"an escaped slash":               {`{"jws":"\/"}`, "has 1 parts"},
		"fields in another order":        {`{"sshsig":` + jcsText(armor) + `,"approval":` + jcsText(string(b.Canonical())) + `}`, "not canonical"},
		"invalid UTF-8":                  {strings.Replace(goodSSH, "invoice", "\xff", 1), "UTF-8"},
		"too long":                       {`{"jws":"` + strings.Repeat("A", signer.MaxSignedApproval) + `"}`, "the most is"},
		"an SSH signature's text in JWS": {`{"jws":` + jcsText(armor) + `}`, "has 1 parts"},
		"a certificate's approval with an SSH signature": {string(wrapped(a, armor)), "enrolled by a certificate"},
		"an SSH key's approval in a JWS":                 {string(jwsDoc(jws(t, ed(2), "EdDSA", header("EdDSA", key.ID), b.Canonical()))), "enrolled as an SSH key"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, []byte(c.doc), all, c.want) })
	}
}

func TestAWrongEnrolmentLetsNobodyIn(t *testing.T) {
	k := ed(1)
	d := certified(t, "alice", k)
	sshKey := must[ssh.Signer](t)(ssh.NewSignerFromSigner(k))
	a := said(d.ID)
	doc := jwsDoc(jws(t, k, "EdDSA", header("EdDSA", d.ID), a.Canonical()))
	short := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	odd := certified(t, "alice", ec(elliptic.P224(), 1))
	weak := certified(t, "alice", short)
	other := certified(t, "alice", ed(2))
	for name, c := range map[string]struct {
		device signer.Device
		doc    []byte
		want   string
	}{
		"no key":                           {signer.Device{ID: d.ID}, doc, "neither a certificate nor an SSH key"},
		"two keys":                         {signer.Device{ID: d.ID, Certificate: d.Certificate, SSH: sshKey.PublicKey().Marshal()}, doc, "or both"},
		"a certificate that is none":       {signer.Device{ID: d.ID, Certificate: []byte("x")}, doc, "cannot be read"},
		"an SSH key that is none":          {signer.Device{ID: d.ID, SSH: []byte("x")}, doc, "cannot be read"},
		"another key's certificate":        {signer.Device{ID: d.ID, Certificate: other.Certificate}, doc, "the enrolled key is " + other.ID},
		"a curve that signs no JWS":        {odd, jwsDoc(jws(t, k, "EdDSA", header("EdDSA", odd.ID), said(odd.ID).Canonical())), "signs no approvals"},
		"an RSA key that is too short":     {weak, jwsDoc(jws(t, short, "RS256", header("RS256", weak.ID), said(weak.ID).Canonical())), "1024 bits"},
		"an SSH key whose id is another's": {signer.Device{ID: d.ID, SSH: sshKey.PublicKey().Marshal()}, doc, "the enrolled key is SHA256:"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, c.doc, people(c.device), c.want) })
	}
	t.Run("no people", func(t *testing.T) { refuses(t, doc, signer.People{}, "no approver of the policy in force") })
	t.Run("a device without an id", func(t *testing.T) {
		refuses(t, doc, people(signer.Device{Certificate: d.Certificate}), "no approver of the policy in force")
	})
}

func TestAForgedSSHSignatureIsRefused(t *testing.T) {
	bob := must[ssh.Signer](t)(ssh.NewSignerFromSigner(ed(1)))
	mallory := must[ssh.Signer](t)(ssh.NewSignerFromSigner(ed(66)))
	old := must[ssh.Signer](t)(ssh.NewSignerFromSigner(rsaKey()))
	fido, web := token{ed(3), "ssh:"}, token{ed(3), "https://bank.example"}
	devices := map[string]signer.Device{
		"bob": sshDevice("bob", bob.PublicKey()), "old": sshDevice("old", old.PublicKey()),
		"fido": sshDevice("fido", fido.public(t)), "web": sshDevice("web", web.public(t)),
	}
	all := people(devices["bob"], devices["old"], devices["fido"], devices["web"])
	a := said(devices["bob"].ID)
	text := a.Canonical()
	change := func(f func(*sshsig)) string {
		s := goodSSH(bob.PublicKey())
		f(&s)
		return s.by(t, bob, ssh.KeyAlgoED25519, text)
	}
	good := change(func(*sshsig) {})
	plain := must[*ssh.Signature](t)(bob.Sign(rand.Reader, goodSSH(bob.PublicKey()).text(text)))
	blob := must[[]byte](t)(base64.StdEncoding.DecodeString(strings.Join(strings.Split(good, "\n")[1:len(strings.Split(good, "\n"))-2], "")))
	rsaText, fidoText, webText := said(devices["old"].ID), said(devices["fido"].ID), said(devices["web"].ID)
	const notHis, armor = "not by this key over this text", "not armored as ssh-keygen"
	for name, c := range map[string]struct {
		approval    signer.Approval
		armor, want string
	}{
		"for files":                        {a, change(func(s *sshsig) { s.namespace = "file" }), `for namespace "file"`},
		"for no namespace":                 {a, change(func(s *sshsig) { s.namespace = "" }), "for namespace"},
		"another magic":                    {a, change(func(s *sshsig) { s.magic = "SSHSIX" }), "want SSHSIG, version 1"},
		"a later version":                  {a, change(func(s *sshsig) { s.version = 2 }), "has version 2"},
		"something that is reserved":       {a, change(func(s *sshsig) { s.reserved = "x" }), "reserved"},
		"SHA-1":                            {a, change(func(s *sshsig) { s.hash = "sha1" }), `hashes with "sha1"`},
		"a hash under another's name":      {a, goodSSHWith(bob, "sha256").armor(ssh.Marshal(plain)), notHis},
		"something after its end":          {a, change(func(s *sshsig) { s.after = "x" }), "cannot be read"},
		"something after the signature":    {a, goodSSH(bob.PublicKey()).armor(append(ssh.Marshal(plain), 0)), "after its end"},
		"another's key in it":              {a, change(func(s *sshsig) { s.public = mallory.PublicKey().Marshal() }), "by another key than it says"},
		"by another key":                   {a, goodSSH(bob.PublicKey()).by(t, mallory, ssh.KeyAlgoED25519, text), notHis},
		"by another key, which it says":    {a, goodSSH(mallory.PublicKey()).by(t, mallory, ssh.KeyAlgoED25519, text), "by another key than it says"},
		"of another text":                  {said2(devices["bob"].ID), good, notHis},
		"of a key that nobody enrolled":    {said(ssh.FingerprintSHA256(mallory.PublicKey())), goodSSH(mallory.PublicKey()).by(t, mallory, ssh.KeyAlgoED25519, text), "no approver"},
		"without the text around a hash":   {a, goodSSH(bob.PublicKey()).armor(ssh.Marshal(must[*ssh.Signature](t)(bob.Sign(rand.Reader, text)))), notHis},
		"of another type":                  {a, goodSSH(bob.PublicKey()).armor(ssh.Marshal(&ssh.Signature{Format: "ssh-dss", Blob: plain.Blob})), `of type "ssh-dss"`},
		"empty":                            {a, goodSSH(bob.PublicKey()).armor(nil), "cannot be read"},
		"RSA with SHA-1":                   {rsaText, goodSSH(old.PublicKey()).by(t, old, ssh.KeyAlgoRSA, rsaText.Canonical()), `of type "ssh-rsa"`},
		"RSA with its hashes confused":     {rsaText, relabelled(t, old, rsaText), notHis},
		"lines of 76 characters":           {a, armored(blob, 76), armor},
		"one line":                         {a, armored(blob, 1<<20), armor},
		"no line feed at the end":          {a, strings.TrimSuffix(good, "\n"), armor},
		"two line feeds at the end":        {a, good + "\n", armor},
		"carriage returns":                 {a, strings.ReplaceAll(good, "\n", "\r\n"), armor},
		"no armor":                         {a, base64.StdEncoding.EncodeToString(blob), armor},
		"text before it":                   {a, "x\n" + good, armor},
		"another armor":                    {a, strings.ReplaceAll(good, "SSH SIGNATURE", "PGP SIGNATURE"), armor},
		"a token that was not touched":     {fidoText, fido.sign(goodSSH(fido.public(t)), fidoText.Canonical(), 4, ""), "without a touch"},
		"a token that checked nobody":      {fidoText, fido.sign(goodSSH(fido.public(t)), fidoText.Canonical(), 1, ""), "without checking who its user is"},
		"something after a token's words":  {fidoText, fido.sign(goodSSH(fido.public(t)), fidoText.Canonical(), 5, "x"), "cannot be read"},
		"flags that the token did not say": {fidoText, flagged(t, fido, fidoText), notHis},
		"a token's key without its token":  {fidoText, goodSSH(fido.public(t)).by(t, must[ssh.Signer](t)(ssh.NewSignerFromSigner(ed(3))), ssh.KeyAlgoED25519, fidoText.Canonical()), `of type "ssh-ed25519"`},
		"a token's key for a web site":     {webText, web.sign(goodSSH(web.public(t)), webText.Canonical(), 5, ""), `for application "https://bank.example"`},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, wrapped(c.approval, c.armor), all, c.want) })
	}
	accepts(t, wrapped(a, good), all, a, "owner of bob")
}

func goodSSHWith(k ssh.Signer, hash string) sshsig {
	s := goodSSH(k.PublicKey())
	s.hash = hash
	return s
}

// relabelled is an RSA signature with SHA-256 that says it is one with SHA-512.
func relabelled(t *testing.T, k ssh.Signer, a signer.Approval) string {
	t.Helper()
	s := goodSSH(k.PublicKey())
	sig := must[*ssh.Signature](t)(k.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, s.text(a.Canonical()), ssh.KeyAlgoRSASHA256))
	sig.Format = ssh.KeyAlgoRSASHA512
	return s.armor(ssh.Marshal(sig))
}

// flagged is a signature by a token that nobody touched, with the flags of one that was.
func flagged(t *testing.T, k token, a signer.Approval) string {
	t.Helper()
	armor := k.sign(goodSSH(k.public(t)), a.Canonical(), 0, "")
	lines := strings.Split(armor, "\n")
	blob := must[[]byte](t)(base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-2], "")))
	blob[len(blob)-5] = 5
	return armored(blob, 70)
}

func TestASignatureIsWrappedWhereverItsLinesEnd(t *testing.T) {
	k := must[ssh.Signer](t)(ssh.NewSignerFromSigner(ed(1)))
	d := sshDevice("bob", k.PublicKey())
	a := said(d.ID)
	good := goodSSH(k.PublicKey()).by(t, k, ssh.KeyAlgoED25519, a.Canonical())
	lines := strings.Split(good, "\n")
	for name, armor := range map[string]string{
		"as ssh-keygen writes it": good,
		"with carriage returns":   strings.ReplaceAll(good, "\n", "\r\n"),
		"without its last feed":   strings.TrimSpace(good),
		"on one line":             lines[0] + "\n" + strings.Join(lines[1:len(lines)-2], "") + "\n" + lines[len(lines)-2],
	} {
		t.Run(name, func(t *testing.T) {
			signed := must[[]byte](t)(approval.WrapSSH(a, armor))
			accepts(t, signed, people(d), a, "owner of bob")
		})
	}
	for name, armor := range map[string]string{"empty": "", "a public key": "ssh-ed25519 AAAA", "no base64": lines[0] + "\n?\n" + lines[len(lines)-2]} {
		t.Run(name, func(t *testing.T) {
			if _, err := approval.WrapSSH(a, armor); err == nil {
				t.Error("WrapSSH took it")
			}
		})
	}
	if _, err := approval.WrapSSH(signer.Approval{Word: "pay"}, good); err == nil {
		t.Error("WrapSSH took an approval that says nothing")
	}
	if _, err := approval.WrapJWS("a.b.c"); err == nil {
		t.Error("WrapJWS took a JWS without an approval")
	}
}

func TestReadingUnverifiedShowsWhatAnybodyMadeUp(t *testing.T) {
	a := said("sha256:nobody")
	got, err := approval.ReadUnverified(jwsDoc(jws(t, ed(66), "EdDSA", "{}", a.Canonical())))
	if err != nil || got.ID() != a.ID() {
		t.Errorf("ReadUnverified = %+v, %v", got, err)
	}
	if _, err := approval.ReadUnverified([]byte(`{"jws":"x"}`)); err == nil {
		t.Error("ReadUnverified took what is no approval")
	}
}
