package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/doctor"
	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// examined is what the doctor says of a check, with the remedy.
func examined(t *testing.T, s mysql.Backend, check string) string {
	t.Helper()
	examination, err := doctor.Examine(t.Context(), s, s)
	must(t, err)
	for _, f := range examination.Findings {
		if f.Check == check {
			return f.Finding + " → " + f.Remedy
		}
	}
	return ""
}

// TestDoctor_namesWhoLocksSegments that no host has.
func TestDoctor_namesWhoLocksSegments(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 1)
	tx := begun(t, at, "SELECT 1 FROM pupwasm__segments FOR UPDATE")
	process := 0
	must(t, tx.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&process))
	end := fmt.Sprintf("run KILL %d, which rolls its work back", process)
	testwait.Until(t, "the doctor names the transaction", func() bool {
		return strings.HasSuffix(examined(t, s, "locks"), end)
	})
	execute(t, at.Connect(t), fmt.Sprint("KILL ", process))
	testwait.Until(t, "a host has the segment", func() bool { return len(claimedBy(t, s, "worker", 1)) == 1 })
	if got := examined(t, s, "locks"); got != "" {
		t.Errorf("afterwards the doctor says %s", got)
	}
}

// TestDoctor_endsPreparedTransactions has statements that work.
func TestDoctor_endsPreparedTransactions(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start("innodb-buffer-pool-size=32M") // the names of prepared transactions are the server's
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	s := open(t, at.URL, mysql.Options{})
	db := at.Connect(t)
	db.SetMaxOpenConns(1)
	execute(t, db, "XA START 'it''s'; INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, "+
		"aggregate_version, event_id, event_type, payload) VALUES ('a', 'b', 'c', 1, '0123456789abcdef', 'd', ''); "+
		"XA END 'it''s'; XA PREPARE 'it''s'")
	appendTo(t, s, "another", 1)
	got := examined(t, s, "horizon")
	_, statement, found := strings.Cut(got, "XA ROLLBACK ")
	xid, _, _ := strings.Cut(statement, " keeps ")
	execute(t, db, "XA ROLLBACK "+xid)
	if !found || !strings.Contains(got, "or run XA COMMIT or XA ROLLBACK with its xid") || strings.Contains(got, "PREPARED") {
		t.Errorf("the doctor says %s", got)
	}
	if got := examined(t, s, "horizon"); !strings.HasPrefix(got, "the log may be read up to its head") {
		t.Errorf("afterwards the doctor says %s", got)
	}
}
