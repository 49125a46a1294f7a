package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

var update = flag.Bool("update", false, "write the golden files")

// permit has something in every member.
func permit() (signer.Intent, *signer.ClearSigning) {
	const (
		coin   = "eip155:1/slip44:60"
		usdc   = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
		me     = "eip155:1:0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
		router = "eip155:1:0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"
	)
	fee := signer.AtMost(coin, big.NewInt(420_000_000_000_000))
	allowance := signer.AtMost(usdc, big.NewInt(5_000_000))
	return signer.Intent{
			Kind: signer.KindEVMTransaction, Complete: true,
			Effects: []signer.Effect{{
				Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: allowance,
				Until:      time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC),
				Attributes: map[string]string{"contract": "eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"},
			}},
			Outflow:  signer.Outflow(fee, allowance),
			Fee:      fee,
			Fields:   []signer.Field{{Name: "chain", Value: "eip155:1"}, {Name: "nonce", Value: "7"}},
			Warnings: []signer.Warning{{Code: "evm_unknown_token", Severity: signer.SeverityWarn, Text: "token 0xA0b8 is in none of your lists"}},
			Digests:  []signer.Digest{{Name: "transaction signing hash", Value: [32]byte{0xab, 31: 0xcd}}},
			Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: []byte{0xab, 0xcd}}},
		}, &signer.ClearSigning{
			Descriptor: "uniswap/calldata.json", Owner: "Uniswap", Intent: "Allow", InterpolatedIntent: "Allow 5 USDC",
			Fields: []signer.Labelled{{Label: "Spender", Value: "0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"}},
		}
}

var lookedAt = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// document is how programs get it.
func document(t *testing.T, m *v1.Intent) string {
	t.Helper()
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// The document is a promise to programs: what the golden file has stays, and
// docs/formats.md shows it.
func TestTheIntentDocumentIsItsGoldenFileAndTheManualsExample(t *testing.T) {
	in, labels := permit()
	got := document(t, api.Document(in, labels, lookedAt))
	path := filepath.Join("testdata", "intent.json")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the document is\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(section(t), "```json\n"+got+"```\n") {
		t.Errorf("docs/formats.md does not show\n%s", got)
	}
}

// section is what docs/formats.md says of the intent document.
func section(t *testing.T) string {
	t.Helper()
	manual, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(manual), "\n## Intent document\n")
	if !found {
		t.Fatal("docs/formats.md has no section \"Intent document\"")
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

func TestTheManualHasEveryMemberOfTheIntentDocument(t *testing.T) {
	text := section(t)
	seen := map[protoreflect.FullName]bool{}
	var walk func(protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] || !strings.HasPrefix(string(m.FullName()), "sealward.") {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if !strings.Contains(text, "`"+string(f.Name())+"`") {
				t.Errorf("docs/formats.md does not say what %s is", f.FullName())
			}
			if f.Message() != nil && !f.IsMap() {
				walk(f.Message())
			}
		}
	}
	walk((*v1.Intent)(nil).ProtoReflect().Descriptor())
	if len(seen) < 8 {
		t.Errorf("only %d messages looked at", len(seen))
	}
}

func TestAnIntentReadsBackFromItsDocument(t *testing.T) {
	in, labels := permit()
	m := api.Document(in, labels, lookedAt)
	got, err := api.ReadIntent(m)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, in) {
		t.Errorf("ReadIntent = %+v, want %+v", got, in)
	}
	if got := api.ReadClearSigning(m); !reflect.DeepEqual(got, labels) {
		t.Errorf("ReadClearSigning = %+v, want %+v", got, labels)
	}
	if got := api.ReadClearSigning(api.Document(in, nil, lookedAt)); got != nil {
		t.Errorf("ReadClearSigning of nothing = %+v", got)
	}
}

func TestTheTimeThatRemainsIsInWholeSeconds(t *testing.T) {
	for name, c := range map[string]struct {
		until time.Time
		want  int64
	}{
		"an hour":                      {lookedAt.Add(time.Hour), 3600},
		"an hour ago":                  {lookedAt.Add(-time.Hour), -3600},
		"longer than Go's durations":   {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), 251606865599},
		"before there was a Unix time": {time.Unix(0, 0), -lookedAt.Unix()},
	} {
		t.Run(name, func(t *testing.T) {
			m := api.Document(signer.Intent{Effects: []signer.Effect{{Class: signer.ClassAllowance, Until: c.until}, {Class: signer.ClassMessage}}}, nil, lookedAt)
			if got := m.GetEffects()[0].GetRemaining(); got.GetSeconds() != c.want || got.CheckValid() != nil {
				t.Errorf("remaining %v, want %d seconds", got, c.want)
			}
			if m.GetEffects()[1].GetRemaining() != nil {
				t.Error("what does not end has time that remains")
			}
		})
	}
}

func TestWhatANewerDaemonSaysStandsForTheWorst(t *testing.T) {
	in, err := api.ReadIntent(&v1.Intent{
		Version: 1, Kind: "evm.transaction", Class: "transfer", Complete: true,
		Effects: []*v1.Effect{
			{Class: "transfer", Quantity: &v1.Quantity{Kind: "roughly", Asset: "x", Amount: "1"}},
			{Class: "escrow"},
		},
		Warnings: []*v1.Warning{{Code: "c", Severity: "apocalyptic", Text: "t"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := in.Effects[0].Quantity; got.Kind != signer.QuantityUnknown || got.N != nil || got.Asset != "x" {
		t.Errorf("a quantity of an unknown kind is read as %+v", got)
	}
	if got := in.Class(); got != "escrow" {
		t.Errorf("the worst class is %q, want the one that is not known", got)
	}
	if got := in.Warnings[0].Severity; got != "apocalyptic" {
		t.Errorf("the severity is read as %q", got)
	}
}

func TestReadIntentRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, m := range map[string]*v1.Intent{
		"another version":             {Version: 2},
		"no version":                  {},
		"a class of no effect":        {Version: 1, Class: "transfer", Effects: []*v1.Effect{{Class: "allowance"}}},
		"a quantity without kind":     {Version: 1, Fees: &v1.Quantity{Amount: "1"}},
		"exact without amount":        {Version: 1, Fees: &v1.Quantity{Kind: "exact"}},
		"unlimited with amount":       {Version: 1, Fees: &v1.Quantity{Kind: "unlimited", Amount: "1"}},
		"an amount that is no number": {Version: 1, Fees: &v1.Quantity{Kind: "exact", Amount: "0x10"}},
		"a negative amount":           {Version: 1, Fees: &v1.Quantity{Kind: "exact", Amount: "-1"}},
		"a short digest":              {Version: 1, Digests: []*v1.Field{{Name: "d", Value: "abcd"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := api.ReadIntent(m); codeOf(err) != signer.CodeInternal {
				t.Errorf("ReadIntent = %+v, %v; want code %q", got, err, signer.CodeInternal)
			}
		})
	}
}

// To read millions of digits as a number takes minutes, and nothing can be done meanwhile.
func TestAnAmountOfMillionsOfDigitsIsRefusedAtOnce(t *testing.T) {
	m := &v1.Intent{Version: 1, Kind: "evm.transaction", Fees: &v1.Quantity{Kind: "exact", Asset: "a", Amount: strings.Repeat("9", 4<<20)}}
	began := time.Now()
	if _, err := api.ReadIntent(m); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("ReadIntent error = %v after %s, want one at once", err, time.Since(began))
	}
}
