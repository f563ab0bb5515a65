package puptest_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// drawn is a projection with a log, drawn at random. Most declarations that come out are not right: the host's
// checks decide.
type drawn struct {
	*rand.Rand

	projection pup.Projection
	keys       []string // that events have, all of one type
	keyType    pup.Type
	steps      []step
	log        []puptest.Event
	values     map[int64][]func(out *pup.Mutations, e pup.Event) // what an event does, by its position
}

// step is a write that an event may do.
type step struct {
	write *pup.Write
	types []pup.Type
	mark  int // the place of the value that is of the event, or -1
	kind  string
}

// keySets are partition keys, by the type of a column that holds them.
var keySets = map[pup.Type][]string{
	pup.TypeText:    {"a", "ä \"b\"", "", "01", "1.0", "c"},
	pup.TypeI64:     {"1", "2", "-3", "9223372036854775807"},
	pup.TypeNumeric: {"1", "2", "-3", "9223372036854775807"},
	pup.TypeBool:    {"true", "false"},
	pup.TypeUUID:    {"00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-0000000000ff"},
}

var keyTypes = []pup.Type{pup.TypeText, pup.TypeText, pup.TypeI64, pup.TypeNumeric, pup.TypeBool, pup.TypeUUID}

func (d *drawn) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d *drawn, from ...T) T { return from[d.IntN(len(from))] }

func column(name string, t pup.Type) pup.Column {
	return map[pup.Type]func(string) pup.Column{
		pup.TypeText: pup.Text, pup.TypeI64: pup.I64, pup.TypeNumeric: pup.Numeric, pup.TypeBool: pup.Bool, pup.TypeUUID: pup.UUID,
		pup.TypeTimestamp: pup.Timestamp, pup.TypeBytes: pup.Bytes,
	}[t](name)
}

func draw(seed uint64) *drawn {
	d := &drawn{Rand: rand.New(rand.NewPCG(seed, 1)), values: map[int64][]func(*pup.Mutations, pup.Event){}}
	d.keyType = pick(d, keyTypes...)
	d.keys = keySets[d.keyType]
	d.projection = pup.Projection{
		Name: "drawn", Version: 1, Fields: []pup.Field{pup.PartitionKey, pup.EventID},
		Partition: pick(d, pup.ByStream(), pup.ByJSON("key"), pup.ByMetadata("a", "key"), pup.ByCorrelation()),
	}
	for i := range 1 + d.IntN(3) {
		d.projection.Tables = append(d.projection.Tables, d.table(fmt.Sprintf("t%d", i)))
	}
	fold := d.fold()
	d.projection.Handle = func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			for _, give := range d.values[e.Position()] {
				give(out, e)
			}
		}
		return fold(b, out)
	}
	for i := range 25 {
		d.log = append(d.log, d.event(int64(i+1)))
	}
	return d
}

// table declares a table with a mark or without, and some writes of it.
func (d *drawn) table(name string) *pup.Table {
	kind := pick(d, "owned", "position", "event_id", "shared", "shared", "shared")
	var columns []pup.Column
	var keys []pup.Type
	mark := -1
	for i := range 1 + d.IntN(2) {
		t := pick(d, pup.TypeText, pup.TypeI64, pup.TypeNumeric, pup.TypeBool, pup.TypeTimestamp, pup.TypeBytes, pup.TypeUUID)
		c := column(fmt.Sprintf("k%d", i), t).Key()
		if i == 0 && kind != "shared" {
			mark = 0
			switch kind {
			case "owned":
				t = d.keyType
				c = column("k0", t).Key().Partition()
			case "position":
				t = pup.TypeI64
				c = pup.I64("k0").Key().Position()
			case "event_id":
				t = pup.TypeUUID
				c = pup.UUID("k0").Key().EventID()
			}
		}
		keys = append(keys, t)
		columns = append(columns, c)
	}
	var types []pup.Type
	for i := range 1 + d.IntN(3) {
		t := pick(d, pup.TypeI64, pup.TypeNumeric, pup.TypeNumeric, pup.TypeTimestamp, pup.TypeText)
		c := column(fmt.Sprintf("c%d", i), t)
		if d.chance(30) && t != pup.TypeText && t != pup.TypeTimestamp {
			c = c.Default(pick(d, 0, 0, 0, 7))
			if d.chance(50) {
				c = c.NotNull()
			}
		}
		types = append(types, t)
		columns = append(columns, c)
	}
	table := pup.NewTable(name, columns...)
	for i := range 1 + d.IntN(3) {
		d.write(table, fmt.Sprintf("%s_w%d", name, i), kind, keys, types, mark)
	}
	return table
}

// write declares a write: an upsert with an action for some of the columns, an insert or a delete.
func (d *drawn) write(table *pup.Table, name, kind string, keys, types []pup.Type, mark int) {
	s := step{types: append([]pup.Type(nil), keys...), mark: mark, kind: kind}
	var assignments []pup.Assignment
	var names []string
	for i, t := range types {
		if d.chance(35) {
			continue
		}
		names = append(names, fmt.Sprintf("c%d", i))
		s.types = append(s.types, t)
		// Where several segments write, one action for a column has the chance to be right.
		actions := []func(...string) pup.Assignment{pup.Add, pup.Min, pup.Max}
		action := actions[(i+len(kind))%3]
		switch {
		case t == pup.TypeText:
			action = pick(d, pup.Set, pup.IfNull)
		case t == pup.TypeTimestamp && (i+len(kind))%3 == 0:
			action = pup.Max
		case kind != "shared" || d.chance(5):
			action = pick(d, pup.Set, pup.IfNull, pup.Min, pup.Max)
		}
		assignments = append(assignments, action(names[len(names)-1]))
	}
	switch roll := d.IntN(10); {
	case len(names) == 0 || roll == 0:
		s.types = s.types[:len(keys)]
		if kind == "shared" {
			return
		}
		s.write = table.Delete(name)
	case roll == 1:
		s.write = table.InsertIgnore(name, names...)
	default:
		s.write = table.Upsert(name, assignments...)
	}
	d.steps = append(d.steps, s)
}

// fold adds a state a key that depends on every event of the key and on their order.
func (d *drawn) fold() handler {
	if d.keyType != pup.TypeText {
		return func(*pup.Batch, *pup.Mutations) error { return nil }
	}
	table := pup.NewTable("folded", pup.Text("k").Key().Partition(), pup.I64("state"))
	d.projection.Tables = append(d.projection.Tables, table)
	fold := pup.NewFold(table, pup.FoldFuncs[int64]{
		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.PartitionKey()) },
		Load: func(row *pup.Rows, state *int64) { *state = row.I64() },
		Save: func(row *pup.Row, state *int64) { row.I64(*state) },
		Drop: func(state *int64) bool { return *state%5 == 4 },
	})
	return func(b *pup.Batch, out *pup.Mutations) error {
		return fold.Run(b, out, func(e pup.Event, state *int64) error {
			*state = (*state*31 + e.Position()) % 1009
			return nil
		})
	}
}

// event draws an event with a key of its own, or that of its stream, and what it does.
func (d *drawn) event(position int64) puptest.Event {
	stream, key := pick(d, d.keys...), pick(d, d.keys...)
	e := puptest.Event{AggregateID: stream, Position: position}
	if d.chance(80) {
		member := fmt.Sprintf("{\"x\":[1,{}],\"key\":%s}", d.spell(key))
		e.Payload, e.Metadata, e.CorrelationID = member, `{"a":`+member+`}`, key
	}
	for range d.IntN(4) {
		if len(d.steps) == 0 {
			break
		}
		s := pick(d, d.steps...)
		give := make([]func(*pup.Row), len(s.types))
		for i, t := range s.types {
			give[i] = d.value(t, i < 2)
		}
		d.values[position] = append(d.values[position], func(out *pup.Mutations, e pup.Event) {
			row := s.write.Row(out, e)
			for i := range give {
				if i == s.mark {
					own(row, s, e)
				} else {
					give[i](row)
				}
			}
		})
	}
	return e
}

// spell writes a key as JSON: what can be an integer or a boolean also as such.
func (d *drawn) spell(key string) string {
	if d.keyType != pup.TypeText && d.keyType != pup.TypeUUID && d.chance(50) {
		return key
	}
	return strings.ReplaceAll(fmt.Sprintf("%q", key), "ä", `\u00e4`)
}

// own gives the value of the marked column that belongs to the event.
func own(row *pup.Row, s step, e pup.Event) {
	key := e.PartitionKey()
	switch {
	case s.kind == "position":
		row.I64(e.Position())
	case s.kind == "event_id":
		row.UUID(e.ID())
	case s.types[0] == pup.TypeText:
		row.Text(key)
	case s.types[0] == pup.TypeBool:
		row.Bool(key == "true")
	case s.types[0] == pup.TypeNumeric:
		row.Numeric(key + ".00")
	case s.types[0] == pup.TypeI64:
		var n int64
		fmt.Sscan(key, &n)
		row.I64(n)
	case s.types[0] == pup.TypeUUID:
		var id [16]byte
		fmt.Sscanf(key[len(key)-2:], "%x", &id[15])
		row.UUID(id)
	}
}

// value draws a value of a few, in several spellings. Keys are not NULL.
func (d *drawn) value(t pup.Type, key bool) func(*pup.Row) {
	if !key && d.chance(15) {
		return func(r *pup.Row) { r.Null() }
	}
	n := int64(d.IntN(3))
	switch t {
	case pup.TypeI64:
		return func(r *pup.Row) { r.I64(n - 1) }
	case pup.TypeNumeric:
		text := pick(d, "0", "-0", "0.00", "-0.0", "1", "+1", "1.0", "01.00", "2.50", "2.5", "-2.5", "-02.500")
		return func(r *pup.Row) { r.Numeric(text) }
	case pup.TypeTimestamp:
		return func(r *pup.Row) { r.Timestamp(n) }
	case pup.TypeBool:
		return func(r *pup.Row) { r.Bool(n > 0) }
	case pup.TypeBytes:
		return func(r *pup.Row) { r.Bytes([]byte{byte(n)}) }
	case pup.TypeUUID:
		return func(r *pup.Row) { r.UUID([16]byte{15: byte(n)}) }
	}
	return func(r *pup.Row) { r.Text(fmt.Sprint("text ", n)) }
}

// TestCheckSegments_whatTheHostTakesGivesTheSameRows draws projections until enough of them are right.
func TestCheckSegments_whatTheHostTakesGivesTheSameRows(t *testing.T) {
	t.Parallel()
	const enough = 24
	taken, shared := 0, 0
	for seed := uint64(0); taken < enough; seed++ {
		if seed == 40*enough {
			t.Fatalf("only %d of %d projections are right", taken, seed)
		}
		registering.Lock()
		d := draw(seed)
		pup.Register(d.projection)
		right := failureOf(t, func(r testing.TB) { puptest.New(r).Apply(d.log...) }) == ""
		found := ""
		if right {
			found = failureOf(t, func(r testing.TB) { puptest.CheckSegments(r, d.log...) })
		}
		registering.Unlock()
		if found != "" {
			t.Fatalf("seed %d: %s", seed, found)
		}
		if right {
			taken++
			for _, s := range d.steps {
				if s.kind == "shared" {
					shared++
					break
				}
			}
		}
	}
	if shared < enough/4 {
		t.Errorf("only %d of %d projections have rows that several segments write", shared, taken)
	}
}
