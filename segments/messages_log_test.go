package segments_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestMessages_ofALogThatWasRestored has a log as it was at an earlier time, with other events behind that, or another log.
// After a reset the messages of all its events are sent, once those of the log before are.
func TestMessages_ofALogThatWasRestored(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(t *testing.T, path string) store.Store{
		"restored": restoredAs,
		"another":  func(t *testing.T, _ string) store.Store { return logtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log.db")
			tables, log, box := logtest.New(t), logtest.At(t, path), &mailbox{}
			run := func(log store.Store, sender segments.Relay) error {
				options := quick()
				options.Once, options.Relay = true, sender
				options.Projections = map[string]segments.ProjectionOptions{
					"mailer": {MessagesFrom: segments.MessagesFromBeginning},
				}
				worker, err := segments.New(log, tables, options)
				if err != nil {
					t.Fatal(err)
				}
				worker.SetProgram(&mailer{})
				return worker.Run(t.Context())
			}
			appendTo(t, log, noted("One"))
			next := other(t, path)
			appendTo(t, log, noted("Two", "Three", "Four"))
			if err := run(log, nil); err != nil {
				t.Fatal(err)
			}
			instead := noted("Else", "Else", "Else", "Else", "Else")
			instead.Stream.AggregateID = "n2"
			last := appendTo(t, next, instead)
			if err := tables.Reset(t.Context(), "mailer"); err != nil {
				t.Fatal(err)
			}
			var stale *store.StaleMessagesError
			if err := run(next, nil); !errors.As(err, &stale) {
				t.Errorf("with messages of the log before it runs, and ends with %v", err)
			}
			err := run(next, relayTo(t, tables, box, relay.Options{}))
			if errors.As(err, &stale) { // it has sent them
				err = run(next, relayTo(t, tables, box, relay.Options{}))
			}
			if err != nil {
				t.Error(err)
			}
			var want []string
			for position := range 4 {
				want = append(want, fmt.Sprintf("mailer.v1.%d.0 notes.n1", position+1))
			}
			if last == 6 {
				want = append(want, "mailer.v1.1.0 notes.n1") // of the event that is in both, once more
			}
			for position := last - 4; position <= last; position++ {
				want = append(want, fmt.Sprintf("mailer.v1.%d.0 notes.n2", position))
			}
			slices.Sort(want)
			if got := box.sorted(); !slices.Equal(got, want) {
				t.Errorf("sent is %q, want %q", got, want)
			}
		})
	}
}

// restoredAs returns a copy of a log as it is now.
func restoredAs(t *testing.T, path string) store.Store {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} { // nobody writes
		content, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(copied+suffix, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return logtest.At(t, copied)
}
