package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/pupwasm/pupwasm/internal/status"
)

// Sequences of a terminal: its second screen, which leaves what was there before, and back; and an empty screen.
const (
	secondScreen = "\x1b[?1049h"
	firstScreen  = "\x1b[?1049l"
	emptyScreen  = "\x1b[H\x1b[2J"
)

// watch shows the status until ctx ends: in place on a terminal, and otherwise one report after the other, whenever it
// has changed. While a database does not answer it shows the reason instead.
func (o *statusOptions) watch(ctx context.Context, read func(ctx context.Context) (*status.Report, error)) error {
	screen := &screen{to: o.out}
	if hasCursor(o.out) {
		screen.terminal = o.out.(*os.File)
		fmt.Fprint(o.out, secondScreen)
		defer func() { fmt.Fprint(o.out, firstScreen, screen.shown) }()
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		var text strings.Builder
		report, err := read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			statusInFlags(report)
			err = printStatus(&text, report, o.one)
		}
		if err != nil {
			text.Reset()
			fmt.Fprintln(&text, printable(err.Error()))
		}
		if err := screen.show(text.String()); err != nil {
			return fmt.Errorf("writing the status: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// screen is where a text is shown in place of the one before.
type screen struct {
	to       io.Writer
	terminal *os.File // nil where there is none
	shown    string
}

func (s *screen) show(text string) error {
	if s.terminal == nil && text == s.shown {
		return nil
	}
	between := ""
	if s.terminal == nil && s.shown != "" {
		between = "\n"
	}
	s.shown = text
	if s.terminal != nil {
		between = emptyScreen
		if width, height, err := term.GetSize(int(s.terminal.Fd())); err == nil {
			text = cropped(text, width, height)
		}
	}
	_, err := io.WriteString(s.to, between+text)
	return err
}

// cropped is as much of a text as a screen of this size has room for.
func cropped(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) >= height && height > 1 {
		left := len(lines) - height + 2
		lines = append(lines[:height-2], fmt.Sprintf("… %s more", count(int64(left), "line")))
	}
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width && width > 1 {
			lines[i] = string(runes[:width-1]) + "…"
		}
	}
	return strings.Join(lines, "\r\n")
}
