package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/pupwasm/pupwasm/internal/status"
)

// targetWidth is how much of the name of a target fits beside the rest.
const targetWidth = 26

// printOutbox prints how many messages wait, where there are projections that send some.
func printOutbox(to io.Writer, report *status.Report) {
	if len(report.Outbox) == 0 {
		return
	}
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MESSAGES\tPENDING\tOLDEST\tFAILED KEYS\tHELD\tSENT TO")
	for i := range report.Outbox {
		o := &report.Outbox[i]
		oldest := "-"
		if o.OldestAt != nil {
			oldest = ageText(&o.OldestSeconds)
		}
		target := ""
		if o.RelayLive {
			target = shorten(printable(o.Target), targetWidth)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%d\t%s\n", printable(o.Projection), o.Pending, oldest, o.FailedKeys, o.Held,
			cmp.Or(target, "-"))
	}
	_ = table.Flush() // into memory
}

// outboxReasons say why messages wait, each in one line.
func outboxReasons(o *status.Outbox) (lines []string) {
	name := printable(o.Projection)
	if o.Waits() {
		lines = append(lines, fmt.Sprintf("%s of %s wait and nobody sends them: %s", count(o.Pending, "message"), name,
			whyUnsent(o)))
	}
	if o.FailedKeys > 0 {
		lines = append(lines, fmt.Sprintf("messages of %s of %s could not be sent: 'pupwasm messages list %s --state failed'",
			count(int64(o.FailedKeys), "key"), name, name))
	}
	return lines
}

// whyUnsent says why no worker sends the messages of a projection.
func whyUnsent(o *status.Outbox) string {
	if o.Relay == "" {
		return "no host runs it with --publish"
	}
	return "the host " + printable(o.Relay) + " is gone, another takes over"
}
