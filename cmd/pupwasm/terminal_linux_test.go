package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pupwasm/pupwasm/internal/status"
)

// openTerminal returns a terminal, and what shows it.
func openTerminal(t *testing.T) (terminal, shown *os.File) {
	t.Helper()
	shown, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { shown.Close() })
	number, err := unix.IoctlGetInt(int(shown.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(shown.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, shown
}

// readUntil returns what a terminal shows until a text comes.
func readUntil(t *testing.T, shown *os.File, text string) string {
	t.Helper()
	var all []byte
	for part := make([]byte, 4096); !bytes.Contains(all, []byte(text)); {
		n, err := shown.Read(part)
		if all = append(all, part[:n]...); err != nil {
			t.Fatalf("no %q in %q: %v", text, all, err)
		}
	}
	return string(all)
}

// TestTerminal_variablesSayWhatItCan sets NO_COLOR and TERM for all that is shown on a terminal.
func TestTerminal_variablesSayWhatItCan(t *testing.T) {
	for _, test := range []struct {
		noColor, term   string
		colours, cursor bool
	}{
		{"", "xterm", true, true},
		{"1", "xterm", false, true},
		{"0", "xterm", false, true}, // any value but the empty one
		{"", "dumb", false, false},
		{"", "", true, true},
	} {
		t.Run(fmt.Sprintf("NO_COLOR=%s TERM=%s", test.noColor, test.term), func(t *testing.T) {
			t.Setenv("NO_COLOR", test.noColor)
			t.Setenv("TERM", test.term)
			terminal, shown := openTerminal(t)
			log, err := newLogger(terminal, "info", "auto")
			if err != nil {
				t.Fatal(err)
			}
			log.Warn().Msg("a warning")
			if text := readUntil(t, shown, "a warning"); strings.Contains(text, "\x1b[") != test.colours {
				t.Errorf("the log is %q", text)
			}
			globals := &globalOptions{out: terminal, errs: terminal}
			bar, lines := newCountBar(globals, "counting", 3), globals.statusLines()
			if (bar.bar != nil) != test.cursor || (lines != nil) != test.cursor {
				t.Errorf("a bar %v, status lines %v", bar.bar, lines)
			}
			if bar.set(1); test.cursor {
				if text := readUntil(t, shown, "counting"); strings.Contains(text, "\x1b[3") {
					t.Errorf("the bar is %q", text)
				}
			}
			watchOnce(t, globals, shown, test.cursor)
		})
	}
}

// watchOnce shows a status that is watched, until it was drawn.
func watchOnce(t *testing.T, globals *globalOptions, shown *os.File, cursor bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watching := &statusOptions{globalOptions: globals, interval: time.Hour}
	ended := make(chan error, 1)
	go func() {
		ended <- watching.watch(ctx, func(context.Context) (*status.Report, error) { return &status.Report{Head: 4711}, nil })
	}()
	if text := readUntil(t, shown, "4711"); strings.Contains(text, "\x1b") != cursor {
		t.Errorf("the status is %q", text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
