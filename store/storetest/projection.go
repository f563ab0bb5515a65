package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// The entries of the catalogue of totals, in its order.
const (
	totalsPut = iota
	totalsDelete
	totalsDouble
	totalsFail
)

// totals is the projection of cases that are not about the catalogue: a table of numbers by name.
func totals(name string) *store.Projection {
	return &store.Projection{
		Name: name, Version: 1,
		Tables: []store.Table{{
			Name: "total", Key: []string{"name"},
			Columns: []store.Column{
				{Name: "name", Type: typed("text"), Partition: true},
				{Name: "n", Type: typed("i64"), NotNull: true},
			},
		}},
		Writes: []store.Write{
			{
				Name: "put", Action: store.Upsert, Table: "total",
				Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
			},
			{Name: "delete", Action: store.Delete, Table: "total"},
			{
				Name: "double", SQL: anySQL(`UPDATE {table} SET n = n * 2 WHERE name = $1`), Params: types("text"),
				PartitionParam: 1,
			},
			{Name: "fail", Action: store.Insert, Table: "total", Columns: []store.WriteColumn{{Name: "n"}}},
		},
		Queries: []store.Query{
			{
				Name: "all", SQL: anySQL(`SELECT name, n FROM {table} ORDER BY name`), Results: types("text", "i64"),
				Unordered: true,
			},
			{Name: "load", Table: "total", Columns: []string{"n"}},
		},
	}
}

// sumsID is the identity of totals("sums").
var sumsID = store.ProjectionID{Name: "sums", Version: 1}

// stored is the name of the table itself of a projection in version 1, where Table is that of its view.
func (f *fixture) stored(projection, table string) string { return f.storedAs(projection, 1, table) }

func (f *fixture) storedAs(projection string, version int, table string) string {
	id := store.ProjectionID{Name: projection, Version: version}
	return f.Table(store.PlaceOf(store.DefaultSchema, id).Tables, table)
}

// runner is one worker at one segment of an installed projection.
type runner struct {
	*fixture
	projection *store.Projection
	catalogue  store.Catalogue
	folder     *store.Folder
	claim      store.Claim
}

// handOut appends events until the log has a position: no checkpoint moves beyond the last one.
func (f *fixture) handOut(position int64) {
	f.Helper()
	for {
		horizon, err := f.store.Horizon(f.ctx)
		f.must(err)
		if horizon.Head >= position {
			return
		}
		missing := position - horizon.Head
		if horizon.Head < f.origin { // a log without events, which does not know where it begins
			missing = 1
		}
		f.appendTo(stream("filler"), int(missing))
	}
}

const worker = "worker-1"

// running installs a projection with one segment and claims it.
func (f *fixture) running(projection *store.Projection) *runner {
	f.Helper()
	return f.runningOn(f.store, projection, worker)
}

func (f *fixture) runningOn(host store.Store, projection *store.Projection, worker string) *runner {
	f.Helper()
	r := f.claimed(host, projection, worker)
	if r.claim.Position < f.origin {
		r.passTo(f.origin)
	}
	return r
}

// claimed installs a projection with one segment, at position 0 when it is new, and claims it.
func (f *fixture) claimed(host store.Store, projection *store.Projection, worker string) *runner {
	f.Helper()
	catalogue, err := host.Install(f.ctx, projection, 1)
	f.must(err)
	f.must(host.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Hour))
	claims, err := host.Claim(f.ctx, store.ClaimRequest{Projection: projection.ID(), Worker: worker, Limit: 1})
	f.must(err)
	if len(claims) != 1 {
		f.Fatalf("got %d claims, want 1", len(claims))
	}
	f.handOut(f.at(100))
	return &runner{
		fixture: f, projection: projection, catalogue: catalogue, folder: store.NewFolder(projection),
		claim: claims[0],
	}
}

// at is the n-th position of the log.
func (f *fixture) at(n int64) int64 { return f.origin + n }

// passTo moves the checkpoint over positions that have no event.
func (r *runner) passTo(position int64) {
	r.Helper()
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	r.must(tx.Commit(r.ctx, store.Commit{Through: position, Log: r.claim.Applied.Log}))
	r.claim.Position = position
}

// commit applies mutations as one batch and moves the checkpoint by one.
func (r *runner) commit(mutations ...store.Mutation) error {
	if (r.claim.Position-r.origin)%100 == 0 {
		r.handOut(r.claim.Position + 100)
	}
	err := r.commitAs(r.claim, mutations...)
	if err == nil {
		r.claim.Position++
	}
	return err
}

// commitAs applies mutations as one batch with a claim.
func (r *runner) commitAs(claim store.Claim, mutations ...store.Mutation) error {
	tx := r.catalogue.Begin(claim)
	defer tx.Rollback()
	return tx.Commit(r.ctx, store.Commit{
		Through: claim.Position + 1, Steps: r.plan(mutations...),
		Log: claim.Applied.Log,
	})
}

// plan makes the steps of mutations, which stay as they are.
func (r *runner) plan(mutations ...store.Mutation) []store.Step {
	return store.NewFolder(r.projection).Fold(mutations)
}

func put(name string, n int64) store.Mutation {
	return mutate(totalsPut, store.Text(name), store.I64(n))
}

// apply is commit where it has to work.
func (r *runner) apply(mutations ...store.Mutation) {
	r.Helper()
	r.must(r.commit(mutations...))
}

// query runs a query in a transaction of its own.
func (r *runner) query(query int, arguments ...store.Value) store.Rows {
	r.Helper()
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	r.must(tx.Query(r.ctx, query, arguments, &rows))
	return rows
}

// table returns what the first query of the catalogue gives, one line a row.
func (r *runner) table() string {
	r.Helper()
	return show(r.query(0))
}

// position returns the stored checkpoint.
func (r *runner) position() int64 {
	r.Helper()
	return r.status(r.projection.Name).Segments[0].Position
}

func (f *fixture) status(projection string) store.ProjectionStatus {
	f.Helper()
	all, err := f.store.Status(f.ctx)
	f.must(err)
	for _, status := range all {
		if status.Name == projection {
			return status
		}
	}
	f.Fatalf("projection %s is not known", projection)
	return store.ProjectionStatus{}
}

func mutate(write int, values ...store.Value) store.Mutation {
	return store.Mutation{Write: write, Values: values}
}

// show prints rows for comparison: "a 1; b NULL". Numbers are canonical.
func show(rows store.Rows) string {
	var lines []string
	for i := 0; i+rows.Width <= len(rows.Values) && rows.Width > 0; i += rows.Width {
		fields := make([]string, rows.Width)
		for j := range fields {
			fields[j] = showValue(rows.Values[i+j])
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	return strings.Join(lines, "; ")
}

func showValue(v store.Value) string {
	if v.Array {
		parts := make([]string, len(v.Elements()))
		for i, e := range v.Elements() {
			parts[i] = showValue(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	switch v.Kind {
	case store.KindNull:
		return "NULL"
	case store.KindBool:
		return fmt.Sprint(v.Bool())
	case store.KindI64, store.KindTimestamp:
		return fmt.Sprint(v.Int())
	case store.KindF64:
		return fmt.Sprintf("%x", v.Bits())
	case store.KindNumeric:
		canonical, err := store.CanonicalNumeric(v.Bytes())
		if err != nil {
			return fmt.Sprintf("no numeric %q", v.Bytes())
		}
		return string(canonical)
	case store.KindText, store.KindJSON:
		return string(v.Bytes())
	default:
		return fmt.Sprintf("%x", v.Bytes())
	}
}
