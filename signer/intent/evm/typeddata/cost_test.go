package typeddata_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// costly are payloads that make a reader work, most of them of nearly the greatest size.
func costly(t testing.TB) map[string]string {
	t.Helper()
	fill := func(element string, most int) string {
		return list(element, min(most, (signer.MaxPayload-2000)/(len(element)+1)))
	}
	return map[string]string{
		"types that all refer to each other":   ring(),
		"an array of structs":                  holding("Item[] l", `{"l":`+fill(`{"a":{"b":{"c":true}}}`, 4096)+`}`, "Item:A a", "A:B b", "B:bool c"),
		"an array of empty arrays":             holding("bool[][] l", `{"l":`+fill(`[]`, 4096)+`}`),
		"a long text":                          holding("string s", `{"s":"`+strings.Repeat("a", signer.MaxPayload-200)+`"}`),
		"a text of escapes":                    holding("string s", `{"s":"`+strings.Repeat(`\n`, signer.MaxPayload/2-200)+`"}`),
		"long bytes":                           holding("bytes s", `{"s":"0x`+strings.Repeat("ab", signer.MaxPayload/2-200)+`"}`),
		"many members that the types lack":     changed(t, mail, `"contents": `, undeclared(8000)+`"contents": `),
		"more elements than there may be":      holding("bool[][] l", `{"l":`+fill(`[]`, 60_000)+`}`),
		"empty objects":                        holding("bool[] l", `{"l":`+fill(`{}`, 60_000)+`}`),
		"a type with more dimensions than any": holding("bool"+strings.Repeat("[]", signer.MaxPayload/2-200)+" l", `{"l":[]}`),
		"more types than there may be":         manyTypes(900),
		"more members than there may be":       manyMembers(2500),
	}
}

// ring is 64 types of which each leads to all others, with a value of each, so that
// a long type text is hashed for each of them. Most of it is types without a value.
func ring() string {
	var types, fields, values []string
	for i := range 60 {
		types = append(types, fmt.Sprintf("T%d:T%d[] n,Long[] l", i, (i+1)%60))
		fields = append(fields, fmt.Sprintf("T%d t%d", i, i))
		values = append(values, fmt.Sprintf(`"t%d":{"n":[],"l":[]}`, i))
	}
	return holding(strings.Join(fields, ","), "{"+strings.Join(values, ",")+"}", append(types, "Long:Box[] b,Longer[] c"+longMembers()[len(",bool m")+100:], "Longer:Box[] b"+longMembers())...)
}

// longMembers are 127 members with long names, about 13 KiB of type text.
func longMembers() string {
	var b strings.Builder
	for i := range 127 {
		fmt.Fprintf(&b, ",bool m%0100d", i)
	}
	return b.String()
}

func undeclared(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"x%05d":0,`, i)
	}
	return b.String()
}

// TestEveryPayloadIsCheap has the bounds that docs promise for any input, 50 ms and
// 64 MiB, with slack in time for a machine that does other things too.
func TestEveryPayloadIsCheap(t *testing.T) {
	for name, text := range costly(t) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := typeddata.Parse([]byte(text))
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		t.Logf("%s: %d bytes, %v, %d KiB, error %v", name, len(text), took, (after.TotalAlloc-before.TotalAlloc)>>10, err)
		if took > 500*time.Millisecond {
			t.Errorf("%s: %v, want 50ms", name, took)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
			t.Errorf("%s: %d bytes of memory, want at most 64 MiB", name, allocated)
		}
	}
}
