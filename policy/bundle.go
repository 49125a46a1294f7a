package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"regexp"

	"github.com/hashicorp/hcl/v2"
)

// A policy is more than one file: the bundle is the policy file, the files that it
// names, and the public keys that its names stand for. Every file that is named is
// pinned by its digest, so that whoever reviews the policy file has reviewed all of it,
// and whoever can write a list cannot change what is signed.

// manifest is the name of the file, in a folder of ERC-7730 descriptors, that lists the
// digests of all the others; "sealward descriptors pin" writes it. Nothing else of the
// folder is read here: no decision depends on labels.
const manifest = "descriptors.sha256"

// descriptors are the ERC-7730 descriptors that a policy names.
type descriptors struct {
	folder   string
	manifest [32]byte
}

var descriptorsSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "folder", Required: true}, {Name: "sha256", Required: true},
}}

func (l *loader) describe(b *hcl.Block) {
	content := l.body(b.Body, descriptorsSchema)
	folder, sum := content.Attributes["folder"], content.Attributes["sha256"]
	if folder == nil || sum == nil {
		return
	}
	name, ok := l.fileName(folder)
	if !ok {
		return
	}
	if _, digest, ok := l.pinned(name+"/"+manifest, folder, sum); ok {
		l.descriptors = &descriptors{name, digest}
	}
}

// fileName reads the name of a file or folder below the policy's own folder. Nothing
// above it may be named: a bundle is one folder, that can be copied and reviewed whole.
func (l *loader) fileName(a *hcl.Attribute) (string, bool) {
	name, ok := l.filled(a.Expr, "the "+a.Name)
	if !ok {
		return "", false
	}
	return l.validName(a.Name, item{name, a.Expr.Range()})
}

func (l *loader) validName(what string, file item) (string, bool) {
	if !fs.ValidPath(file.text) || file.text == "." {
		l.fail(file.at, "%s %q: want a name below the folder of this file, such as \"lists/tokens.json\" or \"approvers/alice.pem\": relative, and without . or .. or a slash too many", what, file.text)
		return "", false
	}
	return file.text, true
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// pinned reads a file that the policy names, and holds it to its digest.
func (l *loader) pinned(name string, file, sum *hcl.Attribute) (src []byte, digest [32]byte, ok bool) {
	pin, ok := l.text(sum.Expr)
	if !ok {
		return nil, digest, false
	}
	if !hexDigest.MatchString(pin) {
		l.fail(sum.Expr.Range(), "sha256 %q: want 64 lower-case hexadecimal digits, as sha256sum prints them for %s", pin, name)
		return nil, digest, false
	}
	if l.env.Files == nil {
		l.fail(file.Expr.Range(), "%s cannot be read: this file is read by itself here", name)
		return nil, digest, false
	}
	src, err := l.env.Files(name)
	if err != nil {
		l.fail(file.Expr.Range(), "read %s: %v", name, err)
		return nil, digest, false
	}
	digest = sha256.Sum256(src)
	if found := hex.EncodeToString(digest[:]); found != pin {
		l.fail(sum.Expr.Range(), "%s is not the file that was pinned: its digest is %s; put back the file that was reviewed, or review this one and then write sha256 = %q", name, found, found)
		return nil, digest, false
	}
	l.keep(name, src, file.Expr.Range())
	return src, digest, true
}

// maxBundle bounds the files of a policy together, in bytes: each policy that comes into
// force is kept for good, and is given out in one piece.
const maxBundle = 32 << 20

// keep makes a file part of the bundle.
func (l *loader) keep(name string, src []byte, at hcl.Range) {
	l.files[name], l.contents[name] = sha256.Sum256(src), src
	size := len(l.src)
	for _, c := range l.contents {
		size += len(c)
	}
	if size > maxBundle {
		l.fail(at, "with %s, the policy and the files that it names have %d bytes; the most is %d: name shorter lists", name, size, maxBundle)
	}
}

// bundleDigest is the version of a policy: SHA-256 over a domain string, the file and
// the number of keys, then each key's name and fingerprint in the order of the names.
// Where the policy names files, the domain string is another one, and the number of
// files follows, then each one's name and digest in the order of the names. Every text is
// preceded by its length, every number is 64 bits, big-endian.
func bundleDigest(src []byte, fingerprints map[string]string, files map[string][32]byte) [32]byte {
	h := sha256.New()
	number := func(n int) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	field := func(b []byte) {
		number(len(b))
		h.Write(b)
	}
	domain := "sealward.dev/policy/v1\x00"
	if len(files) > 0 {
		domain = "sealward.dev/policy/v2\x00"
	}
	h.Write([]byte(domain))
	field(src)
	number(len(fingerprints))
	for _, name := range sortedKeys(fingerprints) {
		field([]byte(name))
		field([]byte(fingerprints[name]))
	}
	if len(files) == 0 {
		return [32]byte(h.Sum(nil))
	}
	number(len(files))
	for _, name := range sortedKeys(files) {
		digest := files[name]
		field([]byte(name))
		field(digest[:])
	}
	return [32]byte(h.Sum(nil))
}
