package evm_test

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// A permission that is signed once and lives for ever, or for longer than anyone
// remembers: what a policy goes by is until when the signature can be used.
func TestPermitThatLivesTooLong(t *testing.T) {
	for name, test := range map[string]struct {
		deadline    any
		usableUntil string
		warnings    []string
	}{
		"until the year 2100":       {4102444800, "2100-01-01T00:00:00Z", nil},
		"until the last of 9999":    {253402300799, "9999-12-31T23:59:59Z", nil},
		"until the year 10000":      {253402300800, "", []string{evm.WarnNeverExpires}},
		"until 2^256-1":             {maxWord, "", []string{evm.WarnNeverExpires}},
		"until 2^64, which is zero": {"18446744073709551616", "", []string{evm.WarnNeverExpires}},
	} {
		t.Run(name, func(t *testing.T) {
			in := decodeTyped(t, typedJSON(t, permitType, tokenDomain(usdc), with(permitMessage(), obj{"deadline": test.deadline})))
			if got := in.Effects[0].Attributes["usable_until"]; got != test.usableUntil || !in.Effects[0].Until.IsZero() {
				t.Errorf("usable until %q, ends %s; want %q and no end", got, in.Effects[0].Until, test.usableUntil)
			}
			if got := warnings(in); !slices.Equal(got, test.warnings) {
				t.Errorf("warnings = %v, want %v", got, test.warnings)
			}
		})
	}
}

// The shape of Bybit: a Safe that runs foreign code, under the selector of a transfer.
func TestSafeTransactionThatDelegatesIsNoTransfer(t *testing.T) {
	payload := typedJSON(t, safeTxType, safeDomain(), with(safeTxMessage(), obj{
		"to": "0x96221423681A6d52E184D440a8eFCEbB105C7242", "operation": 1,
		"data": "0xa9059cbb000000000000000000000000bdd077f651ebe7f7b3ce16fe5f2b025be29695160000000000000000000000000000000000000000000000000000000000000000",
	}))
	in := decodeTyped(t, payload)
	e := in.Effects[0]
	if len(in.Effects) != 1 || e.Class != signer.ClassDelegateCall || e.Actor != account(ourSafe) ||
		e.Counterparty != account("0x96221423681A6d52E184D440a8eFCEbB105C7242") || e.Quantity.Kind != signer.QuantityUnknown {
		t.Errorf("effects = %+v, want one delegatecall by the Safe", in.Effects)
	}
	if in.Complete || !slices.Contains(warnings(in), evm.WarnDelegateCall) {
		t.Errorf("complete = %v, warnings = %v", in.Complete, warnings(in))
	}
}

func TestSafeTransactionPaysARefund(t *testing.T) {
	in := decodeTyped(t, typedJSON(t, safeTxType, safeDomain(), with(safeTxMessage(), obj{
		"value": "5", "gasPrice": 10, "baseGas": 100, "gasToken": usdc, "refundReceiver": stranger})))
	var refund *signer.Effect
	for i, e := range in.Effects {
		if e.Attributes["act"] == "gas_refund" {
			refund = &in.Effects[i]
		}
	}
	if refund == nil || refund.Class != signer.ClassTransfer || refund.Actor != account(ourSafe) || refund.Counterparty != account(stranger) ||
		refund.Quantity.Kind != signer.QuantityAtMost || refund.Quantity.Asset != usdcID || refund.Quantity.N.Cmp(big.NewInt(1000)) < 0 {
		t.Errorf("effects = %+v, want a refund in usdc", in.Effects)
	}
	if !slices.Contains(warnings(in), evm.WarnGasRefund) {
		t.Errorf("warnings = %v", warnings(in))
	}
}

// An EIP-7702 authorisation, or anything else, in the clothes of typed data.
func TestTypedDataOfAnUnknownTypeCouldBeAnything(t *testing.T) {
	checkTyped(t, map[string]typedCase{
		"an authorisation to hand the account over": {
			typedJSON(t, "Authorization(uint256 chainId,address delegate,uint64 nonce)", mailDomain(), obj{"chainId": 0, "delegate": stranger, "nonce": 1}),
			[]signer.Effect{unknownMessage("0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC", "Authorization", "")}, []string{evm.WarnUnknownTypedData}, false},
		"an order at a contract in the book": {
			typedJSON(t, "Order(address maker,uint256 price)", tokenDomain(usdc), obj{"maker": sender, "price": 1}),
			[]signer.Effect{unknownMessage(usdc, "Order", "")}, []string{evm.WarnUnknownTypedData}, false},
		"a delegation of votes": {
			typedJSON(t, "Delegation(address delegatee,uint256 nonce,uint256 expiry)", tokenDomain(usdc), obj{"delegatee": payee, "nonce": 1, "expiry": 1}),
			[]signer.Effect{unknownMessage(usdc, "Delegation", "delegation of votes (ERC-5805)")}, []string{evm.WarnUnknownTypedData}, false},
		"a request to a forwarder": {
			typedJSON(t, "ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,bytes data)", mailDomain(),
				obj{"from": sender, "to": usdc, "value": 0, "gas": 1, "nonce": 1, "deadline": 1, "data": "0x"}),
			[]signer.Effect{unknownMessage("0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC", "ForwardRequest", "request to a forwarder (ERC-2771)")},
			[]string{evm.WarnUnknownTypedData}, false},
	})
}

// Permit2 has one address everywhere, and one domain.
func TestPermit2ElsewhereIsUnknown(t *testing.T) {
	message := obj{"permitted": obj{"token": usdc, "amount": "5"}, "spender": payee, "nonce": "5", "deadline": 1893456000}
	read := func(contract string) signer.Effect {
		attributes := fromPermit2("PermitTransferFrom", "5")
		attributes["contract"] = account(contract)
		return allowed(sender, payee, signer.AtMost(usdcID, big.NewInt(5)), at2030, attributes)
	}
	for name, domain := range map[string]obj{
		"another address":         {"name": "Permit2", "chainId": 1, "verifyingContract": stranger},
		"another name":            {"name": "Permit3", "chainId": 1, "verifyingContract": permit2At},
		"a version in the domain": {"name": "Permit2", "version": "1", "chainId": 1, "verifyingContract": permit2At},
		"no name":                 {"chainId": 1, "verifyingContract": permit2At},
		"a contract of the book":  {"name": "Permit2", "chainId": 1, "verifyingContract": ourSafe},
	} {
		contract := domain["verifyingContract"].(string)
		checkTyped(t, map[string]typedCase{name: {typedJSON(t, transferType, domain, message),
			[]signer.Effect{read(contract), unknownMessage(contract, "PermitTransferFrom", "Permit2 transfer")},
			[]string{evm.WarnUnknownContract}, false}})
	}
}

// What begins and ends like the address of a friend is planted to be copied.
func TestTypedDataWithAnAddressThatResemblesAFriendsIsWarnedOf(t *testing.T) {
	alike := common.HexToAddress(payee[:10] + "0000000000000000000000" + payee[32:]).Hex()
	for name, payload := range map[string][]byte{
		"as a spender":    typedJSON(t, permitType, tokenDomain(usdc), with(permitMessage(), obj{"spender": alike})),
		"as a leaf":       typedJSON(t, mailType, mailDomain(), with(mail(), obj{"to": obj{"name": "Bob", "wallet": alike}})),
		"as the contract": typedJSON(t, mailType, with(mailDomain(), obj{"verifyingContract": alike}), mail()),
	} {
		if in := decodeTyped(t, payload); !slices.Contains(warnings(in), evm.WarnResembles) {
			t.Errorf("%s: warnings = %v, want %s", name, warnings(in), evm.WarnResembles)
		}
	}
	if in := decodeTyped(t, typedJSON(t, permitType, tokenDomain(usdc), with(permitMessage(), obj{"spender": payee}))); len(in.Warnings) > 0 {
		t.Errorf("the friend's own address: warnings = %v", warnings(in))
	}
}

func TestTypedDataWithTextThatHidesIsWarnedOf(t *testing.T) {
	for name, test := range map[string]struct {
		contents string
		want     string
	}{
		"right to left override": {"pay \u202eecila\u202c", evm.WarnHiddenCharacters},
		"zero width space":       {"pay\u200b", evm.WarnHiddenCharacters},
		"cyrillic in latin":      {"p\u0430yment", evm.WarnMixedScripts},
		"plain":                  {"payment\nof 5", ""},
	} {
		in := decodeTyped(t, typedJSON(t, mailType, mailDomain(), with(mail(), obj{"contents": test.contents})))
		if got := slices.Contains(warnings(in), test.want); got != (test.want != "") {
			t.Errorf("%s: warnings = %v, want %q", name, warnings(in), test.want)
		}
		if got := field(in, "message.contents"); got != test.contents {
			t.Errorf("%s: shown as %q, want it as it is", name, got)
		}
	}
	in := decodeTyped(t, typedJSON(t, mailType, with(mailDomain(), obj{"name": "Eth\u200ber"}), mail()))
	if !slices.Contains(warnings(in), evm.WarnHiddenCharacters) {
		t.Errorf("name of the domain: warnings = %v", warnings(in))
	}
}

// What is shown and not signed, or signed twice over, never gets as far as an intent.
func TestTypedDataThatReadersDisagreeOnIsRefused(t *testing.T) {
	good := string(typedJSON(t, permitType, tokenDomain(usdc), permitMessage()))
	key := keyFor(t, "eip155:1")
	for name, change := range map[string][2]string{
		"an address as a number":                  {`"spender":"` + stranger + `"`, `"spender":1286`},
		"a wrong checksum":                        {`"spender":"0xd`, `"spender":"0xD`},
		"a member twice":                          {`"nonce":3`, `"nonce":3,"nonce":4`},
		"a member more than the type has":         {`"nonce":3`, `"nonce":3,"note":"for you"`},
		"a member of the domain that is unsigned": {`"version":"2"`, `"version":"2","salt":"` + word1 + `"`},
		"a number with a fraction":                {`"nonce":3`, `"nonce":3.5`},
		"something after the object":              {`}`, `} {}`},
	} {
		payload := strings.Replace(good, change[0], change[1], 1)
		if name == "something after the object" {
			payload = good + "{}"
		}
		if payload == good {
			t.Fatalf("%s: nothing changed", name)
		}
		t.Run(name, func(t *testing.T) { refusedTyped(t, []byte(payload), key, "typed data") })
	}
}

// Without a chain in its domain, what is signed can be used again on every chain. A
// Safe before 1.3.0 is like that.
func TestTypedDataWithoutAChainHoldsOnEveryChain(t *testing.T) {
	for name, test := range map[string]struct {
		payload []byte
		class   signer.Class
	}{
		"a permit":         {typedJSON(t, permitType, obj{"name": "USD Coin", "verifyingContract": usdc}, permitMessage()), signer.ClassAllowance},
		"a Safe below 1.3": {typedJSON(t, safeTxType, obj{"verifyingContract": ourSafe}, with(safeTxMessage(), obj{"value": 5})), signer.ClassTransfer},
		"an unknown type":  {typedJSON(t, mailType, obj{"name": "Ether Mail"}, mail()), signer.ClassUnknownMessage},
	} {
		t.Run(name, func(t *testing.T) {
			in := decodeTyped(t, test.payload)
			if in.Complete || in.Class() != signer.ClassUnknownMessage || !slices.Contains(warnings(in), evm.WarnEveryChain) {
				t.Errorf("complete = %v, class = %q, warnings = %v", in.Complete, in.Class(), warnings(in))
			}
			if in.Effects[0].Class != test.class {
				t.Errorf("first effect is a %q, want %q", in.Effects[0].Class, test.class)
			}
			for _, e := range in.Effects {
				if e.Attributes["every_chain"] != "true" || !strings.HasPrefix(e.Actor, "eip155:1:") {
					t.Errorf("effect %+v, want it on every chain, read for the key's one", e)
				}
			}
			in, err := evm.TypedData{}.Decode(test.payload, keyFor(t, "eip155:1", "eip155:10"), typedBook())
			if err != nil || !strings.HasPrefix(in.Effects[0].Actor, "eip155:0:") {
				t.Errorf("for a key of two chains: %+v, %v; want accounts of eip155:0, which is no chain", in.Effects, err)
			}
		})
	}
}

// multiSendOf is the calldata of MultiSend for one call, packed as it wants calls:
// operation, address, value, length and bytes.
func multiSendOf(to string, data []byte) string {
	packed := append([]byte{0}, common.HexToAddress(to).Bytes()...)
	packed = append(packed, make([]byte, 32)...)
	packed = append(packed, common.BigToHash(big.NewInt(int64(len(data)))).Bytes()...)
	return text0x(calldata("multiSend(bytes)", append(packed, data...)))
}

func TestSafeTransactionThatHidesAnApproveInABatchIsAnAllowance(t *testing.T) {
	in := decodeTyped(t, typedJSON(t, safeTxType, safeDomain(), with(safeTxMessage(), obj{
		"to": multiSend13, "operation": 1, "data": multiSendOf(usdc, call(approve, stranger, below(pow2(256))))})))
	want := signer.Effect{Class: signer.ClassAllowance, Actor: account(ourSafe), Counterparty: account(stranger),
		Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdcID}, Attributes: map[string]string{"contract": account(usdc), "call": "1.1", "nonce": "7", "type": "SafeTx"}}
	if !reflect.DeepEqual(text(in.Effects), text([]signer.Effect{want})) || !in.Complete {
		t.Errorf("effects = %v, complete = %v; want %v", text(in.Effects), in.Complete, text([]signer.Effect{want}))
	}
	if got := warnings(in); !slices.Contains(got, evm.WarnUnlimitedAllowance) {
		t.Errorf("warnings = %v", got)
	}
}

func TestSafeTransactionOfASafeThatNobodyKnowsIsAnUnknownMessageToo(t *testing.T) {
	pays := func(domain obj) []byte {
		return typedJSON(t, safeTxType, domain, with(safeTxMessage(), obj{"value": 5}))
	}
	const members = `{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}`
	const otherOrder = `{"name":"verifyingContract","type":"address"},{"name":"chainId","type":"uint256"}`
	for name, payload := range map[string][]byte{
		"another Safe":                           pays(with(safeDomain(), obj{"verifyingContract": stranger})),
		"the Safe, under a name":                 pays(with(safeDomain(), obj{"name": "Safe"})),
		"the Safe, its domain in another order":  bytes.Replace(pays(safeDomain()), []byte(members), []byte(otherOrder), 1),
		"a contract of the book that is no Safe": pays(with(safeDomain(), obj{"verifyingContract": permit2At})),
		"an account of the book that is no Safe": pays(with(safeDomain(), obj{"verifyingContract": payee})),
		"a token of the book, which is no Safe":  pays(with(safeDomain(), obj{"verifyingContract": usdc})),
		"the Safe with a salt, which none has":   pays(with(safeDomain(), obj{"salt": word1})),
	} {
		in := decodeTyped(t, payload)
		if in.Complete || len(in.Effects) != 2 || in.Effects[0].Class != signer.ClassTransfer || in.Class() != signer.ClassUnknownMessage ||
			!slices.Contains(warnings(in), evm.WarnUnknownContract) {
			t.Errorf("%s: effects = %+v, complete = %v, warnings = %v", name, in.Effects, in.Complete, warnings(in))
		}
	}
}

func TestSafeMessageIsTheSafesAndCouldBeAnything(t *testing.T) {
	said := unknownMessage(ourSafe, "SafeMessage", "")
	said.Actor = account(ourSafe)
	on := func(message string) []byte {
		return typedJSON(t, safeMessageType, safeDomain(), obj{"message": message})
	}
	checkTyped(t, map[string]typedCase{
		"a text": {on("0x" + hex.EncodeToString([]byte("Hello"))), []signer.Effect{said}, []string{evm.WarnUnknownTypedData}, false},
		"a hash": {on(word1), []signer.Effect{said}, []string{evm.WarnLooksLikeHash, evm.WarnUnknownTypedData}, false},
		"a text that hides": {on("0x" + hex.EncodeToString([]byte("Hel\u200blo"))), []signer.Effect{said},
			[]string{evm.WarnHiddenCharacters, evm.WarnUnknownTypedData}, false},
	})
	if got := field(decodeTyped(t, on("0x48656c6c6f")), "text"); got != "Hello" {
		t.Errorf("text = %q", got)
	}
}

// Each of these has cost some reader more than it should.
func TestTypedDataCostsLittle(t *testing.T) {
	key, book := keyFor(t, "eip155:1"), callBook()
	list := func(text string, n int, one any) []byte {
		return typedJSON(t, text, mailDomain(), obj{"list": slices.Repeat([]any{one}, n)})
	}
	permitted := slices.Repeat([]obj{{"token": usdc, "amount": maxWord}}, 512)
	for name, payload := range map[string][]byte{
		"too much":                 make([]byte, signer.MaxPayload+1),
		"nothing but depth":        []byte(strings.Repeat("[", signer.MaxPayload)),
		"as many leaves as fit":    list("Many(Four[] list)Four(uint8 a,uint8 b,uint8 c,uint8 d)", 4096, obj{"a": 1, "b": 1, "c": 1, "d": 1}),
		"as many addresses as fit": list("Many(address[] list)", 2800, stranger),
		"texts that mislead":       list("Many(string[] list)", 4096, "p\u0430y\u200b"),
		"a long text that does":    list("Many(string[] list)", 1, strings.Repeat("p\u0430", 40000)),
		"all that a batch may have": typedJSON(t, transfersType, permit2Domain(),
			obj{"permitted": permitted, "spender": payee, "nonce": 1, "deadline": 1893456000}),
	} {
		in, err := evm.TypedData{}.Decode(payload, key, book)
		if err != nil && signer.CodeOf(err) != signer.CodeInvalid || err == nil && len(in.Effects) == 0 {
			t.Errorf("%s: %d effects, %v", name, len(in.Effects), err)
		}
		const bound = 10 * 50 * time.Millisecond
		fastest := bound
		for range 5 { // others may have the processor for one of them
			start := time.Now()
			if _, again := (evm.TypedData{}).Decode(payload, key, book); (again == nil) != (err == nil) {
				t.Errorf("%s: %v, and then %v", name, err, again)
			}
			if fastest = min(fastest, time.Since(start)); fastest < bound {
				break
			}
		}
		if fastest >= bound {
			t.Errorf("%s: takes %s or more", name, bound)
		}
	}
}
