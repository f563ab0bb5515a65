package postgres_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestCommit_valuesOutOfRangeAreRefused writes timestamps and texts that PostgreSQL has no room for.
func TestCommit_valuesOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	p := &store.Projection{
		Name: "edges", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{Name: "row", Key: []string{"id"}, Columns: []store.Column{
			{Name: "id", Type: typed("i64")}, {Name: "at", Type: typed("timestamptz")}, {
				Name: "t",
				Type: typed("text"),
			}, {Name: "j", Type: typed("json")}, {Name: "n", Type: typed("numeric")},
		}}},
		Writes: []store.Write{{
			Name: "put", Action: store.Upsert, Table: "row",
			Columns: []store.WriteColumn{{Name: "at"}, {Name: "t"}, {Name: "j"}, {Name: "n"}},
		}},
		Queries: []store.Query{{
			Name: "at", SQL: anySQL(`SELECT at FROM {row} WHERE id = $1`),
			Params: []store.Type{typed("i64")}, Results: []store.Type{typed("timestamptz")},
		}},
	}
	catalogue, err := s.Install(ctx, p, 1)
	must(t, err)
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(ctx, store.ClaimRequest{
		Projection: store.ProjectionID{Name: "edges", Version: 1}, Worker: "w",
		Limit: 1,
	})
	must(t, err)
	handOut(t, db)
	put := func(at, text, json, n store.Value) error {
		tx := catalogue.Begin(claims[0])
		defer tx.Rollback()
		return tx.Commit(ctx, store.Commit{
			Through: 1,
			Steps: store.NewFolder(p).Fold([]store.Mutation{{Values: []store.Value{
				store.I64(1), at, text, json,
				n,
			}}}), Log: claims[0].Applied.Log,
		})
	}
	null := store.Null()
	for name, err := range map[string]error{
		"the least number as a time": put(store.Timestamp(math.MinInt64), null, null, null),
		"what would be -infinity":    put(store.Timestamp(math.MinInt64+946684800000000), null, null, null),
		"before PostgreSQL's time":   put(store.Timestamp(-211813488000000001), null, null, null),
		"NUL in a text":              put(null, store.Text("a\x00b"), null, null),
		"a text that is no UTF-8":    put(null, store.Text("\xff"), null, null),
		"no JSON":                    put(null, null, store.BytesOf(store.KindJSON, []byte("{")), null),
		"NUL in JSON":                put(null, null, store.BytesOf(store.KindJSON, []byte(`"\u0000"`)), null),
	} {
		var rejection *store.RejectedError
		if !errors.As(err, &rejection) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantRows(t, db, "SELECT count(*) FROM edges.row", "0")
	for i, at := range []string{"infinity", "-infinity", "294276-12-31", "4713-01-01 BC"} {
		execute(t, db.Connect(t), fmt.Sprintf("INSERT INTO %s (id, at) VALUES (%d, '%s')",
			pgtest.Table("edges", 1, "row"), i, at))
		tx := catalogue.Begin(claims[0])
		var rows store.Rows
		err := tx.Query(ctx, 0, []store.Value{store.I64(int64(i))}, &rows)
		tx.Rollback()
		var rejection *store.RejectedError
		if refused := errors.As(err, &rejection); refused != (i < 3) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// TestCommit_manyLargeStatements sends far more than the buffers between client and server hold.
func TestCommit_manyLargeStatements(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	ctx := t.Context()
	const statements = 20_000
	p := &store.Projection{
		Name: "many", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{Name: "row", Columns: []store.Column{{Name: "t", Type: typed("text")}}}},
		Writes: []store.Write{{
			Name: "sql", SQL: anySQL(`INSERT INTO {row} VALUES ($1) RETURNING t`),
			Params: []store.Type{typed("text")},
		}},
		Queries: []store.Query{{Name: "all", SQL: anySQL(`SELECT t FROM {row}`), Results: []store.Type{typed("text")}}},
	}
	catalogue, err := s.Install(ctx, p, 1)
	must(t, err)
	must(t, s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(ctx, store.ClaimRequest{
		Projection: store.ProjectionID{Name: "many", Version: 1}, Worker: "w",
		Limit: 1,
	})
	must(t, err)
	handOut(t, db)
	text := store.Text(strings.Repeat("x", 1000))
	mutations := make([]store.Mutation, statements)
	for i := range mutations {
		mutations[i].Values = []store.Value{text}
	}
	tx := catalogue.Begin(claims[0])
	defer tx.Rollback()
	var rows store.Rows
	must(t, tx.Query(ctx, 0, nil, &rows))
	must(t, tx.Commit(ctx, store.Commit{
		Through: 1, Steps: store.NewFolder(p).Fold(mutations),
		Log: claims[0].Applied.Log,
	}))
	claims[0].Position = 1
	tx = catalogue.Begin(claims[0])
	must(t, tx.Query(ctx, 0, nil, &rows))
	tx.Rollback()
	if len(rows.Values) != statements {
		t.Errorf("%d rows, want %d", len(rows.Values), statements)
	}
}
