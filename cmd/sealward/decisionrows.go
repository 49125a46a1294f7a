package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// movement is one thing that a decision would have move.
type movement struct {
	what             string // the class of an effect, "fee" or "rest"
	from, to         string
	quantity         signer.Quantity
	label, assetName string
	amount           string // in the asset's unit, exactly; empty where nothing says how many decimals
}

// cells is a line of the export, by the columns.
type cells []string

// columns are those of the export. Their names are documented in docs/cli.md and do not
// change; a column that comes later stands at the end.
var columns = []struct {
	name string
	of   func(d *settled, m movement) string
}{
	{"leaf", func(d *settled, _ movement) string { return strconv.FormatUint(d.leaf, 10) }},
	{"time", func(d *settled, _ movement) string { return d.event.Time.UTC().Format(time.RFC3339) }},
	{"outcome", func(d *settled, _ movement) string { return d.outcome }},
	{"caller", func(d *settled, _ movement) string { return d.event.Proposal.Caller.ID() }},
	{"user", func(d *settled, _ movement) string { return d.event.Proposal.Caller.User }},
	{"request_id", func(d *settled, _ movement) string { return d.event.Proposal.Request.ID }},
	{"key", func(d *settled, _ movement) string { return d.event.Proposal.Key.Name }},
	{"key_fingerprint", func(d *settled, _ movement) string { return d.event.Proposal.Key.Fingerprint }},
	{"kind", func(d *settled, _ movement) string { return string(d.event.Proposal.Request.Kind) }},
	{"class", func(d *settled, _ movement) string { return string(d.event.Proposal.Intent.Class()) }},
	{"rules", func(d *settled, _ movement) string { return strings.Join(d.event.Decision.Rules, "; ") }},
	{"reason", func(d *settled, _ movement) string { return d.event.Decision.Reason }},
	{"movement", func(_ *settled, m movement) string { return m.what }},
	{"from", func(_ *settled, m movement) string { return m.from }},
	{"to", func(_ *settled, m movement) string { return m.to }},
	{"to_label", func(_ *settled, m movement) string { return m.label }},
	{"asset", func(_ *settled, m movement) string { return m.quantity.Asset }},
	{"asset_name", func(_ *settled, m movement) string { return m.assetName }},
	{"amount", func(_ *settled, m movement) string { return m.amount }},
	{"base_units", func(_ *settled, m movement) string { return baseUnits(m.quantity) }},
	{"bound", func(_ *settled, m movement) string { return m.quantity.Kind.String() }},
	{"digest_name", func(d *settled, _ movement) string { return payloadDigest(d.event.Proposal.Intent).Name }},
	{"digest", func(d *settled, _ movement) string { return digestText(d.event.Proposal.Intent) }},
	{"policy", func(d *settled, _ movement) string { return fmt.Sprintf("%x", d.event.Proposal.Policy) }},
	{"claim", func(d *settled, _ movement) string { return d.event.Proposal.Request.Claim }},
}

// rows are a row for each effect, one for the fee, and one for each part of the outflow
// that neither accounts for. So what a decision lets out of an asset is the sum of its
// rows. A decision without any of these has one row all the same.
func (d *settled) rows(book signer.Book) []cells {
	in := d.event.Proposal.Intent
	var moves []movement
	for _, e := range in.Effects {
		moves = append(moves, movement{what: string(e.Class), from: e.Actor, to: e.Counterparty, quantity: e.Quantity})
	}
	if in.Fee.Kind != signer.QuantityNone {
		moves = append(moves, movement{what: "fee", quantity: in.Fee})
	}
	for _, q := range unaccounted(in) {
		moves = append(moves, movement{what: "rest", quantity: q})
	}
	if len(moves) == 0 {
		moves = append(moves, movement{})
	}
	rows := make([]cells, 0, len(moves))
	for _, m := range moves {
		m.name(book)
		r := make(cells, len(columns))
		for i, c := range columns {
			r[i] = c.of(d, m)
		}
		rows = append(rows, r)
	}
	return rows
}

// unaccounted is what the outflow has beyond the effects and the fee. Today's decoders
// leave none; a record of another version may.
func unaccounted(in signer.Intent) (rest []signer.Quantity) {
	parts := []signer.Quantity{in.Fee}
	for _, e := range in.Effects {
		parts = append(parts, e.Quantity)
	}
	told := map[string]signer.Quantity{}
	for _, q := range signer.Outflow(parts...) {
		told[q.Asset] = q
	}
	for _, q := range in.Outflow {
		total, bounded := q.Bound()
		known, ok := told[q.Asset].Bound()
		switch {
		case !ok: // it is without bound already
		case !bounded:
			rest = append(rest, q)
		case total.Cmp(known) > 0:
			rest = append(rest, signer.AtMost(q.Asset, new(big.Int).Sub(total, known)))
		}
	}
	return rest
}

// name fills in what the owner's files call things.
func (m *movement) name(book signer.Book) {
	m.label = book.Accounts[m.to]
	if c, ok := book.Contracts[m.to]; ok && m.label == "" {
		m.label = c.Name
	}
	a, ok := book.Assets[m.quantity.Asset]
	if !ok {
		return
	}
	m.assetName = a.Name
	if m.quantity.N != nil {
		m.amount = inUnits(m.quantity.N, a.Decimals)
	}
}

// inUnits moves the point of an integer; it neither rounds nor pads.
func inUnits(n *big.Int, decimals int) string {
	digits := n.String()
	if decimals <= 0 || n.Sign() < 0 {
		return digits
	}
	if pad := decimals + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - decimals
	return strings.TrimSuffix(strings.TrimRight(digits[:point]+"."+digits[point:], "0"), ".")
}

func baseUnits(q signer.Quantity) string {
	if q.N == nil {
		return ""
	}
	return q.N.String()
}

// payloadDigest is the hash to find a payload by: that of the transaction where the payload
// has its signature already, else the first, which is what the key signs.
func payloadDigest(in signer.Intent) signer.Digest {
	for _, d := range in.Digests {
		if d.Name == "transaction hash" {
			return d
		}
	}
	if len(in.Digests) > 0 {
		return in.Digests[0]
	}
	return signer.Digest{}
}

func digestText(in signer.Intent) string {
	if d := payloadDigest(in); d.Name != "" {
		return hexText(d.Value[:])
	}
	return ""
}

// decisionWriter is one of three: CSV, JSON or a table. Each holds a page at most.
type decisionWriter struct {
	write func([]cells) error
	flush func() error
}

func (c *cli) decisionWriter(asCSV bool) decisionWriter {
	switch {
	case asCSV:
		return c.csvWriter()
	case c.output == outputJSON:
		return decisionWriter{c.writeObjects, func() error { return nil }}
	default:
		return c.tableWriter()
	}
}

// csvWriter writes RFC 4180: a header, lines that end in CR LF, quotes where they must
// be. It is UTF-8 without a byte order mark.
func (c *cli) csvWriter() decisionWriter {
	w := csv.NewWriter(c.stdout)
	w.UseCRLF = true
	begun := false
	head := func() error {
		if begun {
			return nil
		}
		begun = true
		names := make([]string, len(columns))
		for i, col := range columns {
			names[i] = col.name
		}
		return w.Write(names)
	}
	return decisionWriter{
		write: func(rows []cells) error {
			if err := head(); err != nil {
				return err
			}
			for _, r := range rows {
				cells := make([]string, len(r))
				for i, cell := range r {
					cells[i] = defused(cell)
				}
				if err := w.Write(cells); err != nil {
					return err
				}
			}
			return nil
		},
		flush: func() error { // an export without decisions has its header
			if err := head(); err != nil {
				return err
			}
			w.Flush()
			return w.Error()
		},
	}
}

// A spreadsheet takes a cell that begins with one of these for a formula, and so does
// one that was told another separator with what stands after that
// (owasp.org/www-community/attacks/CSV_Injection). An apostrophe of our own tells cells
// that begin with one apart.
const formula = "=+-@＝＋－＠'"

var afterSeparator = regexp.MustCompile(`[;,|]["']*[=+\-@＝＋－＠]`)

// defused is a text that a spreadsheet shows and does nothing with: without what does
// not print, hides or reorders, and never the beginning of a formula.
func defused(cell string) string {
	cell = afterSeparator.ReplaceAllStringFunc(console.Safe(cell), func(s string) string {
		runes := []rune(s)
		last := len(runes) - 1
		return string(runes[:last]) + fmt.Sprintf(`\u{%x}`, runes[last])
	})
	if cell != "" && strings.ContainsRune(formula, []rune(cell)[0]) {
		return "'" + cell
	}
	return cell
}

// writeObjects writes a line of JSON for each row, with the names of the columns.
func (c *cli) writeObjects(rows []cells) error {
	var b bytes.Buffer
	for _, r := range rows {
		for i, cell := range r {
			sep := ","
			if i == 0 {
				sep = "{"
			}
			value, err := json.Marshal(cell)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s%q:%s", sep, columns[i].name, value)
		}
		b.WriteString("}\n")
	}
	_, err := c.stdout.Write(shown(b.Bytes()))
	return err
}

// tableWriter writes for people, a table for each few hundred rows.
func (c *cli) tableWriter() decisionWriter {
	const most = 500
	var rows [][]string
	begun := false
	flush := func() error {
		if begun && len(rows) == 0 {
			return nil
		}
		if begun {
			fmt.Fprintln(c.stdout)
		}
		begun = true
		err := table(c.stdout, []string{"LEAF", "TIME", "OUTCOME", "CALLER", "REQUEST", "KEY", "WHAT", "AMOUNT", "TO"}, rows)
		rows = rows[:0]
		return err
	}
	return decisionWriter{
		write: func(more []cells) error {
			for _, r := range more {
				rows = append(rows, r.short())
			}
			if len(rows) < most {
				return nil
			}
			return flush()
		},
		flush: flush,
	}
}

// cell returns one of a row's by the name of its column.
func (r cells) cell(name string) string {
	for i, c := range columns {
		if c.name == name {
			return r[i]
		}
	}
	return ""
}

// short is a row for people: the amount with its unit, and whom they know by name.
func (r cells) short() []string {
	amount := r.cell("amount") + " " + r.cell("asset_name")
	switch {
	case r.cell("bound") == signer.QuantityNone.String():
		amount = ""
	case r.cell("base_units") == "":
		amount = strings.TrimSpace(r.cell("bound") + " " + r.cell("asset_name"))
	case r.cell("amount") == "":
		amount = r.cell("base_units") + " base units of " + r.cell("asset")
	}
	if r.cell("bound") == signer.QuantityAtMost.String() {
		amount = "at most " + amount
	}
	to := r.cell("to_label")
	if to == "" {
		to = r.cell("to")
	}
	return []string{r.cell("leaf"), r.cell("time"), r.cell("outcome"), r.cell("caller"), r.cell("request_id"), r.cell("key"), r.cell("movement"), amount, to}
}
