package puptest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// CheckSegments divides the events among 1, 2, 4 and 8 segments by their partition key, runs the segments side
// by side, and fails the test when the tables do not hold the same rows as after one segment with one batch. A
// host divides a projection like this and promises nothing about which segment comes first, so every projection
// must pass.
//
// Each segment takes its events in order, in batches of random sizes. Batches of different segments overlap:
// between the queries of one and its commit, others commit. Which segment has a key is drawn as well, so that a
// few keys are enough. All draws follow from the seed that a failure names, and are the same every time. SQL
// statements do not run, so this does not test them. A projection with OrderGlobal is not divided.
func CheckSegments(t testing.TB, events ...Event) {
	t.Helper()
	checkSegments(t, New, events)
}

// segmentSeeds is how many divisions and interleavings are tried for each number of segments.
const segmentSeeds = 24

func checkSegments(t testing.TB, start func(testing.TB) *Projection, events []Event) {
	t.Helper()
	whole := start(t)
	log := whole.subscribed(events)
	whole.commit(whole.begin(log))
	for _, segments := range []int{1, 2, 4, 8} {
		if segments > 1 && whole.description.Order == catalogue.OrderGlobal {
			return
		}
		for seed := range uint64(segmentSeeds) {
			d := &division{TB: t, segments: segments, seed: seed}
			p := start(d)
			p.texts = encoding(seed % 2)
			d.run(p, log)
			if difference := p.tables.difference(whole.tables, "with one segment"); difference != "" {
				d.Fatalf("%s", difference)
			}
			if difference := sentDifference(p.sent, whole.sent, "with one segment"); difference != "" {
				d.Fatalf("%s", difference)
			}
		}
	}
}

// division is a run of a log in several segments. It is the test of its projection, whose failures it gives its name.
type division struct {
	testing.TB
	segments int
	seed     uint64
}

// String names the division for the message of a failure.
func (d *division) String() string {
	if d.segments == 1 {
		return fmt.Sprintf("in batches of one segment (seed %d)", d.seed)
	}
	return fmt.Sprintf("with %d segments (seed %d)", d.segments, d.seed)
}

// Fatal fails the test with the name of the division.
func (d *division) Fatal(args ...any) {
	d.TB.Helper()
	d.TB.Fatalf("%s: %s", d, fmt.Sprint(args...))
}

// Fatalf fails the test with the name of the division.
func (d *division) Fatalf(format string, args ...any) {
	d.TB.Helper()
	d.TB.Fatalf("%s: %s", d, fmt.Sprintf(format, args...))
}

// segment is a share of a log: what is to come, and the batch that was handled and is not committed.
type segment struct {
	events  []event
	pending *batch
}

func (d *division) run(p *Projection, log []event) {
	random := rand.New(rand.NewPCG(d.seed, uint64(d.segments)))
	owners := map[string]int{}
	segments := make([]segment, d.segments)
	for _, e := range log {
		owner, known := owners[e.key]
		if !known {
			owner = random.IntN(d.segments)
			owners[e.key] = owner
		}
		segments[owner].events = append(segments[owner].events, e)
	}
	sizeMax := 1 + len(log)/d.segments/2
	for {
		segments = slices.DeleteFunc(segments, func(s segment) bool { return len(s.events) == 0 && s.pending == nil })
		if len(segments) == 0 {
			return
		}
		s := &segments[random.IntN(len(segments))]
		if s.pending != nil {
			p.commit(s.pending)
			s.pending = nil
			continue
		}
		size := min(1+random.IntN(sizeMax), len(s.events))
		s.pending = p.begin(s.events[:size])
		s.events = s.events[size:]
	}
}

// difference describes the first row that is not the same in other tables, or returns "".
func (t *tables) difference(want *tables, where string) string {
	for i := range want.d.Tables {
		name := want.d.Tables[i].Name
		if difference := t.rows[name].difference(want.rows[name], where); difference != "" {
			return fmt.Sprintf("table %q, %s", name, difference)
		}
	}
	return ""
}

func (r *rows) difference(want *rows, where string) string {
	keys := slices.Concat(r.keys(), want.keys())
	if len(r.decl.Key) > 0 {
		slices.Sort(keys)
	}
	for _, key := range keys {
		got, wanted := r.byKey[key], want.byKey[key]
		switch {
		case wanted == nil:
			return fmt.Sprintf("row %s: %s there is none", r.format(got), where)
		case got == nil:
			return fmt.Sprintf("there is no row %s, which there is %s", r.format(wanted), where)
		case r.format(got) != r.format(wanted):
			return fmt.Sprintf("row %s: %s, %s %s", r.formatKey(key, wanted), r.formatOther(got, wanted), where,
				r.formatOther(wanted, got))
		}
	}
	return ""
}

// formatKey writes the key of a row, or the number of a row that has none.
func (r *rows) formatKey(number string, row []any) string {
	if len(r.decl.Key) == 0 {
		return number
	}
	return r.formatSome(row, func(i int) bool { return slices.Contains(r.decl.Key, r.decl.Columns[i].Name) })
}

// formatOther writes the columns of a row that are not the same in another one.
func (r *rows) formatOther(row, other []any) string {
	return r.formatSome(row, func(i int) bool { return format(row[i]) != format(other[i]) })
}

// formatSome writes some columns of a row, without those that the database generates.
func (r *rows) formatSome(row []any, some func(i int) bool) string {
	var parts []string
	for i, value := range row {
		if some(i) && r.decl.Columns[i].Generated == nil {
			parts = append(parts, r.decl.Columns[i].Name+"="+format(value))
		}
	}
	return strings.Join(parts, " ")
}
