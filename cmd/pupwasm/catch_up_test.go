package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

func idOf(name string) store.ProjectionID { return store.ProjectionID{Name: name, Version: 1} }

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
			{Projection: idOf("fines"), Position: 100_000 - behind, Events: 100_000 - behind, Behind: behind, Known: true},
			{Projection: idOf("there"), Position: 100_000, Known: true},
			{Projection: idOf("refused")},
		})
		return lines.String()
	}
	if got := look(time.Second, 100_000); !strings.Contains(got,
		`"projection":"there","version":1,"position":100000,"events":0,"after":"1s","message":"caught up"`) ||
		strings.Count(got, "\n") != 1 {
		t.Errorf("first it says %s", got)
	}
	if got := look(9*time.Second, 60_000); got != "" {
		t.Errorf("before 10 seconds it says %s", got)
	}
	want := `{"level":"info","projection":"fines","version":1,"position":50000,"behind":50000,"events_per_second":5000,"left":"11s","message":"catching up"}` + "\n"
	if got := look(time.Second, 50_000); got != want {
		t.Errorf("after 10 seconds it says %s, want %s", got, want)
	}
	if got := look(20*time.Second, 50_000); got != "" {
		t.Errorf("without progress it says %s", got)
	}
	if got := look(time.Second, 0); !strings.Contains(got,
		`"projection":"fines","version":1,"position":100000,"events":100000,"after":"32s","message":"caught up"`) {
		t.Errorf("at the end it says %s", got)
	}
	if got := look(time.Minute, 0); got != "" {
		t.Errorf("later it says %s", got)
	}
}

// terminal is what a terminal of some size shows: it knows the line feed, the carriage return and the two controls that
// status lines use.
type terminal struct {
	width int
	lines [][]rune
	row   int
	col   int
}

func (s *terminal) Write(text []byte) (int, error) {
	for rest := []rune(string(text)); len(rest) > 0; {
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, nil)
		}
		switch {
		case strings.HasPrefix(string(rest), "\x1b[K"):
			s.lines[s.row] = s.lines[s.row][:min(s.col, len(s.lines[s.row]))]
			rest = rest[3:]
			continue
		case strings.HasPrefix(string(rest), "\x1b[A"):
			s.row--
			rest = rest[3:]
			continue
		case rest[0] == '\n':
			s.row, s.col = s.row+1, 0
		case rest[0] == '\r':
			s.col = 0
		case s.col == s.width:
			return 0, errors.New("a line is wrapped")
		default:
			s.lines[s.row] = append(s.lines[s.row][:s.col:s.col], rest[0])
			s.col++
		}
		rest = rest[1:]
	}
	return len(text), nil
}

// String is the screen, without empty lines at its end.
func (s *terminal) String() string {
	lines := make([]string, len(s.lines))
	for i := range lines {
		lines[i] = string(s.lines[i])
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// TestCatchUp_onATerminal has three projections catch up, each in its line, while the log writes lines above.
func TestCatchUp_onATerminal(t *testing.T) {
	t.Parallel()
	screen := &terminal{width: 70}
	lines := &statusLines{to: screen, size: func() (int, int) { return 70, 24 }}
	c := newCatchUp(zerolog.New(lines).Level(zerolog.Disabled), lines)
	at := c.began
	poll := func(after time.Duration, want string, all ...segments.Progress) {
		t.Helper()
		at = at.Add(after)
		for i := range all {
			all[i].Known = true
		}
		c.poll(at, all)
		if got := screen.String(); got != want {
			t.Errorf("after %s the terminal shows\n%s\nwant\n%s", at.Sub(c.began), got, want)
		}
	}
	poll(0, strings.Join([]string{
		"fines        ░░░░░░░░░░░░░░░░░░░░   0%",
		"orders_long  ░░░░░░░░░░░░░░░░░░░░   0%",
		"users        ░░░░░░░░░░░░░░░░░░░░   0%  paused",
	}, "\n"),
		segments.Progress{Projection: idOf("fines"), Behind: 1000}, segments.Progress{Projection: idOf("orders_long"), Behind: 400},
		segments.Progress{Projection: idOf("users"), Behind: 10, Paused: true}, segments.Progress{Projection: idOf("there")})
	if _, err := lines.Write([]byte("a line of the log\n")); err != nil {
		t.Fatal(err)
	}
	poll(3*time.Second, strings.Join([]string{
		"a line of the log",
		"fines        ███████████████░░░░░  75%  250 events/s  2s left",
		"orders_long  ██░░░░░░░░░░░░░░░░░░  10%  13 events/s  28s left",
		"users        ░░░░░░░░░░░░░░░░░░░░   0%  paused",
	}, "\n"),
		segments.Progress{Projection: idOf("fines"), Behind: 250, Events: 750},
		segments.Progress{Projection: idOf("orders_long"), Behind: 360, Events: 40},
		segments.Progress{Projection: idOf("users"), Behind: 10, Paused: true})
	poll(time.Second, "a line of the log\norders_long  ███████████████████░  99%  100 events/s  1s left",
		segments.Progress{Projection: idOf("fines"), Events: 1000}, segments.Progress{Projection: idOf("orders_long"), Behind: 1, Events: 399},
		segments.Progress{Projection: idOf("users")})
	poll(time.Second, "a line of the log", segments.Progress{Projection: idOf("orders_long"), Events: 400})
}

// TestCatchUp_tellsVersionsApart has two versions of a projection, also when one of them has caught up.
func TestCatchUp_tellsVersionsApart(t *testing.T) {
	t.Parallel()
	screen := &terminal{width: 70}
	c := newCatchUp(zerolog.Nop(), &statusLines{to: screen, size: func() (int, int) { return 70, 24 }})
	poll := func(behind int64, want string) {
		t.Helper()
		c.poll(c.began, []segments.Progress{
			{Projection: store.ProjectionID{Name: "fines", Version: 1}, Behind: behind, Known: true},
			{Projection: store.ProjectionID{Name: "fines", Version: 2}, Behind: 10, Known: true},
			{Projection: idOf("users"), Behind: 10, Known: true},
		})
		if got := screen.String(); got != want {
			t.Errorf("the terminal shows\n%s\nwant\n%s", got, want)
		}
	}
	const bar = "░░░░░░░░░░░░░░░░░░░░   0%"
	poll(10, "fines version 1  "+bar+"\nfines version 2  "+bar+"\nusers            "+bar)
	poll(0, "fines version 2  "+bar+"\nusers            "+bar)
}

// TestCatchUp_theRateOfATerminal is that of the last seconds, and not of the whole time.
func TestCatchUp_theRateOfATerminal(t *testing.T) {
	t.Parallel()
	screen := &terminal{width: 70}
	lines := &statusLines{to: screen, size: func() (int, int) { return 70, 24 }}
	c := newCatchUp(zerolog.Nop(), lines)
	for second := range int64(61) {
		done := min(1000*second, 30_000) + max(second-30, 0)
		c.poll(c.began.Add(time.Duration(second)*time.Second), []segments.Progress{
			{Projection: idOf("fines"), Behind: 40_000 - done, Events: done, Known: true},
		})
	}
	if got, want := screen.String(), "fines  ███████████████░░░░░  75%  1 events/s  2h46m11s left"; got != want {
		t.Errorf("the terminal shows %q, want %q", got, want)
	}
}

// TestCatchUp_onASmallTerminal has more projections than there is room for, and lines that are too long.
func TestCatchUp_onASmallTerminal(t *testing.T) {
	t.Parallel()
	var all []segments.Progress
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, segments.Progress{Projection: idOf(name), Behind: 10, Known: true})
	}
	for _, c := range []struct {
		height int
		want   string
	}{
		{8, "a  ░░░░░░░░░░░░░░░░…\nb  ░░░░░░░░░░░░░░░░…\nc  ░░░░░░░░░░░░░░░░…\n… and 2 projections…"},
		{2, "a  ░░░░░░░░░░░░░░░░…"},
		{0, "a  ░░░░░░░░░░░░░░░░…"},
	} {
		screen := &terminal{width: 21}
		lines := &statusLines{to: screen, size: func() (int, int) { return 21, c.height }}
		catchUp := newCatchUp(zerolog.Nop(), lines)
		catchUp.poll(catchUp.began, all)
		if got := screen.String(); got != c.want {
			t.Errorf("a terminal of %d lines shows\n%s\nwant\n%s", c.height, got, c.want)
		}
	}
}
