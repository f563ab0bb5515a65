package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"github.com/pupwasm/pupwasm/internal/dev"
)

// devView shows a session: on a screen, as lines, or as JSON lines.
type devView struct {
	*devOptions

	mu      sync.Mutex
	session *dev.Session
	screen  *screen // nil without one
}

func newDevView(opts *devOptions) *devView {
	v := &devView{devOptions: opts}
	if hasCursor(opts.out) && !opts.json {
		v.screen = &screen{to: opts.out, terminal: opts.out.(*os.File)}
	}
	return v
}

// begin takes the screen. The function that it returns gives it back, with what it showed last.
func (v *devView) begin() (end func()) {
	if v.screen == nil {
		return func() {}
	}
	fmt.Fprint(v.out, secondScreen)
	return func() { fmt.Fprint(v.out, firstScreen, strings.ReplaceAll(v.screen.shown, "\n", "\r\n")) }
}

// guestLog takes what the guest logs, as a line without time and level.
func (v *devView) guestLog() io.Writer {
	return zerolog.ConsoleWriter{
		Out: lineWriter(func(line string) {
			if v.session == nil { // of the host, before it begins
				v.say(line)
				return
			}
			v.session.GuestLog(line)
		}), NoColor: true,
		PartsOrder:    []string{zerolog.LevelFieldName, zerolog.MessageFieldName},
		FieldsExclude: []string{"module", "projection", "segment", "time"},
	}
}

// lineWriter takes whole lines.
type lineWriter func(line string)

// Write takes one line.
func (w lineWriter) Write(text []byte) (int, error) {
	w(printable(strings.TrimSuffix(string(text), "\n")))
	return len(text), nil
}

// say writes a line where there is no screen.
func (v *devView) say(line string) {
	if v.screen == nil && !v.json {
		v.mu.Lock()
		defer v.mu.Unlock()
		fmt.Fprintln(v.out, printable(line))
	}
}

// show shows the state on the screen, or as JSON.
func (v *devView) show(state dev.State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.json:
		_ = json.NewEncoder(v.out).Encode(state) // a reader that is gone does not matter
	case v.screen != nil:
		_ = v.screen.show(devText(v.folder, &state))
	}
}

// devText is the state in lines.
func devText(folder string, s *dev.State) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	title := s.Projection
	if title == "" {
		title = folder
	}
	line("%s    f: fixtures  r: rebuild  q: quit", printable(title))
	switch {
	case s.Building:
		line("building…")
	default:
		for _, built := range s.Built {
			line("%s", printable(built))
		}
	}
	state := "caught up"
	if s.Position < s.Head {
		state = fmt.Sprintf("%.0f events/s", s.Rate)
	}
	line("position %d of %d, %s applied, %s", s.Position, s.Head, count(s.Events, "event"), state)
	section := func(title string, lines []string) {
		if len(lines) > 0 {
			line("\n%s", title)
		}
		for _, text := range lines {
			line("  %s", printable(text))
		}
	}
	section("does not run", s.Problem)
	for _, t := range s.Tables {
		rows := count(int64(t.Rows), "row")
		if t.More {
			rows = "more than " + rows
		}
		section(t.Name+", "+rows+", changed last:", t.Changed)
		if len(t.Changed) == 0 {
			line("\n%s, %s", t.Name, rows)
		}
	}
	if s.Messages.Sent > 0 {
		section(count(s.Messages.Sent, "message")+" sent, the last ones:", s.Messages.Last)
	}
	if s.Fault != "" {
		section("last fault", []string{s.Fault, s.Event})
	}
	section("log of the guest", s.Log)
	section("", s.Said)
	return b.String()
}

// readCommands reads the commands of the author: keys of a terminal, or lines. Ctrl-C is a key there, which ends the
// session whatever it does.
func readCommands(in io.Reader, end func()) (commands <-chan dev.Command, restore func()) {
	all := make(chan dev.Command)
	restore = func() {}
	if file, is := in.(*os.File); is && term.IsTerminal(int(file.Fd())) {
		if before, err := term.MakeRaw(int(file.Fd())); err == nil {
			restore = func() { _ = term.Restore(int(file.Fd()), before) }
			go readKeys(file, all, end)
			return all, restore
		}
	}
	go func() {
		defer close(all)
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			if text := strings.TrimSpace(lines.Text()); text != "" {
				all <- dev.Command(text[0])
			}
		}
	}()
	return all, restore
}

// interrupt is what Ctrl-C is on a terminal that hands on each key.
const interrupt = 3

func readKeys(in io.Reader, to chan<- dev.Command, end func()) {
	key := make([]byte, 1)
	for {
		if n, err := in.Read(key); err != nil || n == 0 {
			return
		}
		if key[0] == interrupt {
			end()
			return
		}
		to <- dev.Command(key[0])
	}
}
