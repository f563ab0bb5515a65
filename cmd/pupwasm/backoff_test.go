package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/store"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("%w: nobody there", store.ErrTransient)
	other := errors.New("no")
	tests := []struct {
		name  string
		limit time.Duration
		// fails is for how long the call fails with err; then it succeeds.
		fails   time.Duration
		err     error
		want    error
		logged  int
		between [2]time.Duration
	}{
		{"succeeds at once", time.Minute, 0, nil, nil, 0, [2]time.Duration{0, 0}},
		{"another error is final", time.Minute, time.Hour, other, other, 0, [2]time.Duration{0, 0}},
		{"no retry", 0, time.Hour, down, down, 0, [2]time.Duration{0, 0}},
		{
			"the database comes back", time.Minute, 20 * time.Second, down, nil, 2,
			[2]time.Duration{20 * time.Second, 25 * time.Second},
		},
		{"the database stays away", time.Minute, time.Hour, down, down, 1, [2]time.Duration{50 * time.Second, time.Minute}},
		{"for ever", -1, 10 * time.Hour, down, nil, 2, [2]time.Duration{10 * time.Hour, 10*time.Hour + 5*time.Second}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				retry := &backoff{limit: test.limit, log: zerolog.New(&log)}
				start := time.Now()
				err := retry.do(t.Context(), func() error {
					if time.Since(start) < test.fails {
						return test.err
					}
					return nil
				})
				if !errors.Is(err, test.want) {
					t.Errorf("error is %v, must be %v", err, test.want)
				}
				if took := time.Since(start); took < test.between[0] || took > test.between[1] {
					t.Errorf("took %s, must be within %s", took, test.between)
				}
				if lines := strings.Count(log.String(), "\n"); lines != test.logged {
					t.Errorf("%d lines, must be %d: %s", lines, test.logged, log.String())
				}
			})
		})
	}
}

func TestBackoff_endsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		retry := &backoff{limit: -1, log: zerolog.Nop()}
		err := retry.do(ctx, func() error { return store.ErrTransient })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
}
