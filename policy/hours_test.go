package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// when is a moment by the clocks of a place, or in UTC where it has an offset of its own.
func when(t *testing.T, zone, text string) time.Time {
	t.Helper()
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05", text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestHours(t *testing.T) {
	const (
		berlin  = "Europe/Berlin"
		newYork = "America/New_York"
		office  = "days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\nfrom = \"09:00\"\nto = \"18:00\""
		night   = "from = \"22:00\"\nto = \"06:00\""
		fridays = "days = [\"fri\"]\nfrom = \"22:00\"\nto = \"06:00\""
		weekend = "days = [\"sat\", \"sun\"]"
		early   = "from = \"02:00\"\nto = \"03:00\""
		evening = "from = \"18:00\"\nto = \"24:00\""
	)
	for name, tt := range map[string]struct {
		zone, hours, time string
		want              bool
	}{
		"the second before they begin":                      {berlin, office, "2026-11-23 08:59:59", false},
		"when they begin":                                   {berlin, office, "2026-11-23 09:00:00", true},
		"the second before they end":                        {berlin, office, "2026-11-23 17:59:59", true},
		"when they end":                                     {berlin, office, "2026-11-23 18:00:00", false},
		"on a Saturday":                                     {berlin, office, "2026-11-28 12:00:00", false},
		"on a Friday":                                       {berlin, office, "2026-11-27 12:00:00", true},
		"by the clocks of the place in winter":              {berlin, office, "2026-11-23T08:00:00Z", true},
		"by the clocks of the place in summer":              {berlin, office, "2026-07-06T07:00:00Z", true},
		"an hour too early in summer":                       {berlin, office, "2026-07-06T06:59:59Z", false},
		"Monday there, while it is Sunday in UTC":           {"Pacific/Auckland", office, "2026-11-22T20:00:00Z", true},
		"Friday evening there, while it is Saturday in UTC": {newYork, "days = [\"fri\"]", "2026-11-28T04:59:59Z", true},
		"Saturday there as well":                            {newYork, "days = [\"fri\"]", "2026-11-28T05:00:00Z", false},

		"days alone, from their midnight":     {berlin, weekend, "2026-11-28 00:00:00", true},
		"days alone, to their midnight":       {berlin, weekend, "2026-11-29 23:59:59", true},
		"days alone, not the second before":   {berlin, weekend, "2026-11-27 23:59:59", false},
		"days alone, not the second after":    {berlin, weekend, "2026-11-30 00:00:00", false},
		"to the end of the day":               {berlin, evening, "2026-11-23 23:59:59", true},
		"not over the end of the day":         {berlin, evening, "2026-11-24 00:00:00", false},
		"to midnight, written as zero":        {berlin, "from = \"18:00\"\nto = \"00:00\"", "2026-11-23 23:59:59", true},
		"not after midnight, written as zero": {berlin, "from = \"18:00\"\nto = \"00:00\"", "2026-11-24 00:00:00", false},

		"over midnight, the second before":        {berlin, night, "2026-11-23 21:59:59", false},
		"over midnight, when they begin":          {berlin, night, "2026-11-23 22:00:00", true},
		"over midnight, after it":                 {berlin, night, "2026-11-24 00:00:00", true},
		"over midnight, the last second":          {berlin, night, "2026-11-24 05:59:59", true},
		"over midnight, when they end":            {berlin, night, "2026-11-24 06:00:00", false},
		"of Friday, on Friday":                    {berlin, fridays, "2026-11-27 22:00:00", true},
		"of Friday, on the Saturday that follows": {berlin, fridays, "2026-11-28 05:59:59", true},
		"of Friday, not the end of Thursday's":    {berlin, fridays, "2026-11-27 05:59:59", false},
		"of Friday, not on Saturday evening":      {berlin, fridays, "2026-11-28 22:00:00", false},
		"of Saturday, on the Sunday that follows": {berlin, "days = [\"sat\"]\nfrom = \"22:00\"\nto = \"06:00\"", "2026-11-29 03:00:00", true},
		"of Sunday, on the Monday that follows":   {berlin, "days = [\"sun\"]\nfrom = \"22:00\"\nto = \"06:00\"", "2026-11-30 03:00:00", true},
		"of Sunday, not on the Sunday morning":    {berlin, "days = [\"sun\"]\nfrom = \"22:00\"\nto = \"06:00\"", "2026-11-29 03:00:00", false},

		// In spring, Berlin has no 02:30 (2026-03-29), nor has New York (2026-03-08).
		"in spring in Berlin, before the clocks change":  {berlin, early, "2026-03-29T00:59:59Z", false},
		"in spring in Berlin, after it: it is 03:00":     {berlin, early, "2026-03-29T01:00:00Z", false},
		"in spring in Berlin, the hour from 03:00":       {berlin, "from = \"03:00\"\nto = \"04:00\"", "2026-03-29T01:00:00Z", true},
		"in spring in New York, after it: it is 03:00":   {newYork, early, "2026-03-08T07:00:00Z", false},
		"in spring in New York, the night of Saturday":   {newYork, "days = [\"sat\"]\nfrom = \"22:00\"\nto = \"06:00\"", "2026-03-08T09:59:59Z", true},
		"in spring in New York, when that night ends":    {newYork, "days = [\"sat\"]\nfrom = \"22:00\"\nto = \"06:00\"", "2026-03-08T10:00:00Z", false},
		"in spring in Berlin, the office opens at 09:00": {berlin, "from = \"09:00\"\nto = \"18:00\"", "2026-03-29T07:00:00Z", true},
		"in spring in Berlin, and not at what 09:00 was": {berlin, "from = \"09:00\"\nto = \"18:00\"", "2026-03-29T06:59:59Z", false},
		// In autumn, Berlin has 02:30 twice (2026-10-25), and New York 01:30 (2026-11-01).
		"in autumn in Berlin, 02:30 for the first time":    {berlin, early, "2026-10-25T00:30:00Z", true},
		"in autumn in Berlin, 02:30 for the second time":   {berlin, early, "2026-10-25T01:30:00Z", true},
		"in autumn in Berlin, 03:00":                       {berlin, early, "2026-10-25T02:00:00Z", false},
		"in autumn in New York, 01:30 for the second time": {newYork, "from = \"01:00\"\nto = \"02:00\"", "2026-11-01T06:30:00Z", true},
		"in autumn in New York, 02:00":                     {newYork, "from = \"01:00\"\nto = \"02:00\"", "2026-11-01T07:00:00Z", false},
		"in autumn in Berlin, when the night ends":         {berlin, night, "2026-10-25T05:00:00Z", false},
		"in autumn in Berlin, the second before":           {berlin, night, "2026-10-25T04:59:59Z", true},
	} {
		t.Run(name, func(t *testing.T) {
			block := "hours {\nzone = \"" + tt.zone + "\"\n" + tt.hours + "\n}\n"
			prop := transfer(t, acme, "1")
			f := signer.Facts{Time: when(t, tt.zone, tt.time)}
			d := load(t, allow(block)).Decide(prop, f)
			if (d.Verdict == signer.Allow) != tt.want || !tt.want && !strings.Contains(d.Reason, `rule "r": not at this hour`) {
				t.Errorf("Decide = %s (%s), want allow: %t", d.Verdict, d.Reason, tt.want)
			}
			d = load(t, allow("")+"rule \"no\" {\ndeny = \"closed\"\n"+block+"}\n").Decide(prop, f)
			if (d.Verdict == signer.Deny) != tt.want || tt.want && d.Reason != `rule "no" denies: closed` {
				t.Errorf("denying, Decide = %s (%s), want deny: %t", d.Verdict, d.Reason, tt.want)
			}
		})
	}
}

func TestRulesAndTheirHours(t *testing.T) {
	const (
		mornings = "hours {\nzone = \"UTC\"\nfrom = \"09:00\"\nto = \"12:00\"\n}\n"
		evenings = "hours {\nzone = \"UTC\"\nfrom = \"18:00\"\nto = \"20:00\"\n}\n"
		fails    = "when = \"outflow[1].asset == ''\"\n"
	)
	atTime := func(t time.Time) func(signer.Facts) signer.Facts {
		return func(f signer.Facts) signer.Facts { f.Time = t; return f }
	}
	judge(t, map[string]ruling{
		"within one of two":                       {allow(evenings + mornings), nil, nil, signer.Allow, ""},
		"within none of two":                      {allow(evenings + mornings), nil, atTime(at.Add(4 * time.Hour)), signer.Deny, "not at this hour"},
		"no journal time":                         {allow(mornings), nil, atTime(time.Time{}), signer.Deny, `rule "r": its hours cannot be compared: journal time is missing`},
		"no journal time, in a rule that denies":  {allow("") + "rule \"no\" {\ndeny = \"x\"\n" + mornings + "}\n", nil, atTime(time.Time{}), signer.Deny, `rule "no": its hours cannot be compared`},
		"no journal time, in a rule for others":   {allow("") + "rule \"no\" {\ndeny = \"x\"\ncallers = [\"uid:99\"]\n" + mornings + "}\n", nil, atTime(time.Time{}), signer.Allow, ""},
		"a condition that fails within":           {allow("") + "rule \"no\" {\ndeny = \"x\"\n" + fails + mornings + "}\n", nil, nil, signer.Deny, "cannot be evaluated"},
		"a condition that would fail outside":     {allow("") + "rule \"no\" {\ndeny = \"x\"\n" + fails + evenings + "}\n", nil, nil, signer.Allow, ""},
		"the wall clock has no say":               {allow(mornings), nil, func(f signer.Facts) signer.Facts { f.Wall = at.Add(12 * time.Hour); return f }, signer.Allow, ""},
		"a limit of a rule outside its hours":     {rulesText("allow = true", "allow = true\n"+evenings+"limit \"l\" {\namount = \"0.5 eth\"\n}"), nil, nil, signer.Allow, ""},
		"the same limit within":                   {rulesText("allow = true", "allow = true\n"+mornings+"limit \"l\" {\namount = \"0.5 eth\"\n}"), nil, nil, signer.Deny, `limit "l"`},
		"approvals outside office hours":          {rulesText("allow = true", "require {\ngroup = \"treasury\"\napprovals = 1\n}\n"+mornings), nil, nil, signer.Ask, "needs 1 approval"},
		"no approvals where those hours are over": {rulesText("allow = true", "require {\ngroup = \"treasury\"\napprovals = 1\n}\n"+evenings), nil, nil, signer.Allow, ""},
	})
}

func TestMisplacedHours(t *testing.T) {
	in := func(args string) string { return allow("hours {\n" + args + "\n}") }
	misplaced(t, map[string]struct{ src, want string }{
		"without a zone":                 {allow("hours «»{\nfrom = \"09:00\"\nto = \"10:00\"\n}"), `The argument "zone" is required`},
		"always":                         {allow("«hours» {\nzone = \"UTC\"\n}"), "these hours are always"},
		"a zone that is misspelt":        {in("zone = «\"Europe/Berln\"»\ndays = [\"mon\"]"), `did you mean "Europe/Berlin"?`},
		"a zone that is a city":          {in("zone = «\"Berlin\"»\ndays = [\"mon\"]"), `did you mean "Europe/Berlin"?`},
		"a zone that is an abbreviation": {in("zone = «\"EST\"»\ndays = [\"mon\"]"), "say when clocks change"},
		"a zone that is an offset":       {in("zone = «\"+01:00\"»\ndays = [\"mon\"]"), "want a region and a city"},
		"a zone whose sign misleads":     {in("zone = «\"Etc/GMT+1\"»\ndays = [\"mon\"]"), "want a region and a city"},
		"the zone of the host":           {in("zone = «\"Local\"»\ndays = [\"mon\"]"), "want a region and a city"},
		"an empty zone":                  {in("zone = «\"\"»\ndays = [\"mon\"]"), "want a region and a city"},
		"a zone that leads elsewhere":    {in("zone = «\"../../etc/localtime\"»\ndays = [\"mon\"]"), "no time zone is named"},
		"from alone":                     {in("zone = \"UTC\"\n«from» = \"09:00\""), "from without to"},
		"to alone":                       {in("zone = \"UTC\"\n«to» = \"09:00\""), "to without from"},
		"from that is to":                {in("zone = \"UTC\"\nfrom = \"09:00\"\nto = «\"09:00\"»"), "from and to are the same"},
		"a time of one digit":            {in("zone = \"UTC\"\nfrom = «\"9:00\"»\nto = \"10:00\""), "two digits for the hour"},
		"a time of twelve hours":         {in("zone = \"UTC\"\nfrom = \"09:00\"\nto = «\"6:00 pm\"»"), "a clock of 24 hours"},
		"a time with seconds":            {in("zone = \"UTC\"\nfrom = \"09:00\"\nto = «\"18:00:00\"»"), "two digits for the hour"},
		"the hour 25":                    {in("zone = \"UTC\"\nfrom = \"09:00\"\nto = «\"25:00\"»"), "two digits for the hour"},
		"a minute after the day":         {in("zone = \"UTC\"\nfrom = \"09:00\"\nto = «\"24:01\"»"), "two digits for the hour"},
		"the minute 60":                  {in("zone = \"UTC\"\nfrom = \"09:00\"\nto = «\"17:60\"»"), "two digits for the hour"},
		"from the end of the day":        {in("zone = \"UTC\"\nfrom = «\"24:00\"»\nto = \"10:00\""), `from = "00:00"`},
		"a day in full":                  {in("zone = \"UTC\"\ndays = [«\"monday\"»]"), `the days are "mon"`},
		"days from to":                   {in("zone = \"UTC\"\ndays = [«\"mon-fri\"»]"), "each written out"},
		"no days":                        {in("zone = \"UTC\"\ndays = «[]»"), "the list is empty"},
		"a label":                        {allow("hours «\"office\"» {\nzone = \"UTC\"\ndays = [\"mon\"]\n}"), "Extraneous label for hours"},
	})
}
