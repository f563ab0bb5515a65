package doctor

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// TestMessages_anOutboxThatIsNearlyFull names what fills it.
func TestMessages_anOutboxThatIsNearlyFull(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		outbox status.Outbox
		want   string
	}{
		{status.Outbox{Pending: outboxNear - 2, Held: 1, RelayLive: true}, ""},
		{status.Outbox{Pending: outboxNear - 1, Held: 1, RelayLive: true}, "799999 messages of shop to be sent, and 1 held → see that they"},
		{status.Outbox{Pending: 1, Held: outboxNear, RelayLive: true}, "1 message of shop to be sent, and 800000 held → promote or retire"},
	} {
		test.outbox.Projection = "shop"
		e := &examiner{report: &status.Report{Outbox: []status.Outbox{test.outbox}}}
		e.messages()
		got := ""
		for _, f := range e.findings {
			if f.Severity == store.SeverityWarning {
				got += f.Finding + " → " + f.Remedy
			}
		}
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("of %d and %d it says %q, must be %q", test.outbox.Pending, test.outbox.Held, got, test.want)
		}
	}
}
