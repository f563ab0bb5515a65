package horizon

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/store"
)

// TestHolder_namesAPreparedTransaction that has held the horizon back for long: it has no process.
func TestHolder_namesAPreparedTransaction(t *testing.T) {
	t.Parallel()
	lines := &bytes.Buffer{}
	held := holder{logger: zerolog.New(lines)}
	horizon := store.Horizon{Position: 4, Head: 7, Prepared: "prepared transaction 'forgotten'"}
	for range 3 {
		held.observe(horizon)
		held.since = held.since.Add(-2 * heldLong)
	}
	if strings.Count(lines.String(), "prepared transaction 'forgotten'") != 1 || strings.Contains(lines.String(), "pid") {
		t.Errorf("after a while the log is %s", lines)
	}
	lines.Reset()
	held.observe(store.Horizon{Position: 7, Head: 7})
	held.observe(store.Horizon{Position: 7, Head: 9, Holder: 12})
	held.since = held.since.Add(-2 * heldLong)
	held.observe(store.Horizon{Position: 7, Head: 10, Holder: 12})
	if !strings.Contains(lines.String(), `"pid":12`) {
		t.Errorf("with a process that holds it the log is %s", lines)
	}
}
