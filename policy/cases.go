package policy

import (
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// ExpectInvalid is what a case expects of a payload that is refused before any policy is
// asked, because it is not what its kind says, or its key does not sign such.
const ExpectInvalid = "invalid"

// Case is a request, what was before it, and what is expected of a policy.
type Case struct {
	Name  string
	Place string // file and line
	Key   string
	Kind  signer.Kind
	// Payload is the text that stands in the file; PayloadFile the name of a file beside
	// it, and Pay a payment to make a payload of. Exactly one of them is set.
	Payload     string
	PayloadFile string
	Pay         *Payment
	Caller      CaseCaller
	Time        time.Time
	// Before is what the key was authorised to before, the oldest first.
	Before []Past
	// Known are accounts that the key paid at some time before all that.
	Known   []string
	Pending int
	Expect  Expectation
}

// CaseCaller is who asks in a case. Nobody is identified by it.
type CaseCaller struct {
	User   string
	UID    uint32
	Groups []string
	Socket string
	Unit   string
}

// Payment is a plain payment of a coin or a token.
type Payment struct {
	Chain string // CAIP-2
	Token string // CAIP-10; empty: the chain's coin
	To    string // CAIP-10
	N     *big.Int
	Fee   *big.Int // at most, in base units of the chain's coin
}

// Past is a request that was authorised before the one of a case.
type Past struct {
	Ago    time.Duration
	Times  int
	Caller CaseCaller
	To     string        // CAIP-10; empty: to nobody that a case could ask for
	Asset  *signer.Asset // nil: it moved nothing
	N      *big.Int
}

// Expectation is what a case expects. Of lists, nil says that it does not matter.
type Expectation struct {
	Verdict  string // "allow", "ask", "deny" or [ExpectInvalid]
	Reason   string // a part of it
	Class    signer.Class
	Rules    []string
	Asks     []string // quorums, as "GROUP:N"
	Warnings []string // codes
	Delay    time.Duration
}

// RuleTitle names a rule, and says whether it is one that denies.
type RuleTitle struct {
	Title  string
	Denies bool
}

// Rules returns the titles of the rules, in the order of the policy.
func (p *Policy) Rules() []RuleTitle {
	out := make([]RuleTitle, 0, len(p.rules))
	for _, r := range p.rules {
		out = append(out, RuleTitle{r.name, r.deny != ""})
	}
	return out
}

func ruleTitles(rules []RuleTitle) []string {
	out := make([]string, 0, len(rules))
	for _, r := range rules {
		out = append(out, r.Title)
	}
	return out
}

// caseReader reads the cases of one file for one policy.
type caseReader struct {
	*loader
	policy   *Policy
	sockets  []string
	callers  map[string]CaseCaller
	named    map[string]string // accounts, by the file's names for them
	defaults map[string]*hcl.Attribute
}

// Cases reads the cases of a file for the policy that they are to test, whose assets,
// keys and rules they name. The sockets are those that it was loaded with.
func (f *CaseFile) Cases(p *Policy, sockets []string) ([]Case, error) {
	r := caseReader{loader: f.loader, policy: p, sockets: sockets, callers: map[string]CaseCaller{}, named: map[string]string{}}
	for _, a := range p.book.Assets {
		if identifier.MatchString(a.Name) { // the owner's names; those of a token list have other letters
			r.assets[a.Name] = a
		}
	}
	each(f.content, "accounts", r.accountNames)
	each(f.content, "caller", func(b *hcl.Block) { r.callers[b.Labels[0]] = r.caller(b) })
	each(f.content, "defaults", func(b *hcl.Block) { r.defaults = r.body(b.Body, &hcl.BodySchema{Attributes: common}).Attributes })
	var out []Case
	each(f.content, "case", func(b *hcl.Block) { out = append(out, r.read(b)) })
	if err := r.err(); err != nil {
		return nil, err
	}
	return out, nil
}

// accountNames reads names for accounts, which are easier to tell apart.
func (r *caseReader) accountNames(b *hcl.Block) {
	attributes, diags := b.Body.JustAttributes()
	r.diags = append(r.diags, diags...)
	for name, a := range attributes {
		if id, ok := r.filled(a.Expr, "the account"); ok {
			if err := checkAccount(id); err != nil {
				r.fail(a.Expr.Range(), "%v", err)
			}
			r.named[name] = id
		}
	}
}

// account resolves an account that was written as one, or by the file's name for it.
func (r *caseReader) account(i item) string {
	if id, ok := r.named[i.text]; ok {
		return id
	}
	if err := checkAccount(i.text); err != nil {
		r.fail(i.at, "no account is named %q in the block accounts%s; and as an account it is wrong: %v", i.text, didYouMean(i.text, sortedKeys(r.named)), err)
	}
	return i.text
}

// one reads a text as the only element of a list.
func (r *caseReader) one(a *hcl.Attribute) (item, bool) {
	text, ok := r.filled(a.Expr, "the "+a.Name)
	return item{text, a.Expr.Range()}, ok
}

var callerSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "uid", Required: true}, {Name: "user"}, {Name: "groups"}, {Name: "socket"}, {Name: "unit"},
}}

func (r *caseReader) caller(b *hcl.Block) CaseCaller {
	c := CaseCaller{Socket: "sign"}
	socket := item{c.Socket, b.DefRange}
	for name, a := range r.body(b.Body, callerSchema).Attributes {
		switch name {
		case "uid":
			uid, _ := r.number(a.Expr, 0, 1<<32-2)
			c.UID = uint32(uid)
		case "user":
			c.User, _ = r.filled(a.Expr, "the user")
		case "groups":
			c.Groups = texts(r.list(a.Expr))
		case "socket":
			socket, _ = r.one(a)
			c.Socket = socket.text
		case "unit":
			unit, ok := r.filled(a.Expr, "the unit")
			if err := checkUnit(unit); ok && err != nil {
				r.fail(a.Expr.Range(), "%v", err)
			}
			c.Unit = unit
		}
	}
	if !slices.Contains(r.sockets, c.Socket) {
		r.fail(socket.at, "no socket is named %q%s", c.Socket, didYouMean(c.Socket, r.sockets))
	}
	return c
}

// common are the arguments that a defaults block may give for all cases.
var common = []hcl.AttributeSchema{
	{Name: "key"}, {Name: "kind"}, {Name: "caller"}, {Name: "time"}, {Name: "known"}, {Name: "pending"},
}

var caseSchema = &hcl.BodySchema{
	Attributes: append(slices.Clone(common), []hcl.AttributeSchema{
		{Name: "payload"}, {Name: "payload_file"}, {Name: "expect", Required: true}, {Name: "reason"}, {Name: "class"},
		{Name: "rules"}, {Name: "asks"}, {Name: "warnings"}, {Name: "delay"},
	}...),
	Blocks: []hcl.BlockHeaderSchema{{Type: "pay"}, {Type: "before"}},
}

func (r *caseReader) read(b *hcl.Block) Case {
	c := Case{Place: place(b.DefRange)}
	c.Name, _ = r.titled(b)
	content := r.body(b.Body, caseSchema)
	given := maps.Clone(r.defaults)
	if given == nil {
		given = hcl.Attributes{}
	}
	maps.Copy(given, content.Attributes)
	for _, name := range []string{"key", "caller", "time"} {
		if given[name] == nil {
			r.fail(b.DefRange, "case %q has no %s, and neither has a block defaults", c.Name, name)
		}
	}
	for _, name := range sortedKeys(given) {
		r.request(&c, given[name])
		r.expectation(&c.Expect, given[name])
	}
	r.payload(&c, b, content)
	counted := 0
	each(content, "before", func(b *hcl.Block) {
		past := r.past(b, c.Caller)
		c.Before = append(c.Before, past)
		if counted += past.Times; counted > maxBefore {
			r.fail(b.DefRange, "before case %q were %d requests; the most of one case is %d", c.Name, counted, maxBefore)
		}
	})
	slices.SortStableFunc(c.Before, func(a, b Past) int { return int(b.Ago/time.Second - a.Ago/time.Second) })
	return c
}

// request reads an argument about what is asked, and in what situation.
func (r *caseReader) request(c *Case, a *hcl.Attribute) {
	switch a.Name {
	case "key":
		c.Key = r.choice(a, append(sortedKeys(r.policy.keys), signer.AdminKey))
	case "kind":
		c.Kind = signer.Kind(r.choice(a, kinds()))
	case "caller":
		c.Caller = r.callers[r.choice(a, sortedKeys(r.callers))]
	case "time":
		text, ok := r.text(a.Expr)
		at, err := time.Parse(time.RFC3339, text)
		if ok && (err != nil || at.UTC().Year() < 1970 || at.UTC().Year() > 9000) {
			r.fail(a.Expr.Range(), "time %q: want for example \"2026-11-23T10:00:00Z\" or \"2026-11-23T11:00:00+01:00\"", text)
		}
		c.Time = at.UTC()
	case "known":
		for _, i := range r.names(a) {
			c.Known = append(c.Known, r.account(i))
		}
	case "pending":
		n, _ := r.number(a.Expr, 0, 1_000_000)
		c.Pending = int(n)
	case "payload":
		c.Payload, _ = r.text(a.Expr)
	case "payload_file":
		c.PayloadFile, _ = r.fileName(a)
	}
}

var askText = regexp.MustCompile(`^.+:[1-9][0-9]{0,3}$`)

func (r *caseReader) expectation(e *Expectation, a *hcl.Attribute) {
	switch a.Name {
	case "expect":
		e.Verdict = r.choice(a, []string{signer.Allow.String(), signer.Ask.String(), signer.Deny.String(), ExpectInvalid})
	case "reason":
		e.Reason, _ = r.filled(a.Expr, "the reason")
	case "class":
		e.Class = signer.Class(r.choice(a, classes()))
	case "delay":
		e.Delay, _, _ = r.span(a.Expr)
	case "rules":
		e.Rules = r.known(a, "rule", ruleTitles(r.policy.Rules()))
	case "warnings":
		e.Warnings = r.known(a, "warning", warningCodes())
	case "asks":
		e.Asks = []string{}
		for _, i := range r.names(a) {
			if !askText.MatchString(i.text) {
				r.fail(i.at, "asks %q: want \"GROUP:N\", such as \"treasury:2\"", i.text)
			}
			e.Asks = append(e.Asks, i.text)
		}
	}
}

// names reads a list that may be empty.
func (r *caseReader) names(a *hcl.Attribute) []item {
	if tuple, ok := a.Expr.(*hclsyntax.TupleConsExpr); ok && len(tuple.Exprs) == 0 {
		return nil
	}
	return r.list(a.Expr)
}

// known reads a list of names out of some.
func (r *caseReader) known(a *hcl.Attribute, what string, names []string) []string {
	out := []string{}
	for _, i := range r.names(a) {
		if !slices.Contains(names, i.text) {
			r.fail(i.at, "no %s is named %q%s", what, i.text, didYouMean(i.text, names))
		}
		out = append(out, i.text)
	}
	return out
}

// payload sees to it that there is exactly one, and of which kind.
func (r *caseReader) payload(c *Case, b *hcl.Block, content *hcl.BodyContent) {
	pays := 0
	each(content, "pay", func(b *hcl.Block) {
		c.Pay = r.payment(b)
		pays++
	})
	_, written := content.Attributes["payload"]
	_, named := content.Attributes["payload_file"]
	if n := pays + ones(written) + ones(named); n != 1 {
		r.fail(b.DefRange, "case %q: want exactly one of payload, payload_file and pay, got %d", c.Name, n)
	}
	kind, own := content.Attributes["kind"]
	switch {
	case pays > 0 && own && c.Kind != signer.KindEVMTransaction:
		r.fail(kind.NameRange, "case %q: pay makes a payload of kind %q; leave kind out", c.Name, signer.KindEVMTransaction)
	case pays > 0:
		c.Kind = signer.KindEVMTransaction
	case c.Kind == "":
		r.fail(b.DefRange, "case %q has no kind, and neither has a block defaults", c.Name)
	}
	if written && c.Payload == "" {
		r.fail(content.Attributes["payload"].Expr.Range(), "the payload is empty")
	}
}

func ones(b bool) int {
	if b {
		return 1
	}
	return 0
}

var paySchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "to", Required: true}, {Name: "amount", Required: true}, {Name: "fee"},
}}

func (r *caseReader) payment(b *hcl.Block) *Payment {
	p := &Payment{N: new(big.Int), Fee: new(big.Int)}
	content := r.body(b.Body, paySchema)
	to, amount, fee := content.Attributes["to"], content.Attributes["amount"], content.Attributes["fee"]
	if to == nil || amount == nil {
		return p
	}
	if i, ok := r.one(to); ok {
		p.To = r.account(i)
	}
	asset, n, ok := r.amount(amount)
	if !ok {
		return p
	}
	p.N = n
	if err := p.on(asset); err != nil {
		r.fail(amount.Expr.Range(), "%v", err)
	}
	if fee == nil {
		return p
	}
	if asset, p.Fee, ok = r.amount(fee); ok && asset.ID != p.Chain+"/slip44:60" {
		r.fail(fee.Expr.Range(), "a fee is paid in the coin of the chain, and %s is %s", asset.Name, asset.ID)
	}
	return p
}

// on says on which chain a payment is, by its asset.
func (p *Payment) on(asset signer.Asset) error {
	chain, _, _ := strings.Cut(asset.ID, "/")
	standard, contract := tokenContract(asset.ID)
	switch {
	case asset.ID == chain+"/slip44:60":
	case standard == "erc20":
		p.Token = contract
	default:
		return fmt.Errorf("%s is neither the coin of an EVM chain nor an ERC-20 token; write a payload in place of pay", asset.Name)
	}
	p.Chain = chain
	if p.To != "" && !strings.HasPrefix(p.To, chain+":") {
		return fmt.Errorf("%s is on %s, and %s is not", asset.Name, chain, p.To)
	}
	return nil
}

func (r *caseReader) amount(a *hcl.Attribute) (signer.Asset, *big.Int, bool) {
	text, ok := r.text(a.Expr)
	if !ok {
		return signer.Asset{}, new(big.Int), false
	}
	asset, n, err := r.assets.amount(text)
	if err != nil {
		r.fail(a.Expr.Range(), "%v", err)
		return signer.Asset{}, new(big.Int), false
	}
	return asset, n, true
}

var pastSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "amount"}, {Name: "to"}, {Name: "ago"}, {Name: "times"}, {Name: "caller"},
}}

// maxTimes and maxBefore bound how much is counted before a case is decided, by one block
// and by all of them.
const (
	maxTimes  = 100_000
	maxBefore = 1_000_000
)

// past reads what was authorised before. It was a minute ago and once, for whoever asks
// now, unless it says otherwise.
func (r *caseReader) past(b *hcl.Block, caller CaseCaller) Past {
	p := Past{Ago: time.Minute, Times: 1, Caller: caller}
	for name, a := range r.body(b.Body, pastSchema).Attributes {
		switch name {
		case "amount":
			if asset, n, ok := r.amount(a); ok {
				p.Asset, p.N = &asset, n
			}
		case "to":
			if i, ok := r.one(a); ok {
				p.To = r.account(i)
			}
		case "ago":
			p.Ago, _, _ = r.span(a.Expr)
		case "times":
			n, _ := r.number(a.Expr, 1, maxTimes)
			p.Times = int(n)
		case "caller":
			p.Caller = r.callers[r.choice(a, sortedKeys(r.callers))]
		}
	}
	return p
}
