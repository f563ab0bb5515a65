package doctor

import (
	"fmt"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// unsentLong is for how long messages may wait, in seconds, until a host takes over from one that is gone.
	unsentLong = 60
	// outboxNear is 80% of how many messages of a projection hosts put into the outbox unless they are told otherwise.
	outboxNear = 800_000
)

// messages looks at what waits to be sent, and at who sends it.
func (e *examiner) messages() {
	for i := range e.report.Outbox {
		o, before := &e.report.Outbox[i], len(e.findings)
		e.sender(o)
		e.undelivered(o)
		e.outbox(o)
		if len(e.findings) == before {
			e.ok("messages", "%s of %s to be sent", oneline.Count(o.Pending, "message"), o.Projection)
		}
	}
}

// sender tells of messages that wait while nobody sends them.
func (e *examiner) sender(o *status.Outbox) {
	if !o.Waits() {
		return
	}
	who := "no host sends the messages of " + o.Projection
	if o.Relay != "" {
		who = fmt.Sprintf("the host %s, which sent the messages of %s, is gone", o.Relay, o.Projection)
	}
	severity, remedy := store.SeverityWarning, "another host with --publish takes over within seconds: wait, and look again"
	if o.OldestSeconds > unsentLong || len(e.report.Hosts) == 0 {
		severity = store.SeverityProblem
		remedy = fmt.Sprintf("start hosts with --publish %s=URL: messages wait until then, and none is lost", o.Projection)
	}
	e.add(severity, "messages", fmt.Sprintf("%s; waiting: %s", who, oneline.Count(o.Pending, "message")), remedy)
}

// undelivered tells of keys of which a message could not be sent.
func (e *examiner) undelivered(o *status.Outbox) {
	const check = "undelivered"
	switch {
	case o.ExhaustedKeys > 0:
		e.add(store.SeverityProblem, check, fmt.Sprintf("of %s of %s whose messages could not be sent %d will not be tried again "+
			"by itself", oneline.Count(int64(o.FailedKeys), "key"), o.Projection, o.ExhaustedKeys),
			fmt.Sprintf("'pupwasm messages list %[1]s --state failed' says why; 'pupwasm messages resend %[1]s --failed' once the "+
				"cause is gone, or 'pupwasm messages skip ID --yes' for one that its receiver never takes", o.Projection))
	case o.FailedKeys > 0:
		e.add(store.SeverityWarning, check, fmt.Sprintf("messages of %s of %s could not be sent, and are tried again automatically",
			oneline.Count(int64(o.FailedKeys), "key"), o.Projection),
			"'pupwasm messages list "+o.Projection+" --state failed' says why")
	}
}

// outbox tells of one that has so many messages that a projection may have to wait soon.
func (e *examiner) outbox(o *status.Outbox) {
	if o.Pending+o.Held < outboxNear {
		return
	}
	remedy := "see that they are sent faster, or raise --outbox-max: with so many the projection waits"
	if o.Held > o.Pending {
		remedy = "promote or retire the version that they are held for: with --outbox-max of them the projection waits"
	}
	e.add(store.SeverityWarning, "outbox", fmt.Sprintf("%s of %s to be sent, and %d held", oneline.Count(o.Pending, "message"),
		o.Projection, o.Held), remedy)
}
