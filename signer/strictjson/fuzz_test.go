package strictjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/sealward/sealward/signer/strictjson"
)

// FuzzUnmarshal checks that what is accepted is all there is: every value of an
// accepted text survives in the result, and encoding/json agrees on it. Texts are
// compared as sets of described values, so a dropped or overridden one shows.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		`{"name":"n","count":7,"list":[{"name":"m"}],"labels":{"k":"v"}}`,
		`{"name":null,"list":[]}`,
		`{"name":"a","Name":"b"}`,
		`{"count":1e3}`,
		`{"name":"\ud83d\ude00\u2028"}`,
		`{"labels":{"ſ":"1","S":"2"}}`,
		`[1,2] 3`,
	} {
		f.Add([]byte(seed))
	}
	type node struct {
		Name   *string            `json:"name,omitempty"`
		Count  *int64             `json:"count,omitempty"`
		List   *[]node            `json:"list,omitempty"`
		Labels *map[string]string `json:"labels,omitempty"`
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got node
		if err := strictjson.Unmarshal(text, &got); err != nil {
			return
		}
		out, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if in, back := plainValue(t, text), plainValue(t, out); !reflect.DeepEqual(in, back) {
			t.Errorf("accepted %s but it means %s", text, out)
		}
		var again node
		if err := strictjson.Unmarshal(out, &again); err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%s reads back as %+v, %v; want %+v", out, again, err, got)
		}
	})
}

// plainValue is a text as plain maps and lists, without the members that are null.
func plainValue(t *testing.T, text []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return withoutNulls(v)
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			v[k] = withoutNulls(e)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}
