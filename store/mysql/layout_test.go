package mysql_test

import (
	"errors"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestReshard_waitsForTheCommitUnderWay holds a segment between the fence of a commit and its end: the halves start from
// where it leads to, or from where it was when it fails.
func TestReshard_waitsForTheCommitUnderWay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		end   string
		want  string
		parks bool
	}{
		{"which succeeds", "COMMIT", "3", false},
		{"which fails", "ROLLBACK", "0", false},
		{"which parks a key", "COMMIT", "3", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at, s := bareOn(t, 1)
			commit := begun(t, at, "UPDATE pupwasm__segments SET position = 3")
			changed := make(chan error, 1)
			go func() {
				changed <- s.Reshard(t.Context(), bare().ID(), func(l *store.Layout) error { return l.Split(0, 2) })
			}()
			awaitBlocked(t, at, 1)
			if test.parks { // the foreign key locks the projection
				_, err := commit.Exec("INSERT INTO pupwasm__skipped_events (projection, version, position, `key`, event_id, " +
					"error, skipped_at) VALUES ('sums', 1, 1, '', '', '', 0)")
				must(t, err)
			}
			_, err := commit.Exec(test.end)
			must(t, err)
			must(t, <-changed)
			rows := queryText(t, at.Connect(t), "SELECT position FROM pupwasm__segments")
			if len(rows) != 2 || rows[0][0] != test.want || rows[1][0] != test.want {
				t.Errorf("the halves are at %v, want %s", rows, test.want)
			}
		})
	}
}

// TestReshard_doesNotWaitForEver has a commit hang: others that wait for the same segment must not wait behind a change
// of the layout.
func TestReshard_doesNotWaitForEver(t *testing.T) {
	t.Parallel()
	at, s := bareOn(t, 1)
	begun(t, at, "SELECT 1 FROM pupwasm__segments FOR UPDATE")
	err := s.Reshard(t.Context(), bare().ID(), func(l *store.Layout) error { return l.Split(0, 2) })
	if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
		t.Errorf("the change returns %v", err)
	}
}
