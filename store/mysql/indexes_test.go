package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// indexed is shown with indexes that it did not have.
func indexed() *store.Projection {
	p := shown(1)
	p.Tables[0].Indexes = [][]string{{"n"}}
	return p
}

// building is a call of BuildIndexes that is under way.
type building struct {
	cancel context.CancelFunc
	begun  chan struct{}
	ended  chan error
}

func startBuilding(t *testing.T, s mysql.Backend) *building {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &building{cancel: cancel, begun: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		b.ended <- s.BuildIndexes(ctx, indexed(), func(build store.IndexBuild) {
			if !build.Done {
				close(b.begun)
			}
		})
	}()
	return b
}

const buildsIndex = "SELECT id, state FROM information_schema.processlist WHERE info LIKE 'CREATE INDEX%%' AND info LIKE '%%%s__sums%%'"

func sumsIndexes(at mariadbtest.Database) string {
	return fmt.Sprintf(`SELECT GROUP_CONCAT(column_name) FROM information_schema.statistics
		WHERE table_schema = '%s__sums__v1' AND index_name <> 'PRIMARY'`, at.Name)
}

// holdBack starts a build in the middle of which a reader comes, who keeps it from its end. The table has so many rows
// that there is a middle.
func holdBack(t *testing.T, at mariadbtest.Database, s mysql.Backend) (long interface{ Rollback() error }, b *building) {
	t.Helper()
	db := at.Connect(t)
	for {
		b = startBuilding(t, s)
		<-b.begun
		testwait.Until(t, "it is built", func() bool {
			return text(t, db, fmt.Sprintf(buildsIndex, at.Name)) != "" || len(b.ended) > 0
		})
		reader := begun(t, at, fmt.Sprintf("SELECT 1 FROM %s__sums.total LIMIT 1", at.Name))
		if len(b.ended) == 0 && text(t, db, sumsIndexes(at)) == "NULL" {
			return reader, b
		}
		must(t, <-b.ended)
		must(t, reader.Rollback())
		execute(t, db, fmt.Sprintf("DROP INDEX IF EXISTS %s ON %s__sums__v1.total", "total__index_"+text(t, db,
			"SELECT LEFT(SHA2('n', 256), 12)"), at.Name))
		execute(t, db, fmt.Sprintf("INSERT INTO %[1]s__sums__v1.total (name, n) SELECT CONCAT(UUID(), seq), seq FROM seq_1_to_50000",
			at.Name))
	}
}

// TestBuildIndexes_holdsNobodyUp has commits, readers and installs go on while a large table gets an index, and other
// hosts leave it to the one that builds.
func TestBuildIndexes_holdsNobodyUp(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, other, db := open(t, at.URL, mysql.Options{}), open(t, at.URL, mysql.Options{}), at.Connect(t)
	versions(t, db, at, s, 1)
	_, err := s.Install(t.Context(), indexed(), 1)
	must(t, err)
	wantText(t, db, sumsIndexes(at), "NULL") // an install does not wait for it
	long, b := holdBack(t, at, s)
	err = other.BuildIndexes(t.Context(), indexed(), func(store.IndexBuild) { t.Error("another host builds too") })
	if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
		t.Errorf("another host: %v", err)
	}
	execute(t, db, fmt.Sprintf("INSERT INTO %s__sums__v1.total (name, n) VALUES ('more', 7)", at.Name))
	wantText(t, db, fmt.Sprintf("SELECT n FROM %s__sums.total WHERE name IN ('v1', 'more') ORDER BY n", at.Name), "1; 7")
	_, err = other.Install(t.Context(), indexed(), 1)
	must(t, err)
	must(t, long.Rollback())
	must(t, <-b.ended)
	wantText(t, db, sumsIndexes(at), "n")
	must(t, other.BuildIndexes(t.Context(), indexed(), func(store.IndexBuild) { t.Error("it is built again") }))
}

// TestBuildIndexes_doesNotKeepReadersWaiting has a reader before a build begins: it gives up at once.
func TestBuildIndexes_doesNotKeepReadersWaiting(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	versions(t, db, at, s, 1)
	long := begun(t, at, fmt.Sprintf("SELECT 1 FROM %s__sums.total", at.Name))
	for range 3 {
		err := s.BuildIndexes(t.Context(), indexed(), nil)
		if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
			t.Errorf("with a reader: %v", err)
		}
	}
	must(t, long.Rollback())
	must(t, s.BuildIndexes(t.Context(), indexed(), nil))
	wantText(t, db, sumsIndexes(at), "n")
}

// TestBuildIndexes_endsEarly ends a build in the middle: by its context, and by an administrator. Nothing is left, and it
// is begun again.
func TestBuildIndexes_endsEarly(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	versions(t, db, at, s, 1)
	_, err := s.Install(t.Context(), indexed(), 1)
	must(t, err)
	end := func(how string) {
		for _, row := range queryText(t, db, fmt.Sprintf(buildsIndex, at.Name)) {
			execute(t, db, how+" "+row[0])
		}
	}
	for _, c := range []struct {
		name string
		end  func(b *building)
		want error
	}{
		{"its context", func(b *building) { b.cancel() }, context.Canceled},
		{"a cancelled statement", func(*building) { end("KILL QUERY") }, store.ErrTransient},
		{"an ended session", func(*building) { end("KILL") }, store.ErrTransient},
	} {
		long, b := holdBack(t, at, s)
		c.end(b)
		if err := <-b.ended; !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		testwait.Until(t, "the server does not go on", func() bool {
			return text(t, db, fmt.Sprintf(buildsIndex, at.Name)) == ""
		})
		wantText(t, db, sumsIndexes(at), "NULL")
		must(t, long.Rollback())
	}
	must(t, s.BuildIndexes(t.Context(), indexed(), nil))
	wantText(t, db, sumsIndexes(at), "n")
}
