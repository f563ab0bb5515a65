package segments_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestWorker_twoOfOneName has a second worker start under the name of one that runs: the first one ends and
// says why, and the second has all segments.
func TestWorker_twoOfOneName(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		open func(t *testing.T) store.Store
	}{
		{"PostgreSQL", func(t *testing.T) store.Store { return openPostgres(t, pgtest.New(t)) }},
		{"SQLite", func(t *testing.T) store.Store { return logtest.New(t) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			runtime := newRuntime(t, zerolog.Nop())
			options := quick()
			options.Name = "same"
			older, err := segments.New(s, s, options)
			if err != nil {
				t.Fatal(err)
			}
			older.Set(loadVersion(t, runtime, "1"))
			ended := make(chan error, 1)
			go func() { ended <- older.Run(t.Context()) }()
			applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))

			lines := &logBuffer{}
			options.Logger = zerolog.New(lines)
			newer := startWorker(t, s, options, loadVersion(t, runtime, "1"))
			err = <-ended
			if !errors.Is(err, store.ErrNameTaken) || !strings.Contains(err.Error(), "worker same: ") {
				t.Errorf("the older worker ends with %v", err)
			}
			applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))
			for _, segment := range statusOf(t, s, "quiet").Segments {
				if segment.Owner != "same" || !segment.Live {
					t.Errorf("segment %+v is not the newer worker's", segment)
				}
			}
			newer.runs(t)
			if !strings.Contains(lines.String(), "a worker of this name has not left") {
				t.Errorf("the newer worker does not warn: %s", lines)
			}
		})
	}
}

// TestWorker_startedAgainUnderItsName has a host be killed and started again, which must not wait for the lease.
func TestWorker_startedAgainUnderItsName(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	module := loadVersion(t, newRuntime(t, zerolog.Nop()), "1")
	if _, err := s.Install(t.Context(), &module.Description.Projection, 4); err != nil {
		t.Fatal(err)
	}
	killed := store.Worker{Name: "same", Incarnation: "killed"}
	if err := s.Join(t.Context(), killed, time.Hour); err != nil {
		t.Fatal(err)
	}
	request := store.ClaimRequest{
		Projection: store.ProjectionID{Name: "quiet", Version: 1}, Worker: killed.Name,
		Incarnation: killed.Incarnation, Limit: 4,
	}
	if claims, err := s.Claim(t.Context(), request); err != nil || len(claims) != 4 {
		t.Fatalf("claims are %+v: %v", claims, err)
	}
	options := quick()
	options.Name = "same"
	startWorker(t, s, options, module)
	applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))
}
