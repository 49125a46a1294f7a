package evm_test

import (
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer/intent/evm"
)

// Preview is asked about an account, and Decode about a key.
func TestAnotherSenderIsCalledAsItWasNamed(t *testing.T) {
	payload := []byte(`{"from":"` + payee + `","nonce":"0x7","gas":"0x5208","chainId":"0x1","to":"` + payee + `","gasPrice":"0x2"}`)
	_, err := evm.Transaction{}.Preview(payload, sender, book())
	if want := "from is " + payee + ", but the account that --from names is " + sender; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Preview = %v, want %q", err, want)
	}
	_, err = evm.Transaction{}.Decode(payload, keyFor(t, "eip155:1"), book())
	if want := "from is " + payee + ", but the key's address is " + sender; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Decode = %v, want %q", err, want)
	}
}

func TestJSONMeansTheSameAsBytes(t *testing.T) {
	const common = `"nonce":"0x7","gas":"0x5208","chainId":"0x1","to":"` + payee + `"`
	legacy := rawOf(t, types.NewTx(&types.LegacyTx{Nonce: 7, GasPrice: big.NewInt(2), Gas: 21000, To: address(payee), Value: new(big.Int)}), big.NewInt(1))
	berlin := raw(t, &types.AccessListTx{ChainID: big.NewInt(1), Nonce: 7, GasPrice: big.NewInt(2), Gas: 21000, To: address(payee)})
	london := raw(t, &types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 7, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 21000, To: address(payee)})
	call := raw(t, &types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 7, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 21000, To: address(payee), Data: []byte{0xab}})
	create := raw(t, &types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 7, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 21000, Data: []byte{0xab}})
	value := raw(t, &types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: 7, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 21000, To: address(payee), Value: big.NewInt(0xab)})
	const fees = `,"maxFeePerGas":"0x2","maxPriorityFeePerGas":"0x1"`
	for name, test := range map[string]struct {
		text string
		want []byte
	}{
		"type 0 by its fee":                  {`{` + common + `,"gasPrice":"0x2"}`, legacy},
		"type 0 by name":                     {`{` + common + `,"gasPrice":"0x2","type":"0x0","value":"0x0"}`, legacy},
		"type 1 by its access list":          {`{` + common + `,"gasPrice":"0x2","accessList":[]}`, berlin},
		"type 1 by name":                     {`{` + common + `,"gasPrice":"0x2","type":"0x1"}`, berlin},
		"type 2 by its fees":                 {`{` + common + fees + `}`, london},
		"type 2 by name":                     {`{` + common + fees + `,"type":"0x2","accessList":[]}`, london},
		"null is absent":                     {`{` + common + fees + `,"gasPrice":null,"from":null,"data":null,"accessList":null,"value":null,"type":null}`, london},
		"sender in lower case":               {`{` + common + fees + `,"from":"` + strings.ToLower(sender) + `"}`, london},
		"sender in upper case":               {`{` + common + fees + `,"from":"0x` + strings.ToUpper(sender[2:]) + `"}`, london},
		"empty data is a payment":            {`{` + common + fees + `,"data":"0x"}`, london},
		"data":                               {`{` + common + fees + `,"data":"0xab"}`, call},
		"input":                              {`{` + common + fees + `,"input":"0xAB"}`, call},
		"data and input that are equal":      {`{` + common + fees + `,"data":"0xab","input":"0xab"}`, call},
		"recipient null creates a contract":  {`{` + strings.Replace(common, `"`+payee+`"`, "null", 1) + fees + `,"data":"0xab"}`, create},
		"no recipient creates a contract":    {`{` + strings.Replace(common, `,"to":"`+payee+`"`, "", 1) + fees + `,"data":"0xab"}`, create},
		"white space makes no difference":    {"{\n " + common + fees + "\n}\n", london},
		"digits of a quantity in upper case": {`{` + common + `,"maxFeePerGas":"0x2","maxPriorityFeePerGas":"0x1","value":"0xAB"}`, value},
	} {
		t.Run(name, func(t *testing.T) {
			key := keyFor(t, "eip155:1")
			got, err := evm.Transaction{}.Decode([]byte(test.text), key, book())
			if err != nil {
				t.Fatal(err)
			}
			want, err := evm.Transaction{}.Decode(test.want, key, book())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}
