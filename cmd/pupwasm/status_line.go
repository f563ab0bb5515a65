package main

import (
	"io"
	"slices"
	"strings"
	"sync"
)

// statusLines are the last lines of a terminal, which change in place below the lines of the log. Without a terminal
// they are nil and show nothing.
type statusLines struct {
	mu    sync.Mutex
	to    io.Writer
	size  func() (width, height int) // of the terminal
	shown []string
}

const (
	eraseLine  = "\r\x1b[K"
	lineBefore = "\x1b[A"
)

// statusLines writes the log above status lines if errors go to a terminal.
func (o *globalOptions) statusLines() *statusLines {
	if !hasCursor(o.errs) {
		return nil
	}
	lines := &statusLines{to: o.errs, size: func() (int, int) { return terminalSize(o.errs) }}
	o.log = o.log.Output(flagWriter{lines.log(o.logFormat)})
	return lines
}

// log returns what writes the log above the lines.
func (l *statusLines) log(format string) io.Writer {
	if format == "json" {
		return l
	}
	writer := consoleWriter(l.to)
	writer.Out = l
	return writer
}

// Write writes lines of the log above the status lines.
func (l *statusLines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.shown) == 0 {
		return l.to.Write(text)
	}
	if _, err := io.WriteString(l.to, l.erase()); err != nil {
		return 0, err
	}
	n, err := l.to.Write(text)
	if err == nil {
		_, err = io.WriteString(l.to, strings.Join(l.shown, "\n"))
	}
	return n, err
}

// show replaces the lines. Those that are too long are cut: a terminal would wrap them, and they could not be erased.
func (l *statusLines) show(lines ...string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if width, _ := l.size(); width > 1 {
		for i := range lines {
			lines[i] = cut(lines[i], width-1)
		}
	}
	if slices.Equal(lines, l.shown) {
		return
	}
	_, _ = io.WriteString(l.to, l.erase()+strings.Join(lines, "\n")) // what cannot be shown does not matter
	l.shown = lines
}

// erase is what removes the lines. The cursor is behind the last one.
func (l *statusLines) erase() string {
	if len(l.shown) == 0 {
		return ""
	}
	return eraseLine + strings.Repeat(lineBefore+eraseLine, len(l.shown)-1)
}

// room is how many lines there may be.
func (l *statusLines) room() int {
	_, height := l.size()
	return max(min(statusLinesMax, height/2), 1)
}

const statusLinesMax = 20
