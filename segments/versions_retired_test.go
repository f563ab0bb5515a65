package segments_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// laterID is that of [laterLedger].
var laterID = store.ProjectionID{Name: "ledger", Version: 2}

// tries counts what is tried for version 1 of the ledger.
type tries struct {
	store.Store
	polls, claims, installs atomic.Int64
}

func (c *tries) Workers(ctx context.Context) ([]store.Worker, error) {
	c.polls.Add(1)
	return c.Store.Workers(ctx)
}

func (c *tries) Claim(ctx context.Context, request store.ClaimRequest) ([]store.Claim, error) {
	if request.Projection == ledgerID {
		c.claims.Add(1)
	}
	return c.Store.Claim(ctx, request)
}

func (c *tries) Install(ctx context.Context, p *store.Projection, segments int) (store.Catalogue, error) {
	if p.ID() == ledgerID {
		c.installs.Add(1)
	}
	return c.Store.Install(ctx, p, segments)
}

// feed appends without a pause until what it returns is called, which returns the last position.
func feed(t *testing.T, s store.Store) (stop func() (head int64)) {
	t.Helper()
	var appender sync.WaitGroup
	done := make(chan struct{})
	var head int64
	appender.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				head = poisoned(t, s, 20, 1, 0)
			}
		}
	})
	return func() int64 {
		close(done)
		appender.Wait()
		return head
	}
}

// logged returns the lines of a log that are not of level debug.
func logged(lines *logBuffer) (all []string) {
	for line := range strings.Lines(lines.String()) {
		if !strings.Contains(line, `"level":"debug"`) {
			all = append(all, line)
		}
	}
	return all
}

// TestWorker_aVersionIsRetiredUnderIt has a version that was replaced go while a worker runs it, asks its tables, and
// commits to them. The worker says so in one line, and goes on with the live version.
func TestWorker_aVersionIsRetiredUnderIt(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		lines, asked := &logBuffer{}, &tries{Store: s}
		options := quick()
		options.Name, options.Logger = "both", zerolog.New(lines)
		breaks := new(atomic.Int64)
		worker := startPrograms(t, asked, options, &ledger{code: "1", breaks: breaks})
		head := poisoned(t, s, 20, 2, 0)
		worker.SetProgram(laterLedger{&ledger{code: "2", breaks: breaks}})
		bothAt(t, s, head)
		if _, err := segments.Promote(t.Context(), s, laterID); err != nil {
			t.Fatal(err)
		}
		before := len(logged(lines))
		stop := feed(t, s)
		retired := func() bool {
			err := s.Retire(t.Context(), ledgerID)
			return err == nil
		}
		testwait.Until(t, "version 1 is retired", retired)
		const gone = "the version is no longer in the database, its rows are deleted: it runs here no longer"
		testwait.Until(t, "the worker says so", func() bool { return strings.Contains(lines.String(), gone) })
		polls, claims, installs := asked.polls.Load(), asked.claims.Load(), asked.installs.Load()
		testwait.Until(t, "it polls ten times", func() bool { return asked.polls.Load() >= polls+10 })
		if n := asked.claims.Load() - claims; n > 0 {
			t.Errorf("the worker claims segments of version 1 %d times", n)
		}
		if n := asked.installs.Load() - installs; n > 1 { // one in 10 seconds
			t.Errorf("the worker installs version 1 %d times", n)
		}
		head = stop()
		testwait.Until(t, "version 2 has all events", func() bool {
			there, failed := versionAt(t.Context(), s, 2, head)
			return there && failed == 0
		})
		all := logged(lines)[before:]
		if len(all) != 1 || !strings.Contains(all[0], `"level":"warn","worker":"both","projection":"ledger","version":1,`) ||
			!strings.Contains(all[0], "remove this module and use that of version 2") {
			t.Errorf("the log has\n%s", strings.Join(all, ""))
		}
		worker.runs(t)
	})
}

// TestWorker_noHostRunsWhatReadersSee has the worker that runs the live version end, while another runs version 1.
func TestWorker_noHostRunsWhatReadersSee(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(projection, table string) int) {
		lines, asked := &logBuffer{}, &tries{Store: s}
		options := quick()
		options.Name, options.Logger, options.Lease = "first", zerolog.New(lines), 200*time.Millisecond
		breaks := new(atomic.Int64)
		worker := startPrograms(t, asked, options, &ledger{code: "1", breaks: breaks})
		head := poisoned(t, s, 20, 2, 0)
		applied(t, s, "ledger", head) // otherwise version 2 would take its place
		other := quick()
		other.Name, other.Lease = "second", time.Minute
		later := startPrograms(t, s, other, laterLedger{&ledger{code: "2", breaks: breaks}})
		bothAt(t, s, head)
		if _, err := segments.Promote(t.Context(), s, laterID); err != nil {
			t.Fatal(err)
		}
		const unrun = `"level":"warn","worker":"first","projection":"ledger","version":2,"runs":[1],` +
			`"message":"no host runs the version that readers see, and its rows stay as they are: ` +
			`put its module into the folder of a host, or promote a version that runs"`
		const again = `"projection":"ledger","version":2,"message":"a host runs the version that readers see again"`
		said := func(warnings, ends int) {
			t.Helper()
			testwait.Until(t, "the worker says it", func() bool {
				return strings.Count(lines.String(), unrun) >= warnings && strings.Count(lines.String(), again) >= ends
			})
			polls := asked.polls.Load()
			testwait.Until(t, "it polls ten times", func() bool { return asked.polls.Load() >= polls+10 })
			text := lines.String()
			if strings.Count(text, unrun) != warnings || strings.Count(text, again) != ends {
				t.Errorf("want %d warnings and %d ends of them: %s", warnings, ends, text)
			}
		}
		said(0, 0)
		later.stop()
		said(1, 0)
		later = startPrograms(t, s, other, laterLedger{&ledger{code: "2", breaks: breaks}})
		said(1, 1)
		later.Remove(laterID)
		said(2, 1)
		if _, err := segments.Rollback(t.Context(), s, "ledger"); err != nil { // it is not behind
			t.Fatal(err)
		}
		said(2, 1)
		worker.runs(t)
	})
}
