package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

const signPath = "/sealward.v1.SignerService/Sign"

// hostile is a request that must not get anywhere.
type hostile struct {
	method, path, contentType string // POST, signPath and application/json if empty
	body                      []byte
	chunked                   bool // without Content-Length

	status int
	code   string // Connect's; empty where the answer is not Connect's
	says   string // part of the answer
	event  signer.EventType
	record string // part of what the journal says; says if empty
}

// send returns the answer.
func (x hostile) send(t *testing.T, c *http.Client) (status int, code, message string) {
	t.Helper()
	orElse := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	var body io.Reader = bytes.NewReader(x.body)
	if x.chunked {
		body = io.MultiReader(body) // of a length that net/http cannot know
	}
	req, err := http.NewRequest(orElse(x.method, "POST"), "http://localhost"+orElse(x.path, signPath), body)
	must(t, err)
	req.Header.Set("Content-Type", orElse(x.contentType, "application/json"))
	res, err := c.Do(req)
	must(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(t, err)
	var e struct{ Code, Message string }
	if json.Unmarshal(answer, &e) != nil {
		e.Message = string(answer)
	}
	return res.StatusCode, e.Code, e.Message
}

// check sends it, and sees that it is refused, that the refusal is on record, and
// that the next one is served.
func (x hostile) check(t *testing.T, h *host) {
	t.Helper()
	from := h.size()
	status, code, message := x.send(t, h.httpClient("sign.sock"))
	if status != x.status || code != x.code || !strings.Contains(message, x.says) || x.says == "" {
		t.Errorf("the answer is %d %s %q, want %d %s %q", status, code, message, x.status, x.code, x.says)
	}
	want := x.record
	if want == "" {
		want = x.says
	}
	h.recorded(t, from, x.event, want)
	if h.pay("good"); t.Failed() {
		t.Logf("request: %.300q", x.body)
	}
}

// recorded sees that the journal has exactly one refusal since from, and that it
// says who was refused and why.
func (h *host) recorded(t *testing.T, from uint64, event signer.EventType, want string) {
	t.Helper()
	var refusals []string
	for _, e := range h.events(from) {
		switch {
		case e.Type == signer.EventMalformed:
			if e.Caller == nil || int(e.Caller.UID) != os.Getuid() {
				t.Errorf("the record is of caller %v, want uid %d", e.Caller, os.Getuid())
			}
			refusals = append(refusals, fmt.Sprintf("%s: %s", e.Type, e.Detail))
		case e.Type == signer.EventDenied:
			refusals = append(refusals, fmt.Sprintf("%s: %s", e.Type, e.Decision.Reason))
		}
	}
	if len(refusals) != 1 || !strings.HasPrefix(refusals[0], string(event)+": ") || !strings.Contains(refusals[0], want) {
		t.Errorf("the record is %q, want one %q that says %q", refusals, event, want)
	}
}

// asking is a Sign message with a text in place of its request.
func asking(request string) []byte { return []byte(`{"request":` + request + `}`) }

const goodRequest = `{"id":"x","key":"hot","kind":"evm.transaction","payload_text":"0x02"}`

func TestWhatIsNoMessageIsRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	unknown, err := proto.Marshal(&v1.SignRequest{Request: payment("x", 7)})
	must(t, err)
	unknown = protowire.AppendVarint(protowire.AppendTag(unknown, 99, protowire.VarintType), 1)
	large := asking(`{"id":"x","claim":"` + strings.Repeat("x", 513<<10) + `"}`)
	long := asking(fmt.Sprintf(`{"id":"x","key":"hot","kind":"evm.transaction","payload":%q}`, base64.StdEncoding.EncodeToString(make([]byte, signer.MaxPayload+1))))
	const invalid, bad, malformed = "invalid_argument", http.StatusBadRequest, signer.EventMalformed
	for name, x := range map[string]hostile{
		"JSON that ends early":            {body: asking(goodRequest)[:40], status: bad, code: invalid, says: "unexpected EOF", event: malformed},
		"an empty body":                   {status: bad, code: invalid, says: "the body is empty", event: malformed},
		"a second JSON value":             {body: append(asking(goodRequest), "{}"...), status: bad, code: invalid, says: "unexpected token", event: malformed},
		"no object":                       {body: []byte(`[]`), status: bad, code: invalid, says: "unexpected token", event: malformed},
		"JSON that is not UTF-8":          {body: asking("{\"id\":\"\xff\"}"), status: bad, code: invalid, says: "not valid UTF-8", event: malformed},
		"nesting without end":             {body: bytes.Repeat([]byte(`{"request":`), 10_000), status: bad, code: invalid, says: "request", event: malformed},
		"a body too large":                {body: large, status: 429, code: "resource_exhausted", says: "524288", event: malformed},
		"a body too large, in chunks":     {body: large, chunked: true, status: 429, code: "resource_exhausted", says: "524288", event: malformed},
		"a payload too large":             {body: long, status: bad, code: invalid, says: "the payload has 131073 bytes; the most is 131072", event: malformed},
		"an unknown field":                {body: asking(`{"id":"x","not_befor":"2030-01-01T00:00:00Z"}`), status: bad, code: invalid, says: `unknown field "not_befor"`, event: malformed, record: "not_befor"},
		"a field that is there twice":     {body: asking(`{"id":"x","id":"y"}`), status: bad, code: invalid, says: `duplicate field "id"`, event: malformed, record: "duplicate field"},
		"a field under both of its names": {body: asking(`{"payload_text":"0x","payloadText":"0x"}`), status: bad, code: invalid, says: `duplicate field "payloadText"`, event: malformed, record: "duplicate field"},
		"a number for a text":             {body: asking(`{"id":7}`), status: bad, code: invalid, says: "invalid value for string field id: 7", event: malformed},
		"a list for an object":            {body: asking(`[]`), status: bad, code: invalid, says: "unexpected token [", event: malformed},
		"payload and payload_text":        {body: asking(`{"id":"x","key":"hot","kind":"evm.transaction","payload":"AA==","payload_text":"0x02"}`), status: bad, code: invalid, says: "give payload or payload_text, not both", event: malformed},
		"a payload that is no base64":     {body: asking(`{"id":"x","payload":"!!"}`), status: bad, code: invalid, says: "invalid value for bytes field payload", event: malformed},
		"no request":                      {body: []byte(`{}`), status: bad, code: invalid, says: "the message has no request", event: malformed},
		"no id":                           {body: asking(`{"key":"hot","kind":"evm.transaction","payload_text":"0x02"}`), status: bad, code: invalid, says: `request id ""`, event: malformed, record: "want 1 to 128 characters"},
		"an id with a line feed":          {body: asking(`{"id":"x\ny","key":"hot","kind":"evm.transaction","payload_text":"0x02"}`), status: bad, code: invalid, says: `request id "x\ny"`, event: malformed},
		"no payload":                      {body: asking(`{"id":"x","key":"hot","kind":"evm.transaction"}`), status: bad, code: invalid, says: "the payload is empty", event: malformed},
		"a wait without end":              {body: []byte(`{"request":` + goodRequest + `,"wait":"3600s"}`), status: bad, code: invalid, says: "wait is a duration above 0 and up to 2m0s", event: malformed},
		"a time that is none":             {body: asking(`{"id":"x","expires":"tomorrow"}`), status: bad, code: invalid, says: "invalid google.protobuf.Timestamp", event: malformed},
		"a validity that ends first":      {body: asking(`{"id":"x","key":"hot","kind":"evm.transaction","payload_text":"0x02","not_before":"2031-01-01T00:00:00Z","expires":"2030-01-01T00:00:00Z"}`), status: bad, code: invalid, says: "is not before expiry", event: malformed},
		"an unknown binary field":         {contentType: "application/proto", body: unknown, status: bad, code: invalid, says: "SignRequest has a field that this server does not know", event: malformed},
		"binary that ends early":          {contentType: "application/proto", body: unknown[:20], status: bad, code: invalid, says: "invalid wire-format data", event: malformed},
		"another content type":            {contentType: "text/plain", body: asking(goodRequest), status: 415, says: "Unsupported Media Type: POST a message as application/json", event: malformed, record: `"POST" "` + signPath + `": 415`},
		"an unknown method":               {path: "/sealward.v1.SignerService/Frobnicate", body: []byte(`{}`), status: 404, says: "404 page not found", event: malformed, record: "Frobnicate"},
		"a path that is no method":        {path: "/etc/passwd", body: []byte(`{}`), status: 404, says: "404 page not found", event: malformed, record: "/etc/passwd"},
		"GET":                             {method: "GET", status: 405, says: "Method Not Allowed: POST a message", event: malformed, record: `"GET" "` + signPath + `": 405`},
		"the journal on the sign socket":  {path: "/sealward.v1.JournalService/Verify", body: []byte(`{}`), status: 404, says: "404 page not found", event: malformed, record: "JournalService"},
		"a key that is not there":         {body: asking(`{"id":"x","key":"warm","kind":"evm.transaction","payload_text":"0x02"}`), status: 404, code: "not_found", says: `there is no key "warm" that policy gives to you`, event: malformed},
		"the journal's key":               {body: asking(`{"id":"x","key":"journal","kind":"digest","payload_text":"0x02"}`), status: 404, code: "not_found", says: `there is no key "journal"`, event: malformed},
		"a kind that is not there":        {body: asking(`{"id":"x","key":"hot","kind":"evm.transfer","payload_text":"0x02"}`), status: bad, code: invalid, says: `does not sign kind "evm.transfer"`, event: malformed},
		"a kind that the key does not do": {body: asking(`{"id":"x","key":"hot","kind":"digest","payload_text":"0x02"}`), status: bad, code: invalid, says: `does not sign kind "digest"`, event: malformed},
	} {
		t.Run(name, func(t *testing.T) { x.check(t, h) })
	}
	h.unharmed(p)
}

// unharmed sees that the daemon is the one that was started, that its journal is
// sound, and that nothing in it panicked.
func (h *host) unharmed(p *process) {
	h.t.Helper()
	h.sound()
	if p.ended() || strings.Contains(strings.ToLower(p.log.String()), "panic") {
		h.t.Error("the daemon was harmed")
	}
	p.stop()
}

// fields is a transaction of loose values, for those that no wallet would write.
func fields(t *testing.T, kind []byte, values ...any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(values)
	must(t, err)
	return append(bytes.Clone(kind), b...)
}

// tokenTransfer is the calldata of a token's transfer of 5 units to the payee.
func tokenTransfer() []byte {
	data := append([]byte{0xa9, 0x05, 0x9c, 0xbb}, make([]byte, 64)...)
	copy(data[4+12:], common.HexToAddress(payee).Bytes())
	data[67] = 5
	return data
}

func TestATransactionThatIsNotPlainlyAPaymentIsRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	two, to, token := []byte{2}, common.HexToAddress(payee), common.HexToAddress(usdc)
	call := func(chain uint64, to common.Address, value uint64, data []byte) []byte {
		return fields(t, two, chain, uint64(7), uint64(1), uint64(2), uint64(90_000), to, value, data, []any{})
	}
	good := call(1, to, 5, nil)
	dirty := tokenTransfer()
	dirty[4] = 1
	key, err := crypto.GenerateKey()
	must(t, err)
	signed, err := types.MustSignNewTx(key, types.LatestSignerForChainID(big.NewInt(1)), &types.LegacyTx{GasPrice: big.NewInt(1), Gas: 21000, To: &to}).MarshalBinary()
	must(t, err)
	const invalid, bad, malformed = "invalid_argument", http.StatusBadRequest, signer.EventMalformed
	for name, c := range map[string]struct {
		payload []byte
		hostile
	}{
		"a trailing byte":                        {append(bytes.Clone(good), 0), hostile{status: bad, code: invalid, says: "1 trailing bytes", event: malformed}},
		"a byte too few":                         {good[:len(good)-1], hostile{status: bad, code: invalid, says: "transaction of type 2", event: malformed}},
		"before EIP-155":                         {fields(t, nil, uint64(7), uint64(2), uint64(21000), to, uint64(5), []byte{}), hostile{status: bad, code: invalid, says: "before EIP-155", event: malformed}},
		"another chain than the key's":           {call(10, to, 5, nil), hostile{status: bad, code: invalid, says: "eip155:10", event: malformed}},
		"signed by another key":                  {signed, hostile{status: bad, code: invalid, says: "but the key's address is", event: malformed}},
		"blobs":                                  {append([]byte{3}, good[1:]...), hostile{status: bad, code: invalid, says: "type 3", event: malformed}},
		"an account handed over to code":         {append([]byte{4}, good[1:]...), hostile{status: bad, code: invalid, says: "type 4", event: malformed}},
		"dirty padding in a token's transfer":    {call(1, token, 0, dirty), hostile{status: bad, code: invalid, says: "non-canonical", event: malformed}},
		"calldata behind a token's transfer":     {call(1, token, 0, append(tokenTransfer(), 0)), hostile{status: bad, code: invalid, says: "non-canonical", event: malformed}},
		"a call of an unknown contract":          {call(1, to, 0, []byte{1, 2, 3, 4}), hostile{status: 403, code: "permission_denied", says: "unknown_call", event: signer.EventDenied}},
		"a token's transfer, of another token":   {call(1, to, 0, tokenTransfer()), hostile{status: 403, code: "permission_denied", says: "unknown_call", event: signer.EventDenied}},
		"another function of a known token":      {call(1, token, 0, []byte{0x01, 0x02, 0x03, 0x04}), hostile{status: 403, code: "permission_denied", says: "unknown_call", event: signer.EventDenied}},
		"an unlimited approval of a known token": {call(1, token, 0, append([]byte{0x09, 0x5e, 0xa7, 0xb3}, bytes.Repeat([]byte{0xff}, 64)...)), hostile{status: bad, code: invalid, says: "non-canonical", event: malformed}},
		"more than the limit":                    {fields(t, two, uint64(1), uint64(7), uint64(1), uint64(2), uint64(21000), to, eth(2_000_000), []byte{}, []any{}), hostile{status: 403, code: "permission_denied", says: `limit "eth a day"`, event: signer.EventDenied}},
	} {
		for form, field := range map[string]string{
			"raw":  fmt.Sprintf(`"payload":%q`, base64.StdEncoding.EncodeToString(c.payload)),
			"text": fmt.Sprintf(`"payload_text":"0x%s"`, hex.EncodeToString(c.payload)),
		} {
			t.Run(name+", "+form, func(t *testing.T) {
				c.body = asking(fmt.Sprintf(`{"id":"%x-%s","key":"hot","kind":"evm.transaction",%s}`, name, form, field))
				c.check(t, h)
			})
		}
	}
	if r := h.sound(); r.GetSigned() != 1 {
		t.Errorf("%d were signed, want the good one alone", r.GetSigned())
	}
	h.unharmed(p)
}
