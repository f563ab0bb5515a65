package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/segments"
)

// TestCatchUp_linesOfTheLog has one projection catch up for half a minute and another be there from the beginning.
func TestCatchUp_linesOfTheLog(t *testing.T) {
	t.Parallel()
	lines := &bytes.Buffer{}
	c := newCatchUp(zerolog.New(lines), nil)
	at := c.began
	look := func(after time.Duration, behind int64) string {
		lines.Reset()
		at = at.Add(after)
		c.poll(at, []segments.Progress{
			{Projection: "fines", Position: 100_000 - behind, Events: 100_000 - behind, Behind: behind, Known: true},
			{Projection: "there", Position: 100_000, Known: true},
			{Projection: "refused"},
		})
		return lines.String()
	}
	if got := look(time.Second, 100_000); !strings.Contains(got,
		`"projection":"there","position":100000,"events":0,"after":"1s","message":"caught up"`) ||
		strings.Count(got, "\n") != 1 {
		t.Errorf("first it says %s", got)
	}
	if got := look(9*time.Second, 60_000); got != "" {
		t.Errorf("before 10 seconds it says %s", got)
	}
	want := `{"level":"info","projection":"fines","position":50000,"behind":50000,"events_per_second":5000,"left":"11s","message":"catching up"}` + "\n"
	if got := look(time.Second, 50_000); got != want {
		t.Errorf("after 10 seconds it says %s, want %s", got, want)
	}
	if got := look(20*time.Second, 50_000); got != "" {
		t.Errorf("without progress it says %s", got)
	}
	if got := look(time.Second, 0); !strings.Contains(got,
		`"projection":"fines","position":100000,"events":100000,"after":"32s","message":"caught up"`) {
		t.Errorf("at the end it says %s", got)
	}
	if got := look(time.Minute, 0); got != "" {
		t.Errorf("later it says %s", got)
	}
}

func TestCatchUp_onATerminal(t *testing.T) {
	t.Parallel()
	screen := &bytes.Buffer{}
	line := &statusLine{to: screen, width: 60}
	c := newCatchUp(zerolog.New(line), line)
	progress := segments.Progress{Projection: "fines", Behind: 1000, Known: true}
	c.poll(c.began, []segments.Progress{progress})
	progress.Behind, progress.Events = 250, 750
	c.poll(c.began.Add(3*time.Second), []segments.Progress{progress})
	if _, err := line.Write([]byte("a line of the log\n")); err != nil {
		t.Fatal(err)
	}
	progress.Behind, progress.Position = 0, 1000
	c.poll(c.began.Add(4*time.Second), []segments.Progress{progress})
	const shown = "fines 75%, 250 events/s, 2s left"
	want := []string{
		eraseLine + "fines 0%", eraseLine + shown, eraseLine + "a line of the log\n" + shown,
		eraseLine + `{"level":"info","projection":"fines","position":1000,"events":750,"after":"4s","message":"caught up"}` +
			"\n" + shown, eraseLine,
	}
	if got := screen.String(); got != strings.Join(want, "") {
		t.Errorf("the terminal got %q, want %q", got, strings.Join(want, ""))
	}
	line.show(strings.Repeat("long ", 30))
	if got := []rune(strings.TrimPrefix(line.shown, eraseLine)); len(got) != 59 {
		t.Errorf("a long line has %d characters: %s", len(got), string(got))
	}
}
