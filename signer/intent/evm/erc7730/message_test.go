package erc7730_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// order is typed data with a struct in a list, in a domain.
func order(t testing.TB, domain string) *typeddata.Data {
	t.Helper()
	var types []string
	for _, m := range []struct{ name, typ string }{{"name", "string"}, {"version", "string"}, {"chainId", "uint256"}, {"verifyingContract", "address"}, {"salt", "bytes32"}} {
		if strings.Contains(domain, `"`+m.name+`"`) {
			types = append(types, fmt.Sprintf(`{"name":%q,"type":%q}`, m.name, m.typ))
		}
	}
	d, err := typeddata.Parse([]byte(`{
		"types":{"EIP712Domain":[` + strings.Join(types, ",") + `],
			"Order":[{"name":"maker","type":"address"},{"name":"items","type":"Item[]"},{"name":"until","type":"uint48"}],
			"Item":[{"name":"token","type":"address"},{"name":"amount","type":"uint256"}]},
		"primaryType":"Order","domain":{` + domain + `},
		"message":{"maker":"` + safe.Hex() + `","until":1709191632,"items":[{"token":"` + usdc.Hex() + `","amount":"2500000"},{"token":"` + nobody.Hex() + `","amount":"7"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const orderKey = "Order(address maker,Item[] items,uint48 until)Item(address token,uint256 amount)"

func orders(context string) string { return ordersOf(context, orderKey) }

func ordersOf(context, key string) string {
	return fmt.Sprintf(`{"$schema":"erc7730-v2.schema.json","context":{"eip712":%s},"metadata":{"owner":"Orders"},
		"display":{"formats":{%q:{"intent":"Sell","interpolatedIntent":"Sell {items.[].amount} until {until}","fields":[
			{"path":"items.[]","label":"Item","fields":[{"path":"amount","label":"Amount","format":"tokenAmount","params":{"tokenPath":"token"}}]},
			{"path":"maker","label":"Maker","format":"addressName"},
			{"path":"until","label":"Until","format":"date","params":{"encoding":"timestamp"}},
			{"path":"@.to","label":"On","format":"raw"},{"path":"@.value","label":"Sends","format":"amount"},{"path":"@.from","label":"Signer","format":"addressName"}
		]}}}}`, context, key)
}

func TestTypedData(t *testing.T) {
	const domain = `"name":"Orders","version":"1","chainId":1,"verifyingContract":"0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"`
	set := folder(t, "eip712-orders.json", orders(`{"deployments":[{"chainId":1,"address":"`+router.Hex()+`"}],"domain":{"name":"Orders"}}`))
	cs, err := set.TypedData(order(t, domain), &acme, book)
	if err != nil || cs == nil {
		t.Fatalf("TypedData = %v, %v, refused %v", cs, err, set.Refused())
	}
	const want = "Item > Amount [0]: 2.5 usdc (2500000 base units)\n" +
		"Item > Amount [1]: 7 base units of unknown token 0xdAC17F958D2ee523a2206206994597C13D831ec7\n" +
		"Maker: 0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552 (treasury safe)\n" +
		"Until: 2024-02-29T07:27:12Z\nOn: 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45\nSends: 0 ether (0 base units)\n" +
		"Signer: 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting)\n"
	if got := text(cs.Fields); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	const sentence = "Sell 2.5 usdc (2500000 base units), 7 base units of unknown token 0xdAC17F958D2ee523a2206206994597C13D831ec7 until 2024-02-29T07:27:12Z"
	if cs.InterpolatedIntent != sentence {
		t.Errorf("sentence %q, want %q", cs.InterpolatedIntent, sentence)
	}
}

// TestTypedDataContext has what a context asks of a domain.
func TestTypedDataContext(t *testing.T) {
	const (
		here    = `"chainId":1,"verifyingContract":"0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"`
		domain  = `"name":"Orders","version":"1",` + here
		salted  = `"salt":"0x00000000000000000000000000000000000000000000000000000000000000aa",` + here
		deploys = `"deployments":[{"chainId":10,"address":"0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45"},{"chainId":1,"address":"0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45"}]`
	)
	separator := order(t, domain).DomainHash.Hex()
	for name, test := range map[string]struct {
		context, domain string
		applies, fails  bool
	}{
		"one of the deployments":        {`{` + deploys + `}`, domain, true, false},
		"another contract":              {`{` + deploys + `}`, strings.Replace(domain, router.Hex(), safe.Hex(), 1), false, false},
		"another chain":                 {`{` + deploys + `}`, strings.Replace(domain, `"chainId":1`, `"chainId":2`, 1), false, false},
		"deployments and no chain":      {`{` + deploys + `}`, `"verifyingContract":"0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"`, false, false},
		"deployments and no contract":   {`{` + deploys + `}`, `"chainId":1`, false, false},
		"the name":                      {`{"domain":{"name":"Orders"}}`, domain, true, false},
		"another name":                  {`{"domain":{"name":"orders"}}`, domain, false, false},
		"a name that the domain lacks":  {`{"domain":{"name":"Orders"}}`, here, false, false},
		"deployments and another name":  {`{` + deploys + `,"domain":{"name":"X"}}`, domain, false, false},
		"the version":                   {`{"domain":{"version":"1"}}`, domain, true, false},
		"another version":               {`{"domain":{"version":"2"}}`, domain, false, false},
		"the chain":                     {`{"domain":{"chainId":1}}`, domain, true, false},
		"a chain that is another":       {`{"domain":{"chainId":10}}`, domain, false, false},
		"the contract":                  {`{"domain":{"verifyingContract":"0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45"}}`, domain, true, false},
		"a contract that is another":    {`{"domain":{"verifyingContract":"` + safe.Hex() + `"}}`, domain, false, false},
		"the salt":                      {`{"domain":{"salt":"0x00000000000000000000000000000000000000000000000000000000000000AA"}}`, salted, true, false},
		"another salt":                  {`{"domain":{"salt":"0x00000000000000000000000000000000000000000000000000000000000000ab"}}`, salted, false, false},
		"the separator":                 {`{"domainSeparator":"` + separator + `"}`, domain, true, false},
		"another separator":             {`{"domainSeparator":"` + separator + `"}`, here, false, false},
		"a domain that has no contract": {`{"domain":{"name":"Orders"}}`, `"name":"Orders","chainId":1`, false, true},
		"a domain that has no chain":    {`{"domain":{"name":"Orders"}}`, `"name":"Orders","verifyingContract":"0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			set := folder(t, "eip712-orders.json", orders(test.context))
			if len(set.Files()) != 1 {
				t.Fatalf("refused %v", set.Refused())
			}
			cs, err := set.TypedData(order(t, test.domain), nil, book)
			if (cs != nil) != test.applies || (err != nil) != test.fails {
				t.Errorf("TypedData = %v, %v; applies is %v, fails is %v", cs, err, test.applies, test.fails)
			}
		})
	}
}

// TestTypeText: a key is for messages of exactly its type.
func TestTypeText(t *testing.T) {
	d := order(t, `"chainId":1,"verifyingContract":"0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"`)
	for name, test := range map[string]struct {
		key     string
		applies bool
	}{
		"the type":                     {orderKey, true},
		"with blanks":                  {" Order (address maker, Item[] items,  uint48 until) Item(address token , uint256 amount) ", true},
		"with another member's type":   {strings.Replace(orderKey, "uint48", "uint256", 1), false},
		"with its members in disorder": {"Order(Item[] items,address maker,uint48 until)Item(address token,uint256 amount)", false},
	} {
		t.Run(name, func(t *testing.T) {
			set := folder(t, "eip712-orders.json", ordersOf(`{"domain":{"chainId":1}}`, test.key))
			if len(set.Files()) != 1 {
				t.Fatalf("refused %v", set.Refused())
			}
			cs, err := set.TypedData(d, nil, book)
			if err != nil || (cs != nil) != test.applies {
				t.Errorf("TypedData = %v, %v; want applies %v", cs, err, test.applies)
			}
		})
	}
	t.Run("the other types are sorted, as encodeType does", func(t *testing.T) {
		set := folder(t, "x.json", `{"$schema":"erc7730-v2.schema.json","context":{"eip712":{"domain":{"chainId":1}}},"display":{"formats":{
			"A(C c,B b)B(uint8 x)C(uint8 y)":{"fields":[]},"A(C c,B b)C(uint8 y)B(uint8 x)":{"fields":[]}}}}`)
		if r := set.Refused(); len(r) != 1 || !strings.Contains(r[0].Reason, `a second key for the type "A(C c,B b)B(uint8 x)C(uint8 y)"`) {
			t.Errorf("refused %v", r)
		}
	})
	t.Run("types may refer to themselves, and to names with a colon", func(t *testing.T) {
		set := folder(t, "x.json", `{"$schema":"erc7730-v2.schema.json","context":{"eip712":{"domain":{"chainId":1}}},"display":{"formats":{
			"A:B(A:B[2][] more,uint8 x)":{"fields":[{"path":"more.[].[0].more.[].[1].x"}]}}}}`)
		if len(set.Files()) != 1 {
			t.Errorf("refused %v", set.Refused())
		}
	})
}
