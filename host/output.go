package host

import (
	"bytes"

	"github.com/rs/zerolog"
)

// lineWriter collects what a guest writes to one of its outputs until a line is full.
type lineWriter struct {
	level zerolog.Level
	line  []byte

	// For the text of a fault, since the call began: the first line that is the message of a panic, and the
	// last line of all.
	panicked []byte
	last     []byte
	// stack tells that it was about to make its stack larger, as the trace of Go's runtime says behind the message.
	stack bool
}

// begin forgets what was written before a call. A line that is not full yet goes on.
func (w *lineWriter) begin() {
	w.panicked, w.last, w.stack = w.panicked[:0], w.last[:0], false
}

func (w *lineWriter) write(g *Guest, text []byte) {
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		part := text
		if end >= 0 {
			part = text[:end]
		}
		if room := logLineBytes - len(w.line); room > 0 {
			w.line = append(w.line, part[:min(len(part), room)]...)
		}
		if end < 0 {
			return
		}
		if len(w.line) > 0 {
			w.note(w.line)
			g.log(w.level, w.line)
		}
		w.line = w.line[:0]
		text = text[end+1:]
	}
}

func (w *lineWriter) note(line []byte) {
	if len(w.panicked) == 0 && isPanic(string(line)) {
		w.panicked = append(w.panicked, line...)
	}
	w.stack = w.stack || len(w.panicked) > 0 && bytes.HasPrefix(line, []byte("runtime.newstack("))
	if len(bytes.TrimSpace(line)) > 0 {
		w.last = append(w.last[:0], line...)
	}
}

// panicLine is the message of a panic, also of one that broke off within the line.
func (w *lineWriter) panicLine() []byte {
	if len(w.panicked) == 0 && isPanic(string(w.line)) {
		return w.line
	}
	return w.panicked
}

// lastLine is the last line that is not empty.
func (w *lineWriter) lastLine() []byte {
	if len(bytes.TrimSpace(w.line)) > 0 {
		return w.line
	}
	return w.last
}
