package mysql_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// noted is shown with a column that old rows may lack, which its view shows.
func noted(version int) *store.Projection {
	p := shown(version)
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{
		Name: "extra", Type: kind(store.KindText), Backfill: store.BackfillNone,
	})
	p.Views[0].SQL = store.Statement{store.DialectAny: "SELECT name, extra FROM {total}"}
	return p
}

// TestAddition_doesNotKeepReadersWaiting has a reader or a commit hold the table: an install gives up at once, and leaves
// nothing. Those that come later go on.
func TestAddition_doesNotKeepReadersWaiting(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	versions(t, db, at, s, 1)
	for _, holds := range []string{
		"SELECT 1 FROM %s__sums.total", "SELECT 1 FROM %s__sums__v1.total", "UPDATE %s__sums__v1.total SET n = 1 WHERE FALSE",
		"SELECT 1 FROM %s__sums.seen",
	} {
		long := begun(t, at, fmt.Sprintf(holds, at.Name))
		for range 3 {
			_, err := s.Install(t.Context(), noted(1), 1)
			if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
				t.Errorf("after %s: %v", holds, err)
			}
			wantText(t, db, fmt.Sprintf("SELECT * FROM %s__sums.total", at.Name), "v1 1")
			wantText(t, db, "SELECT COUNT(*) FROM pupwasm__unfinished", "0")
		}
		bad := noted(1)
		bad.Views[0].SQL = store.Statement{store.DialectAny: "SELECT name, extra AS shown FROM {total} WHERE nothing = 1"}
		_, err := s.Install(t.Context(), bad, 1) // it is tried without the lock
		wantRefusal(t, err, `view "seen": `, "nothing")
		_, err = s.Install(t.Context(), shown(1), 1)
		must(t, err)
		must(t, long.Rollback())
	}
	_, err := s.Install(t.Context(), noted(1), 1)
	must(t, err)
	wantText(t, db, fmt.Sprintf("SELECT * FROM %s__sums.total", at.Name), "v1 1 NULL")
	wantText(t, db, fmt.Sprintf("SELECT * FROM %s__sums.seen", at.Name), "v1 NULL")
	wantPlaces(t, db, at, "sums; sums__v1")
}

// TestAddition_writesNoRow adds a column to a table whose rows nobody reads or writes for it.
func TestAddition_writesNoRow(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	versions(t, db, at, s, 1)
	execute(t, db, fmt.Sprintf("INSERT INTO %s__sums__v1.total (name, n) SELECT seq, seq FROM seq_1_to_20000", at.Name))
	before := text(t, db, "SHOW GLOBAL STATUS LIKE 'Innodb_instant_alter_column'")
	_, err := s.Install(t.Context(), noted(1), 1)
	must(t, err)
	if text(t, db, "SHOW GLOBAL STATUS LIKE 'Innodb_instant_alter_column'") == before {
		t.Error("the table was written again")
	}
}

// TestAddition_whatTheTableHasByHand tries statements against all that somebody has added.
func TestAddition_whatTheTableHasByHand(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	versions(t, db, at, s, 1)
	execute(t, db, fmt.Sprintf(`ALTER TABLE %[1]s__sums__v1.total ADD COLUMN twice BIGINT GENERATED ALWAYS AS (n * 2) STORED,
		ADD COLUMN counted BIGINT NOT NULL AUTO_INCREMENT, ADD CONSTRAINT above CHECK (n > -7), ADD UNIQUE by_hand (counted);
		CREATE VIEW built AS SELECT twice FROM %[1]s__sums__v1.total`, at.Name))
	p := noted(1)
	p.Views[0].SQL = store.Statement{store.DialectAny: "SELECT name, extra, twice FROM {total}"}
	_, err := s.Install(t.Context(), p, 1)
	must(t, err)
	wantText(t, db, fmt.Sprintf("SELECT * FROM %s__sums.seen", at.Name), "v1 NULL 2")
	wantText(t, db, "SELECT * FROM built", "2")
	_, err = s.Install(t.Context(), shown(1), 1)
	must(t, err)
}
