package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// answer writes an answer of the API: as JSON in the form that docs/api.md has, or
// as the text that show makes of it.
func (c *cli) answer(m proto.Message, show func(io.Writer) error) error {
	if c.output == outputText {
		return show(c.stdout)
	}
	// A field that is empty is written too, so that programs find what they ask for.
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	// protojson varies its white space on purpose.
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = c.stdout.Write(shown(out.Bytes()))
	return err
}

// shown is the same JSON for a terminal: what does not print, hides or reorders stands as
// an escape. JSON itself has that for the controls of ASCII alone, and a terminal takes
// U+009B for the beginning of a command, too.
func shown(doc []byte) []byte {
	var b strings.Builder
	for _, r := range string(doc) {
		if (r >= 0x80 || r == 0x7f) && console.Safe(string(r)) != string(r) {
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
			continue
		}
		b.WriteRune(r)
	}
	return []byte(b.String())
}

// record writes what is no answer of the API, from a struct with JSON names.
func (c *cli) record(v any, show func(io.Writer) error) error {
	if c.output == outputText {
		return show(c.stdout)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := c.stdout.Write(shown(out.Bytes()))
	return err
}

// table writes rows in columns. Every cell is made safe.
func table(w io.Writer, head []string, rows [][]string) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = console.Safe(cell)
		}
		// Empty cells stay: a column ends where a row has none.
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// sheet writes names and values, one pair a line; empty values are left out.
func sheet(w io.Writer, pairs ...[2]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range pairs {
		if p[1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", p[0], console.Safe(p[1]))
		}
	}
	return tw.Flush()
}

func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

func window(d *durationpb.Duration) string {
	if d == nil {
		return "per request"
	}
	// Not 24h0m0s.
	text, ok := strings.CutSuffix(d.AsDuration().String(), "m0s")
	if !ok {
		return "in " + text
	}
	text += "m"
	if hours, ok := strings.CutSuffix(text, "h0m"); ok {
		text = hours + "h"
	}
	return "in " + text
}

// amount writes an integer that came as text, for a table; what is no integer is
// shown as it is.
func amount(text, asset string, names console.Names) string {
	n, ok := api.Integer(text)
	if !ok {
		return text
	}
	return console.Amount(n, asset, names)
}

func hexText(b []byte) string { return "0x" + hex.EncodeToString(b) }

// assetName is the one asset that an answer names, as a book of it alone.
func assetName(id, name string, decimals uint32) console.Names {
	if name == "" {
		return console.Names{}
	}
	return console.Names{Assets: map[string]signer.Asset{id: {ID: id, Name: name, Decimals: int(decimals)}}}
}
