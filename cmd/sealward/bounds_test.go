package main

import (
	"bytes"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
)

// The most that one payload may cost. The test allows ten times the time, since it runs
// beside others.
const (
	mostTime   = 50 * time.Millisecond
	mostMemory = 64 << 20
)

// TestNoPayloadCostsMuch gives payloads that are made to cost much to every decoder, as
// what they are and as what they are not, by way of the look at what they could be
// elsewhere. Some are read, the others refused, and all of it is soon.
func TestNoPayloadCostsMuch(t *testing.T) {
	book := asInit(t, true, contracts).Book()
	read := map[string]signer.Kind{
		"a batch of 510 calls": signer.KindEVMTransaction, "a multicall of 500 calls": signer.KindEVMTransaction, "500 calls that nobody can read": signer.KindEVMTransaction,
		"500 payments to look-alikes": signer.KindEVMTransaction, "calldata of an unknown call": signer.KindEVMTransaction, "code of a contract": signer.KindEVMTransaction,
		"an access list": signer.KindEVMTransaction, "as many authorizations as are read": signer.KindEVMTransaction, "a batch of permits": signer.KindEVMTypedData,
		"typed data of one long text": signer.KindEVMTypedData, "typed data of two types in two": signer.KindEVMTypedData, "the longest message": signer.KindEVMMessage,
	}
	for name, what := range heavy(t) {
		t.Run(name, func(t *testing.T) {
			if len(what) > signer.MaxPayload {
				t.Fatalf("%d bytes, which are refused before anything looks at them", len(what))
			}
			for kind := range decoders() {
				var err error
				took, allocated := cost(func() { _, err = readAs(t, payload{kind, what}, book) })
				if (err == nil) != (read[name] == kind) {
					t.Errorf("as %s: error %v", kind, err)
				}
				if took > 10*mostTime || allocated > mostMemory {
					t.Errorf("as %s: %s and %d MiB; want %s and %d MiB at most", kind, took, allocated>>20, mostTime, mostMemory>>20)
				}
				t.Logf("%s: %s, %d KiB", kind, took, allocated>>10)
			}
		})
	}
}

// cost is what something takes, with what the runtime does meanwhile.
func cost(f func()) (time.Duration, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	f()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

// heavy are payloads by what makes them heavy.
func heavy(t *testing.T) map[string][]byte {
	pays := transfers(t, acme, 1)
	word := func(n int64) []byte { return common.LeftPadBytes(big.NewInt(n).Bytes(), 32) }
	full := func(begin, more, end string) []byte {
		n := (signer.MaxPayload - len(begin) - len(end)) / len(more)
		return []byte(begin + strings.Repeat(more, n) + end)
	}
	letter := func(members, message string) []byte {
		return []byte(`{"types":{"EIP712Domain":[{"name":"chainId","type":"uint256"}],` + members + `},"primaryType":"A","domain":{"chainId":1},"message":` + message + `}`)
	}
	nested := pays
	for range 40 { // calls in calls, more than are read
		nested = multicalls(t, called{multicall3, nested})
	}
	// Every element of the list is the same one.
	one := append(word(int64(32)), word(1500)...)
	for range 1500 {
		one = append(one, word(32*1500)...)
	}
	selector := multicalls(t, called{usdc, pays})[:4]
	long := append(append([]byte{}, selector...), bytes.Repeat([]byte{0xff}, 100<<10)...)
	return map[string][]byte{
		"a batch of 510 calls":                   rawTransaction(t, vault, execs(t, multiSend, batch(t, many(t, 510, 0)...), 1)).bytes,
		"a batch of more calls":                  rawTransaction(t, vault, execs(t, multiSend, batch(t, many(t, 800, 0)...), 1)).bytes,
		"a multicall of 500 calls":               rawTransaction(t, multicall3, multicalls(t, many(t, 500, 0)...)).bytes,
		"500 calls that nobody can read":         rawTransaction(t, vault, execs(t, multiSend, batch(t, repeated(called{thief, make([]byte, 100)}, 500)...), 1)).bytes,
		"500 payments to look-alikes":            rawTransaction(t, vault, execs(t, multiSend, batch(t, lookAlikes(500)...), 1)).bytes,
		"calls in calls":                         rawTransaction(t, multicall3, nested).bytes,
		"a list of one element, again, again":    rawTransaction(t, multicall3, append(append([]byte{}, selector...), one...)).bytes,
		"lengths without end":                    rawTransaction(t, multicall3, long).bytes,
		"calldata of an unknown call":            rawTransaction(t, thief, make([]byte, 127<<10)).bytes,
		"code of a contract":                     unsigned(t, 2, big.NewInt(1), uint64(7), big.NewInt(1), big.NewInt(1), uint64(1), []byte{}, big.NewInt(0), make([]byte, 127<<10), []any{}).bytes,
		"an access list":                         unsigned(t, 1, big.NewInt(1), uint64(7), big.NewInt(1), uint64(1), common.HexToAddress(acme), big.NewInt(0), []byte{}, []any{[]any{common.HexToAddress(acme), make([]common.Hash, 3900)}}).bytes,
		"many access lists":                      unsigned(t, 1, big.NewInt(1), uint64(7), big.NewInt(1), uint64(1), common.HexToAddress(acme), big.NewInt(0), []byte{}, accessLists(5000)).bytes,
		"blobs":                                  unsigned(t, 3, big.NewInt(1), uint64(7), big.NewInt(1), big.NewInt(1), uint64(1), common.HexToAddress(acme), big.NewInt(0), []byte{}, []any{}, big.NewInt(1), make([]common.Hash, 3900)).bytes,
		"authorizations":                         unsigned(t, 4, big.NewInt(1), uint64(7), big.NewInt(1), big.NewInt(1), uint64(1), common.HexToAddress(acme), big.NewInt(0), []byte{}, []any{}, authorizations(t, 1300)).bytes,
		"as many authorizations as are read":     unsigned(t, 4, big.NewInt(1), uint64(7), big.NewInt(1), big.NewInt(1), uint64(1), common.HexToAddress(acme), big.NewInt(0), []byte{}, []any{}, authorizations(t, 500)).bytes,
		"hexadecimal text":                       full("0x02", "f8", ""),
		"a transaction as JSON of one number":    full(`{"chainId":"0x1","nonce":"0x`, "1", `"}`),
		"JSON of one number":                     full(`{"nonce":`, "9", `}`),
		"JSON in JSON":                           full("", "[", ""),
		"JSON in JSON, which ends":               full(strings.Repeat(`{"a":`, 18_000)+"1", "}", ""),
		"JSON of many members":                   full(`{"types":{`, `"a":1,`, `"b":1}}`),
		"JSON of one text":                       full(`{"types":"`, `\u202e`, `"}`),
		"typed data of many types":               letter(`"A":[{"name":"a","type":"uint256"}]`+numbered(3000, `,"T%d":[{"name":"a","type":"bool"}]`), `{"a":"1"}`),
		"typed data of types in types":           letter(`"A":[{"name":"a","type":"T0"}]`+numbered(2000, `,"T%d":[{"name":"a","type":"T%d"}]`)+`,"T2000":[{"name":"a","type":"bool"}]`, strings.Repeat(`{"a":`, 2001)+"true"+strings.Repeat("}", 2001)),
		"typed data of two types in two":         letter(`"A":[{"name":"a","type":"T0"},{"name":"b","type":"T0"}]`+numbered(40, `,"T%d":[{"name":"a","type":"T%[2]d[]"},{"name":"b","type":"T%[2]d[]"}]`)+`,"T40":[{"name":"a","type":"bool"}]`, `{"a":{"a":[],"b":[]},"b":{"a":[],"b":[]}}`),
		"typed data of lists in lists":           letter(`"A":[{"name":"a","type":"uint8`+strings.Repeat("[]", 20_000)+`"}]`, `{"a":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`}`),
		"typed data of one long list":            letter(`"A":[{"name":"a","type":"uint8[]"}]`, `{"a":[1`+strings.Repeat(",1", 60_000)+`]}`),
		"typed data of a list of nothing":        letter(`"A":[{"name":"a","type":"B[]"}],"B":[]`, `{"a":[{}`+strings.Repeat(",{}", 40_000)+`]}`),
		"typed data of a list of nothing, fixed": letter(`"A":[{"name":"a","type":"uint8[4294967295][4294967295]"}]`, `{"a":[]}`),
		"typed data of one long text":            letter(`"A":[{"name":"a","type":"string"}]`, `{"a":"`+strings.Repeat(`\u202e`, 20_000)+`"}`),
		"typed data with long names":             letter(`"A":[{"name":"a","type":"B[]"}],"B":[{"name":"`+strings.Repeat("n", 30<<10)+`","type":"bool"}]`, `{"a":[`+strings.TrimSuffix(strings.Repeat(`{"`+strings.Repeat("n", 30<<10)+`":true},`, 2), ",")+`]}`),
		"a batch of permits":                     typedData(t, permitBatchType, obj{"name": "Permit2", "chainId": 1, "verifyingContract": permit2}, manyPermits(512)).bytes,
		"a message of hidden characters":         full("", "\u202e\u0430a", ""),
		"the longest message":                    []byte(strings.Repeat("\u202e\u0430a ", 1024)),
		"a message of many numbers":              full("", strings.Repeat("a", 51)+" ", ""),
		"a message of many beginnings":           full("", "02f8"+strings.Repeat("94", 24)+" ", ""),
		"a message of base64":                    full("", "AvhV", ""),
		"a sign-in that does not end":            full("service.example wants you to sign in with your Ethereum account:\n"+acme+"\n\n", "Resources:\n- a:b\n", ""),
		"white space":                            full("", " ", "x"),
		"zeros":                                  make([]byte, signer.MaxPayload),
	}
}

func repeated(c called, n int) (out []called) {
	for range n {
		out = append(out, c)
	}
	return out
}

// lookAlikes are payments to addresses that begin and end like one that is known.
func lookAlikes(n int) (out []called) {
	for i := range n {
		a := common.HexToAddress(acme)
		a[9], a[10] = byte(i>>8), byte(i)
		out = append(out, called{a.Hex(), nil})
	}
	return out
}

func accessLists(n int) (out []any) {
	for range n {
		out = append(out, []any{common.HexToAddress(acme), []any{}})
	}
	return out
}

// authorizations are n that differ, with signatures of the form of good ones.
func authorizations(t *testing.T, n int) (out []types.SetCodeAuthorization) {
	a := signedAuthorization(t, 1, thief)
	for i := range n {
		a.Nonce = uint64(i)
		out = append(out, a)
	}
	return out
}

// numbered is a text again and again, with the numbers from i on in it.
func numbered(n int, text string) string {
	var b strings.Builder
	for i := range n {
		if strings.Count(text, "%") == 1 {
			fmt.Fprintf(&b, text, i)
		} else {
			fmt.Fprintf(&b, text, i, i+1)
		}
	}
	return b.String()
}

func manyPermits(n int) obj {
	var details []obj
	for i := range n {
		details = append(details, obj{"token": usdc, "amount": "1", "expiration": "1796083200", "nonce": fmt.Sprint(i)})
	}
	return obj{"details": details, "spender": exchange, "sigDeadline": "1796083200"}
}
