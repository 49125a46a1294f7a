package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// hours are a part of the week, by the clocks of a place: a time that those skip in
// spring is in no hours that day, and one that they show twice in autumn is in them
// twice.
type hours struct {
	zone     *time.Location
	days     [7]bool // by [time.Weekday]: the days on which they begin
	from, to int     // minutes since midnight; to is not in them, and 1440 is the end of the day
}

const wholeDay = 24 * 60

// contain reports whether a time is in the hours. Those that go over midnight belong
// to the day on which they begin.
func (h hours) contain(t time.Time) bool {
	t = t.In(h.zone)
	today := t.Weekday()
	yesterday := (today + 6) % 7
	minute := 60*t.Hour() + t.Minute()
	if h.from < h.to {
		return h.days[today] && h.from <= minute && minute < h.to
	}
	return h.days[today] && h.from <= minute || h.days[yesterday] && minute < h.to
}

// open reports whether a rule is for the time of a decision: within one of its hours,
// or at any time where it has none.
func (r *rule) open(t time.Time) (bool, error) {
	if len(r.hours) == 0 {
		return true, nil
	}
	if t.IsZero() {
		return false, errors.New("its hours cannot be compared: journal time is missing")
	}
	return slices.ContainsFunc(r.hours, func(h hours) bool { return h.contain(t) }), nil
}

var hoursSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "zone", Required: true}, {Name: "days"}, {Name: "from"}, {Name: "to"},
}}

func (l *loader) hours(b *hcl.Block) (hours, bool) {
	content := l.body(b.Body, hoursSchema)
	h := hours{days: [7]bool{true, true, true, true, true, true, true}, to: wholeDay}
	ok := true
	if zone := content.Attributes["zone"]; zone != nil {
		h.zone, ok = l.zone(zone.Expr)
	}
	days, from, to := content.Attributes["days"], content.Attributes["from"], content.Attributes["to"]
	if days != nil {
		h.days = l.weekdays(days.Expr)
	}
	switch {
	case from == nil && to == nil && days == nil:
		l.fail(b.DefRange, "these hours are always: write from = \"09:00\" and to = \"18:00\", or days = [\"mon\", \"tue\"], or both; or remove the block")
		return h, false
	case from != nil && to == nil:
		l.fail(from.NameRange, "from without to: write to = \"18:00\" as well, or to = \"24:00\" for the end of the day")
		return h, false
	case from == nil && to != nil:
		l.fail(to.NameRange, "to without from: write from = \"09:00\" as well, or from = \"00:00\" for the beginning of the day")
		return h, false
	case from == nil:
		return h, ok && h.zone != nil
	}
	var begins, ends bool
	h.from, begins = l.clock(from.Expr, false)
	h.to, ends = l.clock(to.Expr, true)
	if begins && ends && h.from == h.to {
		l.fail(to.Expr.Range(), "from and to are the same, which could be no time at all or the whole day; for the whole day leave both out")
		return h, false
	}
	return h, ok && begins && ends && h.zone != nil
}

var clockText = regexp.MustCompile(`^([01][0-9]|2[0-4]):([0-5][0-9])$`)

// clock reads a time of day, in minutes since midnight.
func (l *loader) clock(e hcl.Expression, end bool) (int, bool) {
	text, ok := l.textLike(e, "09:00")
	if !ok {
		return 0, false
	}
	m := clockText.FindStringSubmatch(text)
	if m == nil || m[1] == "24" && m[2] != "00" {
		l.fail(e.Range(), "time of day %q: want two digits for the hour and two for the minutes, by a clock of 24 hours, such as \"09:00\" or \"17:30\"", text)
		return 0, false
	}
	at := minutes(m[1])*60 + minutes(m[2])
	if at == wholeDay && !end {
		l.fail(e.Range(), "time of day %q is the end of a day; hours that begin at midnight are from = \"00:00\"", text)
		return 0, false
	}
	return at, true
}

// minutes reads two digits.
func minutes(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

var weekdayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as in [time.Weekday]

func (l *loader) weekdays(e hcl.Expression) (days [7]bool) {
	for _, i := range l.list(e) {
		if n := slices.Index(weekdayNames, i.text); n >= 0 {
			days[n] = true
			continue
		}
		l.fail(i.at, "no day is named %q; the days are \"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\" and \"sun\", each written out", i.text)
	}
	return days
}

// zone reads the name of a time zone, and loads its rules while there is somebody to
// read the error.
func (l *loader) zone(e hcl.Expression) (*time.Location, bool) {
	name, ok := l.textLike(e, "Europe/Berlin")
	if !ok {
		return nil, false
	}
	zone, err := loadZone(name)
	if err != nil {
		l.fail(e.Range(), "%v", err)
	}
	return zone, err == nil
}

// loadZone takes the name of a place, which says when clocks change there. An
// abbreviation does not (EST is no summer time of New York's), and the sign in a name
// such as Etc/GMT+1 is the other way round than people think (tz database, "etcetera").
func loadZone(name string) (*time.Location, error) {
	if name != "UTC" && (!strings.Contains(name, "/") || strings.HasPrefix(name, "Etc/")) {
		return nil, fmt.Errorf("time zone %q: want a region and a city, which say when clocks change, such as \"Europe/Berlin\" or \"America/New_York\", or \"UTC\"%s", name, zoneLike(name))
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("no time zone is named %q; want a region and a city, as \"timedatectl list-timezones\" lists them%s", name, zoneLike(name))
	}
	return zone, nil
}

// zoneLike suggests one of the zones where treasuries tend to be.
func zoneLike(name string) string {
	for _, z := range commonZones {
		_, city, _ := strings.Cut(z, "/")
		if spelt := strings.ReplaceAll(name, " ", "_"); strings.EqualFold(spelt, city) || editDistance(strings.ToLower(spelt), strings.ToLower(z)) <= 2 {
			return fmt.Sprintf("; did you mean %q?", z)
		}
	}
	return ""
}

var commonZones = []string{
	"Africa/Johannesburg", "America/Chicago", "America/Los_Angeles", "America/New_York", "America/Sao_Paulo", "America/Toronto",
	"Asia/Dubai", "Asia/Hong_Kong", "Asia/Kolkata", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney",
	"Europe/Amsterdam", "Europe/Berlin", "Europe/Dublin", "Europe/Lisbon", "Europe/London", "Europe/Luxembourg", "Europe/Madrid",
	"Europe/Paris", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich", "Pacific/Auckland", "UTC",
}
