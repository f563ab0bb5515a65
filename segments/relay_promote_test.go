package segments_test

import (
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/store"
)

// TestRelay_sendsForAVersionThatIsPromoted has a version with messages take the place of one that sends nothing: it sends
// from then on, without a restart.
func TestRelay_sendsForAVersionThatIsPromoted(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		box := &mailbox{}
		options := quick()
		options.Relay = relayTo(t, s, box, relay.Options{})
		before := appendTo(t, s, noted("Before"))
		worker := startPrograms(t, s, options, &mailer{version: 1, silent: true}, &mailer{version: 2})
		applied(t, s, "mailer", before)
		testwait.Until(t, "the version is promoted", func() bool {
			_, err := s.Promote(t.Context(), store.ProjectionID{Name: "mailer", Version: 2})
			return err == nil
		})
		appendTo(t, s, noted("After"))
		testwait.Until(t, "what comes after that has arrived", func() bool { return len(box.sorted()) == 1 })
		worker.stop()
	})
}
