package mysql_test

import (
	sqldriver "database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// TestHorizon_preparedTransaction has one that is left by its connection, and one that a crash has left.
func TestHorizon_preparedTransaction(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	l := newLog(t, at)
	for _, crash := range []bool{false, true} {
		for _, outcome := range []string{"COMMIT", "ROLLBACK"} {
			before := l.add()
			l.free()
			conn := l.conn()
			l.execute(conn, "XA START 'it'")
			l.insert(conn, outcome)
			l.execute(conn, "XA END 'it'; XA PREPARE 'it'")
			_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn }) // nobody is there any more
			head := l.add()
			want := store.Horizon{
				Position: before, Head: head,
				Prepared: "prepared transaction 'it': end it with XA COMMIT 'it' or XA ROLLBACK 'it'",
			}
			if h := l.horizon(); h != want {
				t.Errorf("with a prepared transaction the horizon is %+v, want %+v", h, want)
			}
			if crash {
				server.Kill()
				must(t, server.Run())
				versions := l.versions
				l = newLog(t, at)
				l.versions = versions
				want.Head = l.add()
				want.Position = before
				if h := l.horizon(); h != want {
					t.Errorf("after a crash the horizon is %+v, want %+v", h, want)
				}
			}
			testwait.Until(t, "the server has missed the connection", func() bool {
				_, err := l.sql.ExecContext(t.Context(), "XA "+outcome+" 'it'")
				return err == nil
			})
			if h := l.free(); h.Position < head || h.Prepared != "" {
				t.Errorf("after XA %s the horizon is %+v", outcome, h)
			}
			l.versions[outcome] = 0
			l.execute(l.sql, "DELETE FROM pupwasm__events WHERE aggregate_id = '"+outcome+"'")
		}
	}
}

// TestHorizon_manyEventsAtOnce has more events behind the last horizon than a look compares.
func TestHorizon_manyEventsAtOnce(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	l := newLog(t, at)
	const many = `INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type,
		payload) SELECT 'shop', 'order', '%s', a.slot * 4096 + b.slot * 64 + c.slot + 1, 'inserted', ''
		FROM pupwasm__fence a, pupwasm__fence b, pupwasm__fence c WHERE a.slot < 3`
	for _, prepared := range []bool{false, true} {
		before := l.add()
		l.free()
		conn := l.conn()
		l.execute(l.sql, fmt.Sprintf(many, fmt.Sprint("first", prepared)))
		held := int64(0)
		if prepared {
			l.execute(conn, "XA START 'it'")
			held = l.insert(conn, "x")
			l.execute(conn, "XA END 'it'; XA PREPARE 'it'")
		}
		l.execute(l.sql, fmt.Sprintf(many, fmt.Sprint("second", prepared)))
		if !prepared {
			if h := l.free(); h.Position < before+2*3*4096 {
				t.Errorf("the horizon is %+v", h)
			}
			continue
		}
		h := l.horizon()
		for h.Position < held-1 { // it goes on in steps
			next := l.horizon()
			if next.Position <= h.Position || next.Position >= held {
				t.Fatalf("with a transaction prepared at %d the horizon is %+v, and was %+v", held, next, h)
			}
			h = next
		}
		if !strings.Contains(h.Prepared, "'it'") {
			t.Errorf("the horizon is %+v", h)
		}
		l.execute(conn, "XA COMMIT 'it'")
		l.free()
	}
}
