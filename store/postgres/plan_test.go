package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// explain returns the plan that a statement gets with readInOrder.
func explain(t *testing.T, conn *pgx.Conn, of *statement, params *parameters) string {
	t.Helper()
	p := &pipeline{
		inner: conn.PgConn().StartPipeline(context.Background()),
		stmts: (&Store{}).stmtCacheOf(conn.PgConn()),
	}
	p.send(&statement{sql: queriesFor("pupwasm", now).inOrder}, nil)
	explained := &statement{sql: "EXPLAIN " + of.sql, params: of.params}
	p.send(explained, params.values())
	var lines []string
	err := p.finish(func(r *statementResult) error {
		for r.reader.NextRow() {
			lines = append(lines, string(r.reader.Values()[0]))
		}
		return r.drain()
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines[1:], "\n")
}

func TestRead_followsThePrimaryKey(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	s := &Store{queries: queriesFor("pupwasm", now)}
	const count = 50_000
	// One event in five hundred is of a rare type, in a context of its own.
	fill := fmt.Sprintf(`INSERT INTO pupwasm.events (bounded_context, aggregate_type, aggregate_id,
		aggregate_version, event_type, payload, partition_hash)
		SELECT CASE g %% 500 WHEN 0 THEN 'rare' ELSE 'shop' END, 'order', 'o' || g %% 5000, g / 5000 + 1,
		'type' || g %% 20, '', hashint4(g)::bigint & 4294967295
		FROM generate_series(0, %d) g`, count-1)
	if _, err := conn.Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	all := store.FullRange()
	requests := map[string]store.ReadRequest{
		"from the start": {Through: count, Limit: 1000, Range: all},
		"at the end":     {After: count - 10, Through: count, Limit: 1000, Range: all},
		"a short way":    {After: 100, Through: 200, Limit: 1000, Range: all},
		"a range":        {Through: count, Limit: 1000, Range: store.SplitRange(4)[2]},
		"a rare context": {
			Through: count, Limit: 1000, Range: all,
			Subscription: store.Subscription{BoundedContexts: []string{"rare"}},
		},
		"an unknown type": {
			Through: count, Limit: 1000, Range: all,
			Subscription: store.Subscription{AggregateTypes: []string{"none"}},
		},
		"a type of event": {
			Through: count, Limit: 1000, Range: all,
			Subscription: store.Subscription{EventTypes: []string{"type3"}},
		},
		"all of the subscription": {
			Through: count, Limit: 1000, Range: store.SplitRange(4)[2],
			Subscription: store.Subscription{
				BoundedContexts: []string{"shop"}, AggregateTypes: []string{"order"},
				EventTypes: []string{"type3", "type4"},
			},
		},
	}
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			if _, err := conn.Exec(t.Context(), "ANALYZE pupwasm.events"); err != nil {
				t.Fatal(err)
			}
		}
		for name, request := range requests {
			request.Columns = store.AllColumns
			read, params := s.readStatement(request)
			plan := explain(t, conn, read, params)
			if !strings.Contains(plan, "Index Scan using events_pkey") || strings.Contains(plan, "Sort") {
				t.Errorf("%s, analyzed %v:\n%s", name, analyzed, plan)
			}
		}
		stream := &statement{params: streamParams}
		params := &parameters{}
		for i, v := range []store.Value{
			store.Text("shop"), store.Text("order"), store.Text("o17"), store.I64(3),
			store.I64(9),
		} {
			params.add(streamParams[i], v)
		}
		stream.sql = selectColumns(store.AllColumns, s.queries.events) + " " + s.queries.streams.read
		if plan := explain(t, conn, stream, params); !strings.Contains(plan,
			"Index Scan using events_stream_version_key") || strings.Contains(plan, "Sort") {
			t.Errorf("a stream, analyzed %v:\n%s", analyzed, plan)
		}
	}
}
