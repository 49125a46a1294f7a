package receipt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
)

// A leaf of type signed, one second and two nanoseconds into 1970, whose salt is 01
// and 31 zeros and whose body is "body". Computed outside of Go.
const (
	wantLeaf = "7365616c776172642f6c6561662f7631" + // domain
		"7369676e656400000000000000000000" + // type
		"000000003b9aca02" + // time
		"992a40c462b5e7c2727cd43c3f800df0e351e47e9d8a32aae3cfe4dc6a452428" // commitment
	wantLeafHash = "b7e8fc1a524e71e75829f46085bd074ae1fc1ec86ea926ae28121e7c38dad91c"
)

func TestLeafHasTheDocumentedBytes(t *testing.T) {
	l := Leaf{Type: signer.EventSigned, Time: time.Unix(1, 2), Commitment: Commit([32]byte{1}, []byte("body"))}
	b, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(b[:]); got != wantLeaf {
		t.Errorf("leaf = %s, want %s", got, wantLeaf)
	}
	hash, err := l.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(hash[:]); got != wantLeafHash {
		t.Errorf("leaf hash = %s, want %s", got, wantLeafHash)
	}
}

func TestLeafRefusesWhatTheFormatCannotHold(t *testing.T) {
	good := entry(0).Leaf
	for name, change := range map[string]func(*Leaf){
		"no type":                     func(l *Leaf) { l.Type = "" },
		"a type of 17 letters":        func(l *Leaf) { l.Type = "abcdefghijklmnopq" },
		"a type with capital letters": func(l *Leaf) { l.Type = "Signed" },
		"a type with a zero byte":     func(l *Leaf) { l.Type = "signed\x00" },
		"a time before 1970":          func(l *Leaf) { l.Time = time.Unix(-1, 0) },
		"a time after 2262":           func(l *Leaf) { l.Time = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) },
		"no time":                     func(l *Leaf) { l.Time = time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			l := good
			change(&l)
			if b, err := l.Encode(); err == nil {
				t.Errorf("Encode = %x, want an error", b)
			}
		})
	}
}

func TestParseLeafRefuses(t *testing.T) {
	b, err := entry(0).Leaf.Encode()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(at int, c byte) []byte {
		out := slices.Clone(b[:])
		out[at] = c
		return out
	}
	for name, tc := range map[string]struct {
		in   []byte
		want string
	}{
		"nothing":                  {nil, "another version"},
		"another version":          {edit(15, '2'), "another version"},
		"a byte less":              {b[:LeafSize-1], "71 bytes"},
		"a byte more":              {append(b[:], 0), "73 bytes"},
		"letters after the pad":    {edit(31, 'x'), "event type"},
		"no type":                  {slices.Concat(b[:16], make([]byte, 16), b[32:]), "event type"},
		"a time that is too large": {edit(32, 0x80), "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseLeaf(tc.in); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ParseLeaf error = %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestEntryRefusesABodyThatIsNotTheLeafs(t *testing.T) {
	if ev, err := entry(3).Event(); err != nil || ev.Type != signer.EventStarted {
		t.Fatalf("Event = %v, %v", ev.Type, err)
	}
	later := entry(3)
	later.Leaf.Time = later.Leaf.Time.Add(time.Second)
	other := entry(3)
	other.Leaf.Type = signer.EventStopped
	body := entry(3)
	body.Body = bytes.Replace(body.Body, []byte("a start"), []byte("a stqrt"), 1)
	salt := entry(3)
	salt.Salt[0]++
	for name, e := range map[string]Entry{"time": later, "type": other, "body": body, "salt": salt} {
		if _, err := e.Event(); err == nil {
			t.Errorf("an entry with another %s was accepted", name)
		}
	}
}

// The keys and the signature are published ones: the example of package note, and
// the key of the Sigstore log, whose log id begins with the same four bytes.
const (
	neumann     = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
	neumannNote = "If you think cryptography is the answer to your problem,\n" +
		"then you don't know what your problem is.\n\n" +
		"— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
	rekor = "rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l+smGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc="
)

func TestVerifierAgreesWithPublishedKeys(t *testing.T) {
	v, err := ParseVerifier(neumann)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open([]byte(neumannNote), note.VerifierList(v)); err != nil {
		t.Errorf("Open error = %v", err)
	}
	r, err := ParseVerifier(rekor)
	if err != nil {
		t.Fatal(err)
	}
	if r.KeyHash() != 0xc0d23d6a || r.Public().Algorithm != signer.AlgorithmP256 || r.String() != rekor {
		t.Errorf("key of the Sigstore log: id %08x, algorithm %s, vkey %s", r.KeyHash(), r.Public().Algorithm, r)
	}
}

func TestParseVerifierRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ vkey, want string }{
		"nothing":                 {"", "want NAME+KEYID+KEY"},
		"no key":                  {"PeterNeumann+c74f20a3", "want NAME+KEYID+KEY"},
		"no name":                 {neumann[len("PeterNeumann"):], "name"},
		"another name":            {"x" + neumann, "altered or mistyped"},
		"another key id":          {strings.Replace(neumann, "c74f20a3", "c74f20a4", 1), "altered or mistyped"},
		"a key id in capitals":    {strings.Replace(rekor, "c0d23d6a", "C0D23D6A", 1), "altered or mistyped"},
		"a line break at the end": {neumann + "\n", "altered or mistyped"},
		"a short key":             {"PeterNeumann+c74f20a3+ARpc2QcU", "32 bytes"},
		"not base64":              {"PeterNeumann+c74f20a3+!!", "base64"},
		"another type":            {"PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "0x04"},
		"no point on the curve":   {strings.Replace(rekor, "WLc=", "WLg=", 1), "not on"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseVerifier(tc.vkey); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ParseVerifier error = %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestNewVerifierRefusesKeysThatCannotSignCheckpoints(t *testing.T) {
	for name, pub := range map[string]signer.PublicKey{
		"the zero key":          {},
		"secp256k1":             {Algorithm: signer.AlgorithmSecp256k1, Bytes: make([]byte, 65)},
		"rsa":                   {Algorithm: signer.AlgorithmRSA, Bytes: make([]byte, 270)},
		"half an ed25519 key":   {Algorithm: signer.AlgorithmEd25519, Bytes: make([]byte, 16)},
		"a p256 key of zeros":   {Algorithm: signer.AlgorithmP256, Bytes: make([]byte, 65)},
		"a compressed p256 key": {Algorithm: signer.AlgorithmP256, Bytes: append([]byte{2}, make([]byte, 32)...)},
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := NewVerifier(origin, pub); err == nil {
				t.Errorf("NewVerifier = %s, want an error", v)
			}
		})
	}
	if _, err := NewVerifier("two words", ed25519Device("a").public); err == nil {
		t.Error("a name with a space was accepted")
	}
	if new(Verifier).Verify([]byte("text"), make([]byte, 64)) {
		t.Error("the zero Verifier accepted a signature")
	}
}

func TestCheckpointsVerifyUnderTheirKeyOnly(t *testing.T) {
	c := new(log).grow(t, 5)
	for name, d := range map[string]device{"ed25519": ed25519Device("a"), "p256": p256Device(t, "a")} {
		t.Run(name, func(t *testing.T) {
			v := verifier(t, d)
			signed, err := c.Sign(v, d.sign)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := OpenCheckpoint(signed, v); err != nil || got != c {
				t.Errorf("OpenCheckpoint = %v, %v; want %v", got, err, c)
			}
			again, err := ParseVerifier(v.String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := OpenCheckpoint(signed, again); err != nil {
				t.Errorf("under the key from its text: %v", err)
			}
			other := verifier(t, ed25519Device("another"))
			if _, err := OpenCheckpoint(signed, other); err == nil || !strings.Contains(err.Error(), "not by the trusted key") {
				t.Errorf("under another key: error = %v", err)
			}
			for i := range signed {
				bad := slices.Clone(signed)
				bad[i] ^= 1
				if got, err := OpenCheckpoint(bad, v); err == nil && got != c {
					t.Fatalf("with byte %d changed: %v", i, got)
				}
			}
		})
	}
}

func TestASignatureThatDoesNotVerifyIsNotReturned(t *testing.T) {
	c := new(log).grow(t, 5)
	d, v := ed25519Device("a"), verifier(t, ed25519Device("a"))
	for name, sign := range map[string]func([]byte) ([]byte, error){
		"the device fails":           func([]byte) ([]byte, error) { return nil, errors.New("token removed") },
		"the device signs otherwise": func(text []byte) ([]byte, error) { return d.sign(text[1:]) },
		"another device signs":       ed25519Device("b").sign,
		"a signature is too short":   func([]byte) ([]byte, error) { return make([]byte, 63), nil },
	} {
		t.Run(name, func(t *testing.T) {
			if signed, err := c.Sign(v, sign); err == nil || signed != nil {
				t.Errorf("Sign = %q, %v; want an error and nothing", signed, err)
			}
		})
	}
	c.Origin = "another.example/journal"
	if _, err := c.Sign(v, d.sign); err == nil {
		t.Error("signed a checkpoint of another journal")
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	good := string(new(log).grow(t, 5).Text())
	root := strings.Split(good, "\n")[2]
	for name, text := range map[string]string{
		"nothing":            "",
		"no origin":          "\n5\n" + root + "\n",
		"a leading zero":     origin + "\n05\n" + root + "\n",
		"a negative size":    origin + "\n-5\n" + root + "\n",
		"a size beyond 2^53": origin + "\n9007199254740993\n" + root + "\n",
		"a short root":       origin + "\n5\n" + root[:40] + "\n",
		"a carriage return":  origin + "\n5\n" + root + "\r\n",
		"an extension line":  good + "more\n",
		"no last line break": good[:len(good)-1],
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := ParseCheckpoint([]byte(text)); err == nil {
				t.Errorf("ParseCheckpoint = %v, want an error", c)
			}
		})
	}
	if _, err := ParseCheckpoint([]byte(good)); err != nil {
		t.Errorf("ParseCheckpoint error = %v", err)
	}
}

func TestAProofShowsEveryLeafOfTheTreeAndNoOther(t *testing.T) {
	d := p256Device(t, "journal")
	v := verifier(t, d)
	var l log
	for size := uint64(1); size <= 17; size++ {
		l.grow(t, size)
		for leaf := range size {
			proof := l.prove(t, leaf, d).Encode()
			if _, c, err := Verify(v, entry(leaf), proof); err != nil || c.Size != size {
				t.Fatalf("leaf %d of %d: %v", leaf, size, err)
			}
			other := entry(leaf + 1)
			if _, _, err := Verify(v, other, proof); err == nil {
				t.Fatalf("the proof of leaf %d of %d shows leaf %d", leaf, size, other.Index)
			}
			other.Index = leaf
			if _, _, err := Verify(v, other, proof); err == nil {
				t.Fatalf("the proof of leaf %d of %d shows another leaf", leaf, size)
			}
		}
	}
}

func TestParseProofRefuses(t *testing.T) {
	var l log
	l.grow(t, 7)
	good := string(l.prove(t, 3, ed25519Device("journal")).Encode())
	hash := strings.Split(good, "\n")[2]
	for name, tc := range map[string]struct{ old, new, want string }{
		"another header":        {"@v1", "@v2", "first line"},
		"no index":              {"index 3\n", "", "no index"},
		"a leading zero":        {"index 3", "index 03", "canonical"},
		"a plus sign":           {"index 3", "index +3", "decimal"},
		"an index beyond 2^53":  {"index 3", "index 9007199254740992", "decimal"},
		"an empty extra":        {"index 3", "extra \nindex 3", "extra"},
		"extra after the index": {"index 3", "index 3\nextra AAAA", "32 bytes"},
		"a hash that is short":  {hash, hash[:40], "32 bytes"},
		"a carriage return":     {hash, hash + "\r", "canonical"},
		"no checkpoint":         {good[strings.Index(good, "\n\n"):], "\n\n", "no checkpoint"},
		"too many hashes":       {hash, strings.Repeat(hash+"\n", 60) + hash, "hashes"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, tc.old, tc.new, 1)
			if bad == good {
				t.Fatal("the test changed nothing")
			}
			if _, err := ParseProof([]byte(bad)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ParseProof error = %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestAProofWithExtraDataKeepsIt(t *testing.T) {
	var l log
	l.grow(t, 2)
	p := l.prove(t, 1, ed25519Device("journal"))
	p.Extra = []byte("context")
	got, err := ParseProof(p.Encode())
	if err != nil || string(got.Extra) != "context" {
		t.Errorf("ParseProof = %q, %v", got.Extra, err)
	}
}

func TestConsistency(t *testing.T) {
	var l log
	at := map[uint64]Checkpoint{}
	for size := uint64(0); size <= 9; size++ {
		at[size] = l.grow(t, size)
	}
	path := func(later, earlier uint64) []tlog.Hash {
		p, err := tlog.ProveTree(int64(later), int64(earlier), &l)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	rewritten := at[5]
	rewritten.Root[0] ^= 1
	foreign := at[5]
	foreign.Origin = "another.example/journal"
	for name, tc := range map[string]struct {
		earlier, later Checkpoint
		path           []tlog.Hash
		ok             bool
	}{
		"it grew":                              {at[5], at[9], path(9, 5), true},
		"it grew from nothing":                 {at[0], at[9], nil, true},
		"it is the same":                       {at[5], at[5], nil, true},
		"history was rewritten":                {rewritten, at[9], path(9, 5), false},
		"the same size with another root":      {rewritten, at[5], nil, false},
		"it shrank":                            {at[9], at[5], path(9, 5), false},
		"of another journal":                   {foreign, at[9], path(9, 5), false},
		"the proof is missing":                 {at[5], at[9], nil, false},
		"the proof is of another size":         {at[5], at[9], path(9, 4), false},
		"a proof where there is none to check": {at[0], at[9], path(9, 5), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckConsistency(tc.earlier, tc.later, tc.path); (err == nil) != tc.ok {
				t.Errorf("CheckConsistency error = %v, want ok = %v", err, tc.ok)
			}
		})
	}
}

func TestTheDocumentedLeafIsTheTestedOne(t *testing.T) {
	doc, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{wantLeaf[:32], wantLeaf[32:64], wantLeaf[64:80], wantLeaf[80:], wantLeafHash} {
		if !bytes.Contains(doc, []byte(part)) {
			t.Errorf("docs/formats.md lacks %s", part)
		}
	}
}

// The texts are those of docs/formats.md.
func TestTheDocumentedProofVerifies(t *testing.T) {
	const vkey = "sealward.dev/journal/f26c399457a3a158c34c3b7c3db967d3+3a56a73f+AZj2Xw48AUVstYrpeHIBUEmkBzHJ5LDtwliRkrCSxi+C"
	const text = `c2sp.org/tlog-proof@v1
index 1
0cC7etIHr0Z6JSFgWQM6YT4DpGRKjoSo+Sxjet0jXVc=

sealward.dev/journal/f26c399457a3a158c34c3b7c3db967d3
2
WMfrMQpYoZZnmmE6bkfWLY/70syMHg6MI2Jhdv7bxEQ=

— sealward.dev/journal/f26c399457a3a158c34c3b7c3db967d3 OlanP2MJGUdv6NgmxTcEpzai3Jnevrr8FnEWc+pl6B4K38l2TLnSeNgE46rOVWF39Wer4H8ZstqMChUAOn9zi4sKsQQ=
`
	doc, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if !bytes.Contains(doc, []byte(line)) {
			t.Errorf("docs/formats.md lacks %q", line)
		}
	}
	v, err := ParseVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseProof([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := OpenCheckpoint(p.Checkpoint, v); err != nil || c.Size != 2 {
		t.Errorf("OpenCheckpoint = size %d, %v", c.Size, err)
	}
}
