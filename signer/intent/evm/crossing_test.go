package evm_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/digest"
	"github.com/sealward/sealward/signer/intent/evm"
)

// decoders are those of Ethereum.
func decoders() map[signer.Kind]signer.Decoder {
	return map[signer.Kind]signer.Decoder{
		signer.KindEVMTransaction:   evm.Transaction{},
		signer.KindEVMTypedData:     evm.TypedData{},
		signer.KindEVMAuthorization: evm.Authorization{},
		signer.KindEVMMessage:       evm.Message{},
	}
}

// typedText is typed data that carries bytes.
func typedText(data []byte) string {
	return `{"types":{"EIP712Domain":[{"name":"chainId","type":"uint256"}],"Letter":[{"name":"data","type":"bytes"}]},` +
		`"primaryType":"Letter","domain":{"chainId":1},"message":{"data":"0x` + hex.EncodeToString(data) + `"}}`
}

func TestMessageThatIsSomethingElseIsRefused(t *testing.T) {
	to := address(payee)
	legacy := &types.LegacyTx{Nonce: 7, GasPrice: wei("1"), Gas: 21000, To: to, Value: wei("5")}
	berlin := &types.AccessListTx{ChainID: wei("1"), GasPrice: wei("1"), Gas: 21000, To: to}
	authorization := append([]byte{5}, encodeRLP(t, []any{uint64(1), to, uint64(7)})...)
	for name, test := range map[string]struct {
		payload []byte
		kind    signer.Kind
	}{
		"unsigned, type 0":          {rawOf(t, types.NewTx(legacy), wei("1")), signer.KindEVMTransaction},
		"unsigned, before EIP-155":  {list(t, nil, 7, 2, 21000, to.Bytes(), 5, []byte{}), signer.KindEVMTransaction},
		"unsigned, type 1":          {raw(t, berlin), signer.KindEVMTransaction},
		"unsigned, type 2":          {raw(t, pay(nil)), signer.KindEVMTransaction},
		"unsigned, type 3":          {raw(t, blobs(nil)), signer.KindEVMTransaction},
		"unsigned, type 4":          {raw(t, setCode(t, nil)), signer.KindEVMTransaction},
		"unsigned, creation":        {list(t, nil, 7, 2, 21000, []byte{}, 5, []byte{1}, 1, 0, 0), signer.KindEVMTransaction},
		"signed, type 0":            {signedBytes(t, legacy), signer.KindEVMTransaction},
		"signed, type 1":            {signedBytes(t, berlin), signer.KindEVMTransaction},
		"signed, type 2":            {signedBytes(t, pay(nil)), signer.KindEVMTransaction},
		"signed, type 3":            {signedBytes(t, blobs(nil)), signer.KindEVMTransaction},
		"signed, type 4":            {signedBytes(t, setCode(t, nil)), signer.KindEVMTransaction},
		"type 3 with its blobs":     {list(t, []byte{3}, []any{1, 2, 3}, []any{}, []any{}, []any{}), signer.KindEVMTransaction},
		"type 3 with cell proofs":   {list(t, []byte{3}, []any{1, 2, 3}, 1, []any{}, []any{}, []any{}), signer.KindEVMTransaction},
		"a type to come":            {append([]byte{6}, raw(t, pay(nil))[1:]...), signer.KindEVMTransaction},
		"type of another chain":     {append([]byte{0x76}, raw(t, pay(nil))[1:]...), signer.KindEVMTransaction},
		"JSON":                      {toJSON(t, object(types.NewTx(pay(nil)), wei("1"))), signer.KindEVMTransaction},
		"JSON of type 4":            {toJSON(t, object(types.NewTx(setCode(t, nil)), wei("1"))), signer.KindEVMTransaction},
		"JSON in other letter case": {[]byte(`{"Nonce":1,"GASLIMIT":2}`), signer.KindEVMTransaction},
		"an operation of ERC-4337":  {[]byte(`{"sender":"` + payee + `","nonce":"0x1","callGasLimit":"0x1"}`), signer.KindEVMTransaction},
		"an authorization":          {authorization, signer.KindEVMAuthorization},
		"an authorization as JSON":  {[]byte(`{"chainId":1,"address":"` + payee + `","nonce":7}`), signer.KindEVMAuthorization},
		"an authorization, signed":  {toJSON(t, authorize(t, 1, payee, 7)), signer.KindEVMAuthorization},
		"typed data":                {[]byte(typedText(nil)), signer.KindEVMTypedData},
		"what typed data hashes":    {append([]byte{0x19, 1}, make([]byte, 64)...), signer.KindEVMTypedData},
	} {
		upper := strings.ToUpper(hex.EncodeToString(test.payload))
		for form, b := range map[string]string{
			"":                                    string(test.payload),
			" between white space":                "\n " + string(test.payload) + "\r\n",
			" in hexadecimal":                     "0x" + hex.EncodeToString(test.payload),
			" in hexadecimal without 0x":          hex.EncodeToString(test.payload),
			" in hexadecimal between white space": " 0x" + hex.EncodeToString(test.payload) + "\r\n",
			" in hexadecimal between quotes":      "\"0x" + hex.EncodeToString(test.payload) + "\"\n",
			" in hexadecimal of several lines":    upper[:10] + "\n" + upper[10:],
			" in upper case":                      "0X" + upper,
			" in base64":                          base64.StdEncoding.EncodeToString(test.payload),
			" in base64 of URLs":                  base64.RawURLEncoding.EncodeToString(test.payload),
		} {
			if form == " between white space" && test.payload[0] != '{' {
				continue // white space is part of bytes
			}
			t.Run(name+form, func(t *testing.T) { crosses(t, []byte(b), test.kind) })
		}
		if test.payload[0] == '{' {
			quoted, err := json.Marshal(string(test.payload))
			if err != nil {
				t.Fatal(err)
			}
			t.Run(name+" in a string of JSON", func(t *testing.T) { crosses(t, quoted, test.kind) })
			t.Run(name+" behind a byte order mark", func(t *testing.T) { crosses(t, append([]byte("\ufeff"), test.payload...), test.kind) })
		}
		if len(test.payload) >= 25 {
			t.Run(name+" within a text", func(t *testing.T) {
				crosses(t, []byte("Please sign: "+upper+". Thank you!"), test.kind)
			})
			t.Run(name+" within a text, a digit too many", func(t *testing.T) {
				crosses(t, []byte("Please sign: f"+upper+"!"), test.kind)
			})
		}
	}
}

// crosses checks that a message is refused as what it also is.
func crosses(t *testing.T, payload []byte, kind signer.Kind) {
	t.Helper()
	err := signer.Crossing(signer.KindEVMMessage, payload, decoders())
	if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), string(kind)) {
		t.Errorf("Crossing of %q = %v, want it refused as %s", payload, err, kind)
	}
}

// TestHonestPayloadsCrossNothing is about what would make Sealward useless: a payload
// of one kind that is refused because it could be of another.
func TestHonestPayloadsCrossNothing(t *testing.T) {
	r, all := random{rand.New(rand.NewPCG(3, 4))}, maps.Clone(decoders())
	all[signer.KindDigest] = digest.Decoder{}
	for i := range 3000 {
		tx, chainID := r.transaction()
		signed, err := types.SignTx(tx, types.LatestSignerForChainID(chainID), private(t))
		if err != nil {
			t.Fatal(err)
		}
		wire, err := signed.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		unsigned := rawOf(t, tx, chainID)
		authorization := append([]byte{5}, encodeRLP(t, []any{r.Uint64(), r.bytes(20), r.Uint64()})...)
		calldata := append(r.bytes(4), make([]byte, 32*r.IntN(8))...)
		for _, p := range []struct {
			kind    signer.Kind
			payload []byte
		}{
			{signer.KindEVMTransaction, unsigned},
			{signer.KindEVMTransaction, toHex(unsigned)},
			{signer.KindEVMTransaction, toJSON(t, object(tx, chainID))},
			{signer.KindEVMTransaction, wire},
			{signer.KindEVMTransaction, toHex(wire)},
			{signer.KindEVMAuthorization, authorization},
			{signer.KindEVMAuthorization, toHex(authorization)},
			{signer.KindEVMAuthorization, []byte(`{"chainId":1,"address":"` + payee + `","nonce":7}`)},
			{signer.KindEVMTypedData, []byte(typedText(calldata))},
			{signer.KindEVMTypedData, []byte(typedText(r.bytes(100)))},
			{signer.KindEVMMessage, []byte("Order " + hex.EncodeToString(r.bytes(32)) + " of " + hex.EncodeToString(r.bytes(20)))},
			{signer.KindEVMMessage, r.bytes(32)},
			{signer.KindEVMMessage, []byte(base64.StdEncoding.EncodeToString(r.bytes(64)))},
			{signer.KindDigest, r.bytes(32)},
			{signer.KindDigest, toHex(r.bytes(64))},
		} {
			if err := signer.Crossing(p.kind, p.payload, all); err != nil {
				t.Fatalf("round %d: %s %q: %v", i, p.kind, p.payload, err)
			}
		}
	}
	for _, text := range []string{signIn, shortSignIn, "I own this", `{"nonce":"0x1"}`, "{", "0x", "\x19", strings.Repeat("f", 64), "xĀabc"} {
		if err := signer.Crossing(signer.KindEVMMessage, []byte(text), all); err != nil {
			t.Errorf("message %q: %v", text, err)
		}
	}
}

// An example of the prefixed bytes, which are those of a message given as bytes.
func TestPrefixedMessageIsRecognised(t *testing.T) {
	prefixed := []byte("\x19Ethereum Signed Message:\n2hi")
	if !(evm.Message{}).Recognises(prefixed) || (evm.Message{}).Recognises([]byte("hi")) {
		t.Error("Recognises must tell what a message hashes from a text")
	}
	if err := signer.Crossing(signer.KindEVMTransaction, toHex(prefixed), decoders()); signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("Crossing = %v, want it refused as a message", err)
	}
}

// A hash may have the shape of a transaction by chance: one in some fifty thousand has. It
// must not be refused as a digest for that.
func TestDigestsCrossNothing(t *testing.T) {
	r, all := random{rand.New(rand.NewPCG(5, 6))}, maps.Clone(decoders())
	all[signer.KindDigest] = digest.Decoder{}
	alike := 0
	for range 200_000 {
		hash := r.bytes(32)
		if (evm.Transaction{}).Recognises(hash) {
			alike++
		}
		if err := signer.Crossing(signer.KindDigest, hash, all); err != nil {
			t.Fatalf("Crossing of the digest %x = %v, want none", hash, err)
		}
	}
	if alike == 0 {
		t.Error("no hash looked like a transaction, so nothing was tested")
	}
}
