package evm_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	dai   = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
	daiID = "eip155:1/erc20:" + dai

	permitType       = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
	daiPermitType    = "Permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed)"
	permitSingleType = "PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
	permitBatchType  = "PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
	transferType     = "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)"
	transfersType    = "PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)"
	witnessType      = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,MockWitness witness)MockWitness(uint256 mock)TokenPermissions(address token,uint256 amount)"
	witnessesType    = "PermitBatchWitnessTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline,MockWitness witness)MockWitness(uint256 mock)TokenPermissions(address token,uint256 amount)"
	safeTxType       = "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
	mailType         = "Mail(Person from,Person to,string contents)Person(string name,address wallet)"
)

// object is what JSON calls one.
type obj = map[string]any

// typedBook is an owner's book with a token, a Safe and a friend in it.
func typedBook() signer.Book {
	return signer.NewBook(
		map[string]signer.Asset{
			ether:  {ID: ether, Name: "eth", Decimals: 18},
			usdcID: {ID: usdcID, Name: "usdc", Decimals: 6},
			daiID:  {ID: daiID, Name: "dai", Decimals: 18},
		},
		map[string]signer.Contract{account(ourSafe): {Name: "the vault", Kind: signer.ContractSafe}},
		map[string]string{account(payee): "acme"},
	)
}

// typedJSON writes typed data. Types are given as EIP-712 encodes them, those of the
// domain go by the members it has.
func typedJSON(t testing.TB, text string, domain, message obj) []byte {
	t.Helper()
	members := []obj{}
	for _, m := range [][2]string{{"name", "string"}, {"version", "string"}, {"chainId", "uint256"}, {"verifyingContract", "address"}, {"salt", "bytes32"}} {
		if _, ok := domain[m[0]]; ok {
			members = append(members, obj{"name": m[0], "type": m[1]})
		}
	}
	types := obj{"EIP712Domain": members}
	primary, _, _ := strings.Cut(text, "(")
	for _, def := range strings.Split(strings.TrimSuffix(text, ")"), ")") {
		name, list, ok := strings.Cut(def, "(")
		if !ok {
			t.Fatalf("no type: %q", def)
		}
		fields := []obj{}
		for _, f := range strings.Split(list, ",") {
			kind, name, _ := strings.Cut(f, " ")
			fields = append(fields, obj{"name": name, "type": kind})
		}
		types[name] = fields
	}
	return toJSON(t, obj{"types": types, "primaryType": primary, "domain": domain, "message": message})
}

func tokenDomain(token string) obj {
	return obj{"name": "USD Coin", "version": "2", "chainId": 1, "verifyingContract": token}
}

func permit2Domain() obj { return obj{"name": "Permit2", "chainId": 1, "verifyingContract": permit2At} }

func safeDomain() obj { return obj{"chainId": 1, "verifyingContract": ourSafe} }

// with is a message with some members changed.
func with(m obj, changes obj) obj {
	out := obj{}
	for k, v := range m {
		out[k] = v
	}
	for k, v := range changes {
		out[k] = v
	}
	return out
}

func permitMessage() obj {
	return obj{"owner": sender, "spender": stranger, "value": "1000000", "nonce": 3, "deadline": 1893456000}
}

func safeTxMessage() obj {
	const none = zeroAddress
	return obj{"to": payee, "value": "0", "data": "0x", "operation": 0, "safeTxGas": 0, "baseGas": 0, "gasPrice": 0,
		"gasToken": none, "refundReceiver": none, "nonce": 7}
}

func decodeTyped(t testing.TB, payload []byte) signer.Intent {
	t.Helper()
	in, err := evm.TypedData{}.Decode(payload, keyFor(t, "eip155:1"), typedBook())
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Effects) == 0 {
		t.Fatal("an intent without effects")
	}
	return in
}

func refusedTyped(t *testing.T, payload []byte, key signer.KeyInfo, want string) {
	t.Helper()
	in, err := evm.TypedData{}.Decode(payload, key, typedBook())
	if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), want) {
		t.Errorf("Decode error = %v, want code %q and %q", err, signer.CodeInvalid, want)
	}
	if len(in.Messages) > 0 {
		t.Error("refused, and yet there is a message to sign")
	}
}

// Digests that others computed, as hash of the domain, of the message, and of both.
func TestTypedDataDigestsArePublicOnes(t *testing.T) {
	const none = zeroAddress
	zeroPermit2 := obj{"name": "Permit2", "chainId": 1, "verifyingContract": none}
	details := obj{"token": none, "amount": "0", "expiration": "0", "nonce": 0}
	permitted := obj{"token": none, "amount": "0"}
	permitting := func(permitted any) obj {
		return obj{"permitted": permitted, "spender": none, "nonce": "0", "deadline": "0", "witness": obj{"mock": 0}}
	}
	without := func(m obj) obj { delete(m, "witness"); return m }
	arbitrum := obj{"chainId": 42161, "verifyingContract": "0x111CEEee040739fD91D29C34C33E6B3E112F2177"}
	for name, test := range map[string]struct {
		payload                 []byte
		domain, message, digest string // "" where not published
	}{
		"Mail of EIP-712": {typedJSON(t, mailType, mailDomain(), mail()),
			"0xf2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f",
			"0xc52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e",
			"0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"},
		"PermitSingle of the Permit2 SDK": {
			typedJSON(t, permitSingleType, zeroPermit2, obj{"details": details, "spender": none, "sigDeadline": "0"}),
			"", "", "0xd47437bffdbc4d123a2165feb6ca646b8700c038622ce304f84e9048bc744f36"},
		"PermitBatch of the Permit2 SDK": {
			typedJSON(t, permitBatchType, zeroPermit2, obj{"details": []obj{details}, "spender": none, "sigDeadline": "0"}),
			"", "", "0x49642ada5f77eb9458f8265eb01fed2684c2f25d50534fea3efdf2cf395deb2f"},
		"PermitTransferFrom of the Permit2 SDK": {typedJSON(t, transferType, zeroPermit2, without(permitting(permitted))),
			"", "", "0xb9bf9813799d7f0de28d2142b0bc80ec289d4a6a5b9f41834149df4188804dc5"},
		"PermitBatchTransferFrom of the Permit2 SDK": {typedJSON(t, transfersType, zeroPermit2, without(permitting([]obj{permitted}))),
			"", "", "0x5ba40c5ba725fec181e4a862c717adf91682b012ad01ea99a978189106d66923"},
		"PermitWitnessTransferFrom of the Permit2 SDK": {typedJSON(t, witnessType, zeroPermit2, permitting(permitted)),
			"", "", "0x4236a4a7b3e8e65dbb4cc758ef10dc4887e2959853fb615140d0f5e0ae7be7c9"},
		"PermitBatchWitnessTransferFrom of the Permit2 SDK": {typedJSON(t, witnessesType, zeroPermit2, permitting([]obj{permitted})),
			"", "", "0xb45d605b0a4d4f16930a4f48294d94c78f34411278fd3133626cc190273e3ccf"},
		"SafeTx of pcaversaccio/safe-tx-hashes-util: a Safe 1.3.0 gets an owner": {
			typedJSON(t, safeTxType, arbitrum, with(safeTxMessage(), obj{"to": "0x111CEEee040739fD91D29C34C33E6B3E112F2177", "nonce": 234,
				"data": "0x0d582f130000000000000000000000000c75fa5a5f1c0997e3eea425cfa13184ed0ec9e50000000000000000000000000000000000000000000000000000000000000003"})),
			"0x1cf7f9b1efe3bc47fe02fd27c649fea19e79d66040683a1c86c7490c80bf7291",
			"0xd9109ea63c50ecd3b80b6b27ed5c5a9fd3d546c2169dfb69bfa7ba24cd14c7a5",
			"0x0cb7250b8becd7069223c54e2839feaed4cee156363fbfe5dd0a48e75c4e25b3"},
		"SafeTx of Bybit: a Safe 1.1.1, whose domain has no chain": {bybit(t),
			"", "", "0xb3476d061aeb8fc1d605a873c483a2402d88a68a9cdd1a8b47655dd55ba004f8"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.TypedData{}.Decode(test.payload, keyFor(t, "eip155:1", "eip155:42161"), typedBook())
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []signer.Digest{
				{Name: "EIP-712 digest", Value: common.HexToHash(test.digest)},
				{Name: "EIP-712 domain hash", Value: common.HexToHash(test.domain)},
				{Name: "EIP-712 message hash", Value: common.HexToHash(test.message)},
			} {
				if got := in.Digests[i]; got.Name != want.Name || want.Value != ([32]byte{}) && got.Value != want.Value {
					t.Errorf("digest %d = %s %x, want %s %x", i, got.Name, got.Value, want.Name, want.Value)
				}
			}
			if m := in.Messages; len(m) != 1 || m[0].Scheme != signer.SchemeSecp256k1 || !bytes.Equal(m[0].Bytes, common.HexToHash(test.digest).Bytes()) {
				t.Errorf("messages = %x, want the digest %s", m, test.digest)
			}
		})
	}
}

// What three owners of Bybit's Safe signed on 2025-02-21, nonce 71. They signed it by
// eth_sign, as v above 30 tells (Safe, GnosisSafe.sol, checkSignatures).
func TestTypedDataDigestIsWhatBybitsOwnersSigned(t *testing.T) {
	sig := common.FromHex("0xd0afef78a52fd504479dc2af3dc401334762cbd05609c7ac18db9ec5abf4a07a5cc09fc86efd3489707b89b0c729faed616459189cb50084f208d03b201b001f1f")
	digest := decodeTyped(t, bybit(t)).Messages[0].Bytes
	hash := crypto.Keccak256([]byte("\x19Ethereum Signed Message:\n32"), digest)
	sig[64] -= 31
	pub, err := crypto.SigToPub(hash, sig)
	if err != nil {
		t.Fatal(err)
	}
	owners := []string{"0x1F4EB0a903619ac168b19A82F1a6e2e426522211", "0x3Cc3A225769900e003E264dd4CB43E90896BC21A", "0xe3dF2cCEAc61B1aFA311372ecC5B40A3A6585a9E"}
	if got := crypto.PubkeyToAddress(*pub).Hex(); !slices.Contains(owners, got) {
		t.Errorf("signed by %s, want one of %s", got, owners)
	}
}

// bybit is the transaction by which Bybit's Safe was taken over.
func bybit(t testing.TB) []byte {
	return typedJSON(t, safeTxType, obj{"verifyingContract": ourSafe}, with(safeTxMessage(), obj{
		"to": "0x96221423681A6d52E184D440a8eFCEbB105C7242", "operation": 1, "safeTxGas": 45746, "nonce": 71,
		"data": "0xa9059cbb000000000000000000000000bdd077f651ebe7f7b3ce16fe5f2b025be29695160000000000000000000000000000000000000000000000000000000000000000",
	}))
}

func mailDomain() obj {
	return obj{"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"}
}

func mail() obj {
	return obj{
		"from":     obj{"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
		"to":       obj{"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
		"contents": "Hello, Bob!",
	}
}

// EIP-712, "Test Cases": the key is the hash of "cow".
func TestTypedDataAssemblesWhatWalletsReturn(t *testing.T) {
	cow, err := crypto.ToECDSA(crypto.Keccak256([]byte("cow")))
	if err != nil {
		t.Fatal(err)
	}
	want := common.FromHex("0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c")
	if got := assembleTyped(t, typedJSON(t, mailType, mailDomain(), mail()), cow); !bytes.Equal(got, want) {
		t.Errorf("Assemble = %x, want %x", got, want)
	}
	for name, sigs := range map[string][][]byte{
		"no signature":         nil,
		"two signatures":       {want, want},
		"a signature too long": {append(slices.Clone(want), 0)},
		"v that is not 0 or 1": {want},
	} {
		if got, err := (evm.TypedData{}).Assemble(nil, keyFor(t), sigs); err == nil || got != nil {
			t.Errorf("%s: Assemble = %x, %v; want an error and nothing", name, got, err)
		}
	}
}

func assembleTyped(t *testing.T, payload []byte, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	sig, err := crypto.Sign(decodeTyped(t, payload).Messages[0].Bytes, key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := evm.TypedData{}.Assemble(payload, keyFor(t, "eip155:1"), [][]byte{sig})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTypedDataShowsEverythingThatIsSigned(t *testing.T) {
	text := "All(int8 below,bool yes,bool no,bytes4 four,bytes any,string text,Inner[] inner,uint256[] none)Inner(address who,uint256[2] pair)"
	payload := typedJSON(t, text, mailDomain(), obj{
		"below": -128, "yes": true, "no": false, "four": "0x00ff00ff", "any": "0x", "text": "a\nb",
		"inner": []obj{{"who": strings.ToLower(payee), "pair": []any{"0x10", "115792089237316195423570985008687907853269984665640564039457584007913129639935"}}},
		"none":  []any{},
	})
	got := decodeTyped(t, payload).Fields
	want := []signer.Field{
		{Name: "chain", Value: "eip155:1"},
		{Name: "signer", Value: sender},
		{Name: "type", Value: "All"},
		{Name: "type text", Value: text},
		{Name: "domain type text", Value: "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"},
		{Name: "domain.name", Value: "Ether Mail"},
		{Name: "domain.version", Value: "1"},
		{Name: "domain.chainId", Value: "1"},
		{Name: "domain.verifyingContract", Value: "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
		{Name: "message.below", Value: "-128"},
		{Name: "message.yes", Value: "true"},
		{Name: "message.no", Value: "false"},
		{Name: "message.four", Value: "0x00ff00ff"},
		{Name: "message.any", Value: "0x"},
		{Name: "message.text", Value: "a\nb"},
		{Name: "message.inner[0].who", Value: payee},
		{Name: "message.inner[0].pair[0]", Value: "16"},
		{Name: "message.inner[0].pair[1]", Value: "115792089237316195423570985008687907853269984665640564039457584007913129639935"},
		{Name: "message.none", Value: "no elements"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields = %v\nwant     %v", got, want)
	}
}

func TestTypedDataIsForTheChainsOfTheKey(t *testing.T) {
	other := with(tokenDomain(usdc), obj{"chainId": 10})
	refusedTyped(t, typedJSON(t, permitType, other, permitMessage()), keyFor(t, "eip155:1", "eip155:137"),
		`domain.chainId: it is for chain eip155:10, but key "hot" signs for eip155:1, eip155:137`)
	refusedTyped(t, typedJSON(t, permitType, tokenDomain(usdc), permitMessage()), keyFor(t), `signs for no chain at all`)
	refusedTyped(t, typedJSON(t, permitType, with(other, obj{"chainId": 0}), permitMessage()), keyFor(t, "eip155:1"), "it is for chain eip155:0")
}

func TestTypedDataIsRecognised(t *testing.T) {
	payload := typedJSON(t, permitType, tokenDomain(usdc), permitMessage())
	preimage := append([]byte("\x19\x01"), make([]byte, 64)...)
	for name, test := range map[string]struct {
		payload []byte
		want    bool
	}{
		"the JSON object":                      {payload, true},
		"the object among white space":         {append([]byte(" \n"), payload...), true},
		"an object that would be refused":      {bytes.Replace(payload, []byte(`"nonce":3`), []byte(`"nonce":-3`), 1), true},
		"what is hashed last":                  {preimage, true},
		"what is hashed last, a byte short":    {preimage[:65], false},
		"what is hashed last, a byte too long": {append(slices.Clone(preimage), 0), false},
		"an object of other members":           {[]byte(`{"types":{},"message":{}}`), false},
		"text":                                 {[]byte("hello"), false},
		"nothing":                              {nil, false},
	} {
		if got := (evm.TypedData{}).Recognises(test.payload); got != test.want {
			t.Errorf("%s: Recognises = %v, want %v", name, got, test.want)
		}
	}
}

func TestTypedDataPreviewNeedsNoKey(t *testing.T) {
	payload := typedJSON(t, transferType, permit2Domain(), obj{
		"permitted": obj{"token": usdc, "amount": "5"}, "spender": stranger, "nonce": "1", "deadline": 1893456000})
	want := decodeTyped(t, payload)
	got, err := evm.TypedData{}.Preview(payload, sender, typedBook())
	if err != nil || len(got.Messages) > 0 {
		t.Fatalf("Preview = %v, %v; want no message", got.Messages, err)
	}
	if !slices.Equal(quantities(got.Outflow), quantities(want.Outflow)) || !slices.Equal(got.Fields, want.Fields) || got.Effects[0].Actor != account(sender) {
		t.Errorf("Preview = %+v, want %+v", got, want)
	}
	got, err = evm.TypedData{}.Preview(payload, "", typedBook())
	if err != nil || got.Effects[0].Actor != "" || field(got, "signer") != "unknown (no key given)" {
		t.Errorf("Preview for nobody = %+v, %v", got, err)
	}
	if _, err := (evm.TypedData{}).Preview(payload, "0x12", typedBook()); signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("Preview for no address = %v", err)
	}
	got, err = evm.TypedData{}.Preview(bybit(t), sender, typedBook())
	if err != nil || got.Effects[0].Actor != "eip155:0:"+ourSafe {
		t.Errorf("Preview without a chain = %+v, %v; want accounts of eip155:0, which is no chain", got.Effects, err)
	}
}

func TestTypedDataOfNoSecp256k1KeyIsRefused(t *testing.T) {
	key := keyFor(t, "eip155:1")
	key.Public.Algorithm = signer.AlgorithmP256
	refusedTyped(t, typedJSON(t, mailType, mailDomain(), mail()), key, "want a secp256k1 key")
}

func TestTypedDataVersionNamesTheDecoder(t *testing.T) {
	if v := (evm.TypedData{}).Version(); v != "evm.typed_data/1" {
		t.Errorf("version = %q; changing it is a change of format", v)
	}
}

func TestTypedDataThatTakesTooMuchToShowIsRefused(t *testing.T) {
	// Few bytes of payload, and a long path to each of many leaves.
	long := strings.Repeat("a", 128)
	text, inner := "Top(T0 "+long+")", obj{}
	items := make([]any, 4000)
	for i := range items {
		items[i] = 1
	}
	inner[long] = items
	for i := range 14 {
		next := "T" + big.NewInt(int64(i+1)).String() + " " + long
		if i == 13 {
			next = "uint8[] " + long
		} else {
			inner = obj{long: inner}
		}
		text += "T" + big.NewInt(int64(i)).String() + "(" + next + ")"
	}
	refusedTyped(t, typedJSON(t, text, mailDomain(), obj{long: inner}), keyFor(t, "eip155:1"), "more than 1048576 bytes to show")
}

func TestTypedDataTypeHashesArePublicOnes(t *testing.T) {
	for text, want := range map[string]string{
		permitType:       "6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9", // OpenZeppelin, ERC20Permit
		daiPermitType:    "ea2aa0a1be11a07ed86d755c93467f4f82362b452371d1ba94d1715123511acb", // dss, Dai.sol
		safeTxType:       "bb8310d486368db6bd6f849402fdd73ad53d316b5a4b2644ad6efe0f941286d8", // Safe.sol
		authorizeType:    "7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267", // ERC-3009
		receiveType:      "d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8",
		cancelType:       "158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429",
		permitSingleType: "f3841cd1ff0085026a6327b620b67997ce40f282c88a8e905a7a5626e310f3d0", // Permit2, PermitHash.sol
		permitBatchType:  "af1b0d30d2cab0380e68f0689007e3254993c596f2fdd0aaa7f4d04f79440863",
		transferType:     "939c21a48a8dbe3a9a2404a1d46691e4d39f6583d6ec6b35714604c986d80106",
		transfersType:    "fcf35f5ac6a2c28868dc44c302166470266239195f02b0ee408334829333b766",
		packedOpType:     "29a0bca4af4be3421398da00295e58e6d7de38cb492214754cb6a47507dd6f8e", // ERC-4337, UserOperationLib.sol
		safeOp6Type:      "84aa190356f56b8c87825f54884392a9907c23ee0f8e1ea86336b763faf021bd", // Safe4337Module.sol 0.2.0
		safeOp7Type:      "c03dfc11d8b10bf9cf703d558958c8c42777f785d998c62060d85a4f0ef6ea7f", // Safe4337Module.sol 0.3.0
		safeMessageType:  "60b3cbf8b4a223d68d641b3b6ddf9a298e7f33710cf3d3a9d1146b5a6150fbca", // CompatibilityFallbackHandler.sol
	} {
		if got := hex.EncodeToString(crypto.Keccak256([]byte(text))); got != want {
			t.Errorf("hash of %s = %s, want %s", text, got, want)
		}
	}
}
