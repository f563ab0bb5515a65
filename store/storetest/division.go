package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

var divisionCases = []testCase{
	{"any_division_gives_the_rows_of_one_segment", divisionRows},
}

// divisionRows applies random events of random projections: in one batch by one segment, and in random batches by
// segments that are split, merged, lost and taken over in between.
func divisionRows(f *fixture) {
	const events = 30
	f.handOut(f.at(events))
	run := 0
	rapid.Check(f.T, func(t *rapid.T) {
		if rapid.IntRange(1, 5).Draw(t, "one in so many") > 1 {
			return // each takes a while, and -rapid.checks has all that one likes
		}
		run++
		d := &division{fixture: f, t: t, projection: drawProjection(t, fmt.Sprint("divided_", run))}
		if err := d.projection.Validate(); err != nil {
			t.Fatalf("the projection is %+v: %v", d.projection, err)
		}
		for position := range int64(events) {
			d.events = append(d.events, drawKeyed(t, d.projection, f.at(position+1)))
		}
		whole := *d.projection
		whole.Name = fmt.Sprint("whole_", run)
		want := d.inOneBatch(&whole)
		got := d.inSegments()
		if got != want {
			t.Fatalf("divided, the rows are\n%s, by one segment\n%s", got, want)
		}
		for _, name := range []string{whole.Name, d.projection.Name} {
			d.must(f.store.Reset(f.ctx, name))
		}
	})
}

// keyedEvent is an event with its partition key and the rows that a projection makes of it.
type keyedEvent struct {
	key       string
	mutations []store.Mutation
}

type division struct {
	*fixture
	t          *rapid.T
	projection *store.Projection
	events     []keyedEvent // of the positions behind the origin
}

// end is the position of the last event.
func (d *division) end() int64 { return d.at(int64(len(d.events))) }

func (d *division) must(err error) {
	if err != nil {
		d.t.Fatal(err)
	}
}

// mutations are those of a segment's events of after < position ≤ through.
func (d *division) mutations(keys store.HashRange, after, through int64) (all []store.Mutation) {
	for _, e := range d.events[max(after-d.origin, 0) : through-d.origin] {
		if keys.Contains(store.PartitionHash(e.key)) {
			all = append(all, e.mutations...)
		}
	}
	return all
}

// rows are those of all tables.
func (d *division) rows(projection *store.Projection, catalogue store.Catalogue) string {
	tx := catalogue.Begin(store.Claim{Projection: projection.ID()})
	defer tx.Rollback()
	var tables []string
	for i := range projection.Queries {
		var rows store.Rows
		d.must(tx.Query(d.ctx, i, nil, &rows))
		tables = append(tables, show(rows))
	}
	return strings.Join(tables, "\n")
}

func (d *division) inOneBatch(projection *store.Projection) string {
	catalogue, err := d.store.Install(d.ctx, projection, 1)
	d.must(err)
	const name = "whole"
	d.must(d.store.Heartbeat(d.ctx, store.Worker{Name: name}, time.Hour))
	claims, err := d.store.Claim(d.ctx, store.ClaimRequest{Projection: projection.ID(), Worker: name, Limit: 1})
	d.must(err)
	d.must(d.commit(projection, catalogue, claims[0], d.end()))
	rows := d.rows(projection, catalogue)
	d.must(d.store.Leave(d.ctx, store.Worker{Name: name}))
	return rows
}

func (d *division) commit(projection *store.Projection, catalogue store.Catalogue, claim store.Claim,
	through int64,
) error {
	tx := catalogue.Begin(claim)
	defer tx.Rollback()
	return tx.Commit(d.ctx, store.Commit{
		Through: through, Log: claim.Applied.Log, Steps: store.NewFolder(projection).Fold(d.mutations(claim.Range,
			claim.Position, through)),
	})
}

func (d *division) inSegments() string {
	catalogue, err := d.store.Install(d.ctx, d.projection, rapid.IntRange(1, 5).Draw(d.t, "segments"))
	d.must(err)
	workers := []string{"one", "two"}
	for _, name := range workers {
		d.must(d.store.Heartbeat(d.ctx, store.Worker{Name: name}, time.Hour))
	}
	for steps := 0; !d.complete(); steps++ {
		if disturbed := rapid.IntRange(0, 9).Draw(d.t, "disturb"); disturbed < 3 && steps < 60 {
			by := rapid.IntRange(0, 30).Draw(d.t, "by")
			d.must(d.store.Reshard(d.ctx, d.projection.ID(),
				func(l *store.Layout) error { disturb(l, by); return nil }))
		} else {
			d.must(d.store.Reshard(d.ctx, d.projection.ID(),
				func(l *store.Layout) error { l.CompleteMerges(); return nil }))
		}
		d.work(catalogue, rapid.SampledFrom(workers).Draw(d.t, "worker"))
	}
	rows := d.rows(d.projection, catalogue)
	for _, name := range workers {
		d.must(d.store.Leave(d.ctx, store.Worker{Name: name}))
	}
	return rows
}

// work has a worker claim a segment and commit a batch, with every accident that may happen to it.
func (d *division) work(catalogue store.Catalogue, worker string) {
	claims, err := d.store.Claim(d.ctx, store.ClaimRequest{
		Projection: d.projection.ID(), Worker: worker,
		Below: d.end(), Limit: 1,
	})
	d.must(err)
	if len(claims) == 0 {
		return
	}
	claim := claims[0]
	last := d.end()
	if claim.MergeAt > 0 {
		last = claim.MergeAt
	}
	through := rapid.Int64Range(max(claim.Position, d.origin)+1, last).Draw(d.t, "through")
	if rapid.IntRange(0, 9).Draw(d.t, "crash") == 0 { // before it has committed
		d.must(d.store.Leave(d.ctx, store.Worker{Name: worker}))
		d.must(d.store.Heartbeat(d.ctx, store.Worker{Name: worker}, time.Hour))
		return
	}
	d.must(d.commit(d.projection, catalogue, claim, through))
	if rapid.IntRange(0, 4).Draw(d.t, "again") == 0 { // it has not heard of the commit
		if err := d.commit(d.projection, catalogue, claim, through); !errors.Is(err, store.ErrFenced) {
			d.t.Fatalf("the same commit again: %v, want ErrFenced", err)
		}
	}
	d.must(d.store.Release(d.ctx, claim))
}

func (d *division) complete() bool {
	status, err := d.store.Status(d.ctx, d.projection.Name)
	d.must(err)
	for i := range status[0].Segments {
		if status[0].Segments[i].Position < d.end() {
			return false
		}
	}
	return true
}

// drawProjection draws tables of every kind of ownership, with several writes each.
func drawProjection(t *rapid.T, name string) *store.Projection {
	p := &store.Projection{Name: name, Version: 1}
	for i := range rapid.IntRange(1, 3).Draw(t, "tables") {
		table := fmt.Sprint("t", i)
		switch rapid.SampledFrom([]store.Ownership{store.Shared, store.Shared, store.Owned, store.PerEvent}).Draw(t,
			"ownership") {
		case store.Owned:
			drawOwned(t, p, table)
		case store.PerEvent:
			p.Tables = append(p.Tables, store.Table{Name: table, Key: []string{"position"}, Columns: []store.Column{
				{Name: "position", Type: typed("i64"), Position: true}, {Name: "a", Type: typed("i64")},
			}})
			p.Writes = append(p.Writes, store.Write{
				Name: table + " insert", Action: store.Insert, Table: table,
				Columns: []store.WriteColumn{{Name: "a"}},
			})
		default:
			drawShared(t, p, table)
		}
		drawn := &p.Tables[len(p.Tables)-1]
		query := store.Query{Name: table, Unordered: true}
		var names []string
		for _, c := range drawn.Columns {
			names = append(names, c.Name)
			query.Results = append(query.Results, c.Type)
		}
		query.SQL = anySQL(fmt.Sprintf("SELECT %s FROM {%s} ORDER BY %s", strings.Join(names, ", "), table,
			strings.Join(drawn.Key, ", ")))
		p.Queries = append(p.Queries, query)
	}
	return p
}

// drawOwned adds a table whose rows are those of a key, with writes whose order matters.
func drawOwned(t *rapid.T, p *store.Projection, name string) {
	p.Tables = append(p.Tables, store.Table{Name: name, Key: []string{"k", "line"}, Columns: []store.Column{
		{Name: "k", Type: typed("text"), Partition: true},
		{Name: "line", Type: typed("i64")},
		{Name: "a", Type: typed("i64")},
		{Name: "b", Type: typed("numeric")},
		{Name: "c", Type: typed("text")},
	}})
	p.Writes = append(p.Writes,
		store.Write{Name: name + " put", Action: store.Upsert, Table: name, Columns: []store.WriteColumn{
			{Name: "a", Action: store.ActionAdd},
			{Name: "b", Action: rapid.SampledFrom([]store.Action{
				store.ActionMin, store.ActionMax,
				store.ActionSet,
			}).Draw(t, "b")},
			{Name: "c", Action: rapid.SampledFrom([]store.Action{store.ActionSet, store.ActionIfNull}).Draw(t, "c")},
		}},
		store.Write{
			Name: name + " maybe", Action: store.InsertIgnore, Table: name,
			Columns: []store.WriteColumn{{Name: "c"}},
		},
		store.Write{Name: name + " delete", Action: store.Delete, Table: name},
		store.Write{
			Name: name + " double", SQL: anySQL(fmt.Sprintf("UPDATE {%s} SET a = a * 2 WHERE k = $1",
				name)), Params: types("text"), PartitionParam: 1,
		})
}

// drawShared adds a table that every event may write to, with some writes, each of some of its columns.
func drawShared(t *rapid.T, p *store.Projection, name string) {
	table := store.Table{Name: name, Key: []string{"k"}, Columns: []store.Column{{Name: "k", Type: typed("i64")}}}
	var columns []store.WriteColumn
	for i := range rapid.IntRange(1, 4).Draw(t, "columns") {
		c := store.Column{Name: fmt.Sprint("c", i), Type: typed(rapid.SampledFrom([]string{"i64", "numeric"}).Draw(t,
			"type"))}
		action := rapid.SampledFrom([]store.Action{store.ActionAdd, store.ActionMin, store.ActionMax}).Draw(t, "action")
		if action == store.ActionAdd && rapid.Bool().Draw(t, "default 0") {
			c.Default, c.NotNull = json.RawMessage("0"), rapid.Bool().Draw(t, "not null")
		}
		table.Columns = append(table.Columns, c)
		columns = append(columns, store.WriteColumn{Name: c.Name, Action: action})
	}
	p.Tables = append(p.Tables, table)
	p.Writes = append(p.Writes, store.Write{Name: name + " key", Action: store.InsertIgnore, Table: name})
	for i := range rapid.IntRange(1, 3).Draw(t, "writes") {
		var some []store.WriteColumn
		for _, c := range columns {
			if rapid.Bool().Draw(t, "has") {
				some = append(some, c)
			}
		}
		p.Writes = append(p.Writes, store.Write{
			Name: fmt.Sprint(name, " add ", i), Action: store.Upsert, Table: name,
			Columns: some,
		})
	}
}

// drawKeyed draws an event: its key, and rows that it may cause.
func drawKeyed(t *rapid.T, p *store.Projection, position int64) keyedEvent {
	e := keyedEvent{key: rapid.StringMatching(`[a-h]`).Draw(t, "key")}
	inserted := map[int]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "rows") {
		write := rapid.IntRange(0, len(p.Writes)-1).Draw(t, "write")
		w := &p.Writes[write]
		if w.SQL != nil {
			e.mutations = append(e.mutations, mutate(write, store.Text(e.key)))
			continue
		}
		if w.Action == store.Insert {
			if inserted[write] {
				continue
			}
			inserted[write] = true
		}
		table, _ := p.Table(w.Table)
		var values []store.Value
		for i, kind := range p.Parameters(w) {
			switch {
			case i >= len(table.Key):
				values = append(values, drawNumber(t, kind))
			case table.Columns[i].Partition:
				values = append(values, store.Text(e.key))
			case table.Columns[i].Position:
				values = append(values, store.I64(position))
			default:
				values = append(values, store.I64(rapid.Int64Range(0, 4).Draw(t, "line")))
			}
		}
		e.mutations = append(e.mutations, mutate(write, values...))
	}
	return e
}

// drawNumber draws a value or NULL, with one spelling of each number, as the host gives them.
func drawNumber(t *rapid.T, kind store.Type) store.Value {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return store.Null()
	}
	n := rapid.Int64Range(-20, 20).Draw(t, "n")
	switch kind.Kind {
	case store.KindNumeric:
		text, _ := store.CanonicalNumeric(fmt.Appendf(nil, "%d.%d", n, rapid.IntRange(0, 9).Draw(t, "fraction")))
		return store.BytesOf(store.KindNumeric, text)
	case store.KindText:
		return store.Text(fmt.Sprint(n))
	}
	return store.I64(n)
}
