package segments

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/store"
)

// checked answers one check after the other, and ends the context behind the last.
type checked struct {
	store.Store
	answers []error
	end     context.CancelFunc
}

func (c *checked) CheckLog(context.Context) error {
	answer := c.answers[0]
	if c.answers = c.answers[1:]; len(c.answers) == 0 {
		c.end()
	}
	return answer
}

// TestCheckLog_tellsEachStateOnce has a log become unsafe, then unsafe in another way, and then safe, with an
// outage between.
func TestCheckLog_tellsEachStateOnce(t *testing.T) {
	t.Parallel()
	cache := store.UnsafeLog([]store.LogFault{{Fault: "CACHE 2", Remedy: "fix it"}})
	both := store.UnsafeLog([]store.LogFault{
		{Fault: "CACHE 2", Remedy: "fix it"},
		{Fault: "no fence", Remedy: "build one"},
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := &bytes.Buffer{}
	log := &checked{answers: []error{nil, cache, cache, errors.New("away"), cache, both, nil, nil}, end: cancel}
	worker, err := New(log, log, Options{PollOnly: true, Logger: zerolog.New(lines)})
	if err != nil {
		t.Fatal(err)
	}
	worker.checkLog(ctx, time.Microsecond)
	var told []string
	for line := range strings.Lines(lines.String()) {
		for _, state := range []string{"no fence: build one", "the log may lose events: CACHE 2: fix it", "log is safe again"} {
			if strings.Contains(line, state) {
				told = append(told, state)
				break
			}
		}
	}
	want := []string{"the log may lose events: CACHE 2: fix it", "no fence: build one", "log is safe again"}
	if strings.Join(told, "; ") != strings.Join(want, "; ") || strings.Count(lines.String(), "\n") != len(want) {
		t.Errorf("told was\n%s", lines)
	}
}
