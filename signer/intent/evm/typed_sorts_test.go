package evm_test

import (
	"maps"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// What a contract of two sorts is told in typed data, or does as the account by
// delegatecall, is as unknown as its calls are.
func TestTypedDataForAContractOfTwoSortsIsUnknown(t *testing.T) {
	const ownMultiSend = "0x8D29bE29923b68abfDD21e541b9374737B49cdAD"
	listed := func(contract string) signer.Book {
		b := callBook()
		assets, contracts := maps.Clone(b.Assets), maps.Clone(b.Contracts)
		contracts[account(ownMultiSend)] = signer.Contract{Name: "batches", Kind: signer.ContractMultiSend}
		if contract != "" {
			id := "eip155:1/erc20:" + contract
			assets[id] = signer.Asset{ID: id, Name: "listed"}
		}
		return signer.NewBook(assets, contracts, nil)
	}
	for name, test := range map[string]struct {
		payload []byte
		sort    string
		class   signer.Class
	}{
		"a Safe":                {typedJSON(t, safeTxType, safeDomain(), with(safeTxMessage(), obj{"to": payee, "value": 5, "data": "0x"})), ourSafe, signer.ClassUnknownMessage},
		"an EntryPoint":         {typedJSON(t, packedOpType, entryPointDomain(), packedOpMessage(execution(payee, nil))), entryPoint8, signer.ClassUnknownMessage},
		"a MultiSend of a Safe": {typedJSON(t, safeTxType, safeDomain(), with(safeTxMessage(), obj{"to": ownMultiSend, "value": 0, "operation": 1, "data": multiSendOf(payee, nil)})), ownMultiSend, signer.ClassDelegateCall},
	} {
		t.Run(name, func(t *testing.T) {
			read := func(b signer.Book) signer.Intent {
				in, err := evm.TypedData{}.Decode(test.payload, keyFor(t, "eip155:1"), b)
				if err != nil {
					t.Fatal(err)
				}
				return in
			}
			if in := read(listed("")); !in.Complete {
				t.Fatalf("of one sort it is incomplete: %+v", in)
			}
			if in := read(listed(test.sort)); in.Complete || in.Class() != test.class {
				t.Errorf("of two sorts it is of class %q, complete %v; want %q", in.Class(), in.Complete, test.class)
			}
		})
	}
}
