package main

import (
	"io"
	"sync"
)

// statusLine is the last line of a terminal, which changes in place below the lines of the log. Without a
// terminal it is nil and shows nothing.
type statusLine struct {
	mu    sync.Mutex
	to    io.Writer
	width int
	shown string
}

const eraseLine = "\r\x1b[K"

// statusLine writes the log above a status line if errors go to a terminal.
func (o *globalOptions) statusLine() *statusLine {
	if !isTerminal(o.errs) {
		return nil
	}
	line := &statusLine{to: o.errs, width: terminalWidth(o.errs)}
	o.log = o.log.Output(flagWriter{line.log(o.logFormat)})
	return line
}

// log returns what writes the log above the line.
func (l *statusLine) log(format string) io.Writer {
	if format == "json" {
		return l
	}
	writer := consoleWriter(l.to)
	writer.Out = l
	return writer
}

// Write writes lines of the log above the status line.
func (l *statusLine) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == "" {
		return l.to.Write(text)
	}
	if _, err := io.WriteString(l.to, eraseLine); err != nil {
		return 0, err
	}
	n, err := l.to.Write(text)
	if err == nil {
		_, err = io.WriteString(l.to, l.shown)
	}
	return n, err
}

// show replaces the line; an empty one is none.
func (l *statusLine) show(text string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if runes := []rune(text); l.width > 1 && len(runes) >= l.width {
		text = string(runes[:l.width-2]) + "…"
	}
	if text == l.shown {
		return
	}
	l.shown = text
	_, _ = io.WriteString(l.to, eraseLine+text) // a line that cannot be shown does not matter
}
