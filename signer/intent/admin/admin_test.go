package admin_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

var itself = signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}}

// versionA and versionB are what versions of policies look like.
var versionA, versionB = strings.Repeat("0a", 32), strings.Repeat("b1", 32)

// good has a payload of each act, and what policy sees of it.
var good = map[string]struct {
	payload string
	class   signer.Class
	want    map[string]string
}{
	"create": {
		`{"act":"keys.create","algorithm":"p256","name":"hot-2","options":{"slot":"9c","touch":"always"},"token":"card"}`,
		signer.ClassKeyCreate, map[string]string{"name": "hot-2", "token": "card", "algorithm": "p256", "protection": "resident", "origin": "generated"},
	},
	"create RSA": {
		`{"act":"keys.create","algorithm":"rsa","bits":3072,"name":"r","token":"hsm"}`,
		signer.ClassKeyCreate, map[string]string{"name": "r", "token": "hsm", "algorithm": "rsa", "bits": "3072", "protection": "resident", "origin": "generated"},
	},
	"create wrapped": {
		`{"act":"keys.create","algorithm":"secp256k1","name":"w","token":"chip","wrapped":true}`,
		signer.ClassKeyCreate, map[string]string{"name": "w", "token": "chip", "algorithm": "secp256k1", "protection": "wrapped", "origin": "generated"},
	},
	"import": {
		`{"act":"keys.import","blob":"aGVsbG8=","name":"w","token":"chip"}`,
		signer.ClassKeyImport, map[string]string{
			"name": "w", "token": "chip", "protection": "wrapped", "origin": "imported",
			"blob_digest": "0x2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", // printf hello | sha256sum
		},
	},
	"attest":            {`{"act":"keys.attest","key":"hot"}`, signer.ClassKeyAttest, map[string]string{"key": "hot"}},
	"attest afresh":     {`{"act":"keys.attest","challenge":"AAEC","key":"hot"}`, signer.ClassKeyAttest, map[string]string{"key": "hot"}},
	"disable":           {`{"act":"keys.disable","key":"hot","reason":"laptop \"lost\" <b> & \\u2028 é"}`, signer.ClassKeyDisable, map[string]string{"key": "hot", "reason": `laptop "lost" <b> & \u2028 é`}},
	"enable":            {`{"act":"keys.enable","key":"hot","reason":"found"}`, signer.ClassKeyEnable, map[string]string{"key": "hot", "reason": "found"}},
	"rotate":            {`{"act":"keys.rotate","key":"hot","successor":"hot-2"}`, signer.ClassKeyRotate, map[string]string{"key": "hot", "successor": "hot-2"}},
	"change the policy": {`{"act":"policy.change","from":"` + versionA + `","reason":"a vendor moved","to":"` + versionB + `"}`, signer.ClassPolicyChange, map[string]string{"from": versionA, "to": versionB, "reason": "a vendor moved"}},
	"change it by a recovery": {
		`{"act":"policy.change","from":"` + versionA + `","reason":"the treasury lost its tokens","recovery":true,"to":"` + versionB + `"}`, signer.ClassPolicyChange,
		map[string]string{"from": versionA, "to": versionB, "reason": "the treasury lost its tokens", "recovery": "true"},
	},
	"trust the file":                {`{"act":"policy.trust_file","reason":"a test host"}`, signer.ClassTrustFile, map[string]string{"reason": "a test host"}},
	"trust the file, by a recovery": {`{"act":"policy.trust_file","reason":"x","recovery":true}`, signer.ClassTrustFile, map[string]string{"reason": "x", "recovery": "true"}},
	"thaw":                          {`{"act":"thaw","reason":"it was a drill"}`, signer.ClassThaw, map[string]string{"reason": "it was a drill"}},
	"thaw, by a recovery":           {`{"act":"thaw","reason":"x","recovery":true}`, signer.ClassThaw, map[string]string{"reason": "x", "recovery": "true"}},
	"duplicate":                     {`{"act":"keys.duplicate","key":"hot","target":"aGVsbG8="}`, signer.ClassKeyDuplicate, map[string]string{"key": "hot", "target_digest": "0x2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}},
	"duplicate a test":              {`{"act":"keys.duplicate","key":"hot","target":"aGVsbG8=","test_exception":"swtpm of the drill"}`, signer.ClassKeyDuplicate, map[string]string{"key": "hot", "target_digest": "0x2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "test_exception": "swtpm of the drill"}},
}

func TestDecode(t *testing.T) {
	for name, c := range good {
		t.Run(name, func(t *testing.T) {
			in, err := admin.Decoder{}.Decode([]byte(c.payload), itself, signer.Book{})
			if err != nil {
				t.Fatal(err)
			}
			if len(in.Effects) != 1 || in.Effects[0].Class != c.class || !maps.Equal(in.Effects[0].Attributes, c.want) {
				t.Errorf("effects = %+v, want one of class %s with %v", in.Effects, c.class, c.want)
			}
			if !in.Complete || in.Kind != signer.KindAdmin || len(in.Messages)+len(in.Outflow) != 0 {
				t.Errorf("intent = %+v, want a complete one that signs nothing and moves nothing", in)
			}
			o, err := admin.Parse([]byte(c.payload))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := o.Encode(); err != nil || string(again) != c.payload {
				t.Errorf("Encode = %s, %v; want %s", again, err, c.payload)
			}
		})
	}
}

// Whatever an order says is shown: each of its texts is an attribute or a field, and
// each blob is there by its digest.
func TestAllOfAnOrderIsShown(t *testing.T) {
	in, err := admin.Decoder{}.Decode([]byte(good["create"].payload), itself, signer.Book{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []signer.Field{{Name: "act", Value: "keys.create"}, {Name: "option slot", Value: "9c"}, {Name: "option touch", Value: "always"}} {
		if !slices.Contains(in.Fields, f) {
			t.Errorf("fields %v lack %v", in.Fields, f)
		}
	}
	in, err = admin.Decoder{}.Decode([]byte(good["duplicate a test"].payload), itself, signer.Book{})
	if err != nil || len(in.Digests) != 1 || in.Digests[0].Name != "target" {
		t.Errorf("digests = %v, %v", in.Digests, err)
	}
	if len(in.Warnings) != 1 || in.Warnings[0].Code != admin.WarnTestException || in.Warnings[0].Severity != signer.SeverityDanger {
		t.Errorf("warnings = %v", in.Warnings)
	}
	in, err = admin.Decoder{}.Decode([]byte(good["import"].payload), itself, signer.Book{})
	if err != nil || len(in.Warnings) != 1 || in.Warnings[0].Code != admin.WarnKeyImported {
		t.Errorf("warnings of an import = %v, %v", in.Warnings, err)
	}
}

// Whoever approves a recovery does it with open eyes, whichever act it is.
func TestARecoveryIsShownAsBreakGlass(t *testing.T) {
	for name, want := range map[string][]string{
		"change it by a recovery": {admin.WarnRecovery}, "trust the file, by a recovery": {admin.WarnRecovery, admin.WarnTrustFile}, "thaw, by a recovery": {admin.WarnRecovery},
		"change the policy": nil, "trust the file": {admin.WarnTrustFile}, "thaw": nil,
	} {
		in, err := admin.Decoder{}.Decode([]byte(good[name].payload), itself, signer.Book{})
		var codes []string
		for _, w := range in.Warnings {
			codes = append(codes, w.Code)
			if w.Code == admin.WarnRecovery && (w.Severity != signer.SeverityDanger || !strings.HasPrefix(w.Text, "break-glass: ")) {
				t.Errorf("%s: %+v", name, w)
			}
		}
		if err != nil || !slices.Equal(codes, want) {
			t.Errorf("%s: warnings %q, %v; want %q", name, codes, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := base64.StdEncoding.EncodeToString(make([]byte, 33))
	for name, c := range map[string]struct{ payload, want string }{
		"nothing":                          {``, "empty"},
		"no act":                           {`{"key":"hot"}`, "no act is named"},
		"an act that is not":               {`{"act":"keys.delete","key":"hot"}`, `no act is named "keys.delete"`},
		"an unknown field":                 {`{"act":"keys.attest","kye":"hot"}`, "kye"},
		"a field twice":                    {`{"act":"keys.attest","key":"hot","key":"cold"}`, "key"},
		"a case twin":                      {`{"act":"keys.attest","key":"hot","Key":"cold"}`, "Key"},
		"a case twin alone":                {`{"act":"keys.attest","Key":"hot"}`, "Key"},
		"a second value":                   {`{"act":"keys.attest","key":"hot"}{}`, "trailing data"},
		"null":                             {`{"act":"keys.attest","challenge":null,"key":"hot"}`, "null"},
		"white space":                      {`{"act": "keys.attest","key":"hot"}`, "not in canonical form"},
		"a line feed at the end":           {`{"act":"keys.attest","key":"hot"}` + "\n", "not in canonical form"},
		"fields out of order":              {`{"key":"hot","act":"keys.attest"}`, "not in canonical form"},
		"an escape that need not be":       {`{"act":"keys.attest","key":"h\u006ft"}`, "not in canonical form"},
		"an escaped solidus":               {`{"act":"keys.disable","key":"hot","reason":"a\/b"}`, "not in canonical form"},
		"an empty field":                   {`{"act":"keys.attest","challenge":"","key":"hot"}`, "not in canonical form"},
		"a false field":                    {`{"act":"keys.create","algorithm":"p256","name":"w","token":"t","wrapped":false}`, "not in canonical form"},
		"empty options":                    {`{"act":"keys.create","algorithm":"p256","name":"w","options":{},"token":"t"}`, "not in canonical form"},
		"a number in another form":         {`{"act":"keys.create","algorithm":"rsa","bits":2.048e3,"name":"w","token":"t"}`, "bits"},
		"a field that is missing":          {`{"act":"keys.disable","key":"hot"}`, "reason is missing"},
		"a field of another act":           {`{"act":"keys.disable","key":"hot","reason":"x","successor":"cold"}`, "it has no successor"},
		"an import that calls itself safe": {`{"act":"keys.import","algorithm":"p256","blob":"aGVsbG8=","name":"w","token":"chip"}`, "it has no algorithm"},
		"a name with a slash":              {`{"act":"keys.attest","key":"../hot"}`, "a name is made of"},
		"a reserved name":                  {`{"act":"keys.create","algorithm":"p256","name":"sealward","token":"t"}`, "stands for Sealward itself"},
		"an algorithm that is not":         {`{"act":"keys.create","algorithm":"P256","name":"w","token":"t"}`, "want secp256k1"},
		"an RSA key of no size":            {`{"act":"keys.create","algorithm":"rsa","name":"w","token":"t"}`, "want 2048"},
		"an RSA key that is weak":          {`{"act":"keys.create","algorithm":"rsa","bits":1024,"name":"w","token":"t"}`, "want 2048"},
		"a curve with a size":              {`{"act":"keys.create","algorithm":"p256","bits":2048,"name":"w","token":"t"}`, "bits are for rsa keys"},
		"an option with an odd name":       {`{"act":"keys.create","algorithm":"p256","name":"w","options":{"Slot":"9c"},"token":"t"}`, "its name is made of"},
		"an option of nothing":             {`{"act":"keys.create","algorithm":"p256","name":"w","options":{"slot":""},"token":"t"}`, "option slot"},
		"a reason that turns text around":  {"{\"act\":\"keys.disable\",\"key\":\"hot\",\"reason\":\"a\u202eb\"}", "do not print"},
		"a reason with a hidden character": {"{\"act\":\"keys.disable\",\"key\":\"hot\",\"reason\":\"a\u115fb\"}", "do not print"},
		"a reason of two lines":            {`{"act":"keys.disable","key":"hot","reason":"a\nb"}`, "do not print"},
		"a reason of spaces":               {`{"act":"keys.disable","key":"hot","reason":" "}`, "without space around it"},
		"a reason that goes on and on":     {`{"act":"keys.disable","key":"hot","reason":"` + strings.Repeat("x", 501) + `"}`, "1 to 500 bytes"},
		"a blob that is no base64":         {`{"act":"keys.import","blob":"aGVsbG8","name":"w","token":"chip"}`, "want base64"},
		"a blob with loose ends":           {`{"act":"keys.import","blob":"aGVsbG9=","name":"w","token":"chip"}`, "want base64"},
		"a blob with a line end":           {`{"act":"keys.import","blob":"aGVs\nbG8=","name":"w","token":"chip"}`, "without line ends"},
		"a change to the same policy":      {`{"act":"policy.change","from":"` + versionA + `","reason":"x","to":"` + versionA + `"}`, "nothing would change"},
		"a change from nothing":            {`{"act":"policy.change","reason":"x","to":"` + versionA + `"}`, "from is missing"},
		"a change to nothing":              {`{"act":"policy.change","from":"` + versionA + `","reason":"x"}`, "to is missing"},
		"a change for no reason":           {`{"act":"policy.change","from":"` + versionA + `","to":"` + versionB + `"}`, "reason is missing"},
		"a version in capitals":            {`{"act":"policy.change","from":"` + versionA + `","reason":"x","to":"` + strings.ToUpper(versionB) + `"}`, "64 hexadecimal digits"},
		"a version with a line end":        {`{"act":"policy.change","from":"` + versionA + `\n","reason":"x","to":"` + versionB + `"}`, "64 hexadecimal digits"},
		"a version that is cut off":        {`{"act":"policy.change","from":"` + versionA + `","reason":"x","to":"` + versionB[:8] + `"}`, "64 hexadecimal digits"},
		"a change of policy with a key":    {`{"act":"policy.change","from":"` + versionA + `","key":"hot","reason":"x","to":"` + versionB + `"}`, "it has no key"},
		"a key that is sent somewhere":     {`{"act":"keys.disable","key":"hot","reason":"x","to":"` + versionB + `"}`, "it has no to"},
		"a thaw for no reason":             {`{"act":"thaw"}`, "reason is missing"},
		"trust in a file for no reason":    {`{"act":"policy.trust_file","recovery":true}`, "reason is missing"},
		"a thaw of a key":                  {`{"act":"thaw","key":"hot","reason":"x"}`, "it has no key"},
		"a recovery of another act":        {`{"act":"keys.enable","key":"hot","reason":"x","recovery":true}`, "it has no recovery"},
		"a recovery that is none":          {`{"act":"thaw","reason":"x","recovery":false}`, "not in canonical form"},
		"a recovery in quotes":             {`{"act":"thaw","reason":"x","recovery":"true"}`, "recovery"},
		"a recovery ahead of the reason":   {`{"act":"thaw","recovery":true,"reason":"x"}`, "not in canonical form"},
		"a challenge that no device takes": {`{"act":"keys.attest","challenge":"` + long + `","key":"hot"}`, "the most is 32"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := admin.Decoder{}.Decode([]byte(c.payload), itself, signer.Book{})
			if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Decode = %+v, %v; want an invalid request and %q", in, err, c.want)
			}
		})
	}
	if _, err := (admin.Decoder{}).Decode([]byte(good["attest"].payload), signer.KeyInfo{Name: "hot"}, signer.Book{}); signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("for a key that is not Sealward itself: %v", err)
	}
}

func TestAnOrderThatCannotBeReadIsNotEncoded(t *testing.T) {
	for name, o := range map[string]admin.Order{
		"the zero order": {},
		"a missing key":  {Act: admin.ActRotate, Key: "hot"},
		"a stray field":  {Act: admin.ActAttest, Key: "hot", Wrapped: true},
	} {
		if out, err := o.Encode(); err == nil || out != nil {
			t.Errorf("%s: Encode = %s, %v", name, out, err)
		}
	}
	if _, err := admin.Of(signer.Act{}); err == nil {
		t.Error("the zero Act has an order")
	}
	if out, err := (admin.Decoder{}).Assemble(nil, itself, nil); err == nil || out != nil {
		t.Errorf("Assemble = %x, %v", out, err)
	}
}

// FuzzOrder checks that a payload has one reading and one form.
func FuzzOrder(f *testing.F) {
	for _, c := range good {
		f.Add([]byte(c.payload))
	}
	f.Add([]byte(`{"act":"keys.attest","key":"h\u006ft"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := admin.Parse(in)
		if err != nil {
			return
		}
		if out, err := o.Encode(); err != nil || string(out) != string(in) {
			t.Errorf("accepted %q but it encodes as %q, %v", in, out, err)
		}
		// encoding/json sorts the members of a map, and so writes RFC 8785 for what the
		// texts of an order may hold.
		var tree map[string]any
		dec := json.NewDecoder(bytes.NewReader(in))
		dec.UseNumber()
		if err := dec.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(tree); err != nil || b.String() != string(in)+"\n" {
			t.Errorf("accepted %q; canonical is %q, %v", in, b.String(), err)
		}
		intent, err := admin.Decoder{}.Decode(in, itself, signer.Book{})
		if err != nil || len(intent.Effects) != 1 || !slices.Contains(signer.Classes(), intent.Effects[0].Class) {
			t.Errorf("accepted %q, but its intent is %+v, %v", in, intent, err)
		}
		for name, value := range intent.Effects[0].Attributes {
			if value == "" {
				t.Errorf("attribute %s of %q is empty", name, in)
			}
		}
	})
}
