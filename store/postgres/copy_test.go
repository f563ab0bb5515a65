package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// plainSums is the projection without SQL.
func plainSums() *store.Projection {
	p := sums()
	p.Writes = slices.DeleteFunc(p.Writes, func(w store.Write) bool { return w.SQL != nil })
	p.Queries = nil
	return p
}

// committing is a segment of a projection.
type committing struct {
	testing.TB
	catalogue store.Catalogue
	folder    *store.Folder
	claim     store.Claim
}

func claimed(t *testing.T, s store.Store, p *store.Projection) *committing {
	t.Helper()
	catalogue, err := s.Install(t.Context(), p, 1)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
	must(t, err)
	c := &committing{TB: t, catalogue: catalogue, folder: store.NewFolder(p), claim: claims[0]}
	c.folder.Follow(store.NewSegmentKeys())
	return c
}

// add adds 1 to many sums, from one on.
func (c *committing) add(from, count int) {
	c.Helper()
	c.folder.Reset()
	for n := range count {
		c.folder.Add([]store.Mutation{add(fmt.Sprintf("s%05d", from+n), 1)})
	}
	tx := c.catalogue.Begin(c.claim)
	defer tx.Rollback()
	c.claim.Position++
	must(c, tx.Commit(c.Context(), store.Commit{
		Through: c.claim.Position, Log: c.claim.Applied.Log, Steps: c.folder.Steps(),
	}))
}

// TestCommit_copiesManyNewRows does so by a role without rights of its own. Rows that may be there, few rows, and rows of
// a table with a trigger are written by the functions of the projection's role, which the trigger runs as.
func TestCommit_copiesManyNewRows(t *testing.T) {
	t.Parallel()
	db, asRole := roleWithout(t, "copies_host", func(t *testing.T) pgtest.Database { t.Helper(); return pgtest.New(t) })
	admin := db.Connect(t)
	execute(t, admin, `GRANT USAGE ON SCHEMA pupwasm TO copies_host; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pupwasm TO copies_host;
		GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA pupwasm TO copies_host`)
	execute(t, admin, postgres.GrantSQL("pupwasm", "sums", "copies_host"))
	p := newProxy(t, asRole)
	s, err := postgres.OpenBackend(p.dsn, postgres.Options{Lazy: true, Isolation: postgres.IsolationRole})
	must(t, err)
	t.Cleanup(s.Close)
	c := claimed(t, s, plainSums())
	handOut(t, db)
	wantCopies := func(what string, want int) {
		t.Helper()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.copies != want {
			t.Errorf("%s: %d COPY, want %d", what, p.copies, want)
		}
	}
	c.add(0, 5000)
	wantCopies("many new rows", 1)
	c.add(0, 5000)
	wantCopies("the same again", 1)
	c.add(5000, 100)
	wantCopies("few", 1)
	c.add(100, 10_000) // 5,000 of them new
	wantCopies("new rows among others", 2)
	execute(t, admin, `CREATE TABLE public.told (who text); GRANT INSERT ON public.told TO PUBLIC;
		CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.told VALUES (current_user);
		RETURN NULL; END';
		CREATE TRIGGER told AFTER INSERT ON sums__v1.total FOR EACH STATEMENT EXECUTE FUNCTION public.tell()`)
	c.add(20_000, 5000)
	wantCopies("a table with a trigger", 2)
	wantRows(t, db, "SELECT DISTINCT who FROM public.told", "pupwasm__sums")
	wantRows(t, db, "SELECT count(*), sum(n), count(note) FROM sums.total", "15100 25100 0")
}
