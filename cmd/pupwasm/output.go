package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// printable escapes characters that would control a terminal.
func printable(text string) string {
	safe := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(text, func(r rune) bool { return !safe(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if safe(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// eventPrinter writes events to stdout, as a table or as JSON lines.
type eventPrinter struct {
	out    io.Writer
	json   bool
	width  int // of the terminal, or 0 for lines of any length
	widths [5]int
	headed bool
	buffer []byte
}

// eventHeader is the head of the table of events; the payload comes after the last column.
var eventHeader = [...]string{"POSITION", "CREATED", "STREAM", "VERSION", "TYPE"}

func newEventPrinter(out io.Writer, asJSON bool) *eventPrinter {
	p := &eventPrinter{out: out, json: asJSON, width: terminalWidth(out)}
	for i, title := range eventHeader {
		p.widths[i] = len(title)
	}
	return p
}

// print writes events. A column is as wide as its widest value so far, so that most pages of a long output line up.
func (p *eventPrinter) print(events []store.RecordedEvent) error {
	p.buffer = p.buffer[:0]
	if p.json {
		for i := range events {
			p.buffer = eventline.Append(p.buffer, &events[i])
			p.buffer = append(p.buffer, '\n')
		}
		_, err := p.out.Write(p.buffer)
		return err
	}
	rows := make([][5]string, len(events))
	for i := range events {
		e := &events[i]
		rows[i] = [5]string{
			strconv.FormatInt(e.Position, 10), e.CreatedAt.UTC().Format(time.RFC3339), printable(e.Stream.String()),
			strconv.FormatInt(e.AggregateVersion, 10), printable(e.Type),
		}
		for c, cell := range rows[i] {
			p.widths[c] = max(p.widths[c], utf8.RuneCountInString(cell))
		}
	}
	if !p.headed && len(events) > 0 {
		p.headed = true
		p.row(eventHeader, "PAYLOAD")
	}
	for i := range rows {
		p.row(rows[i], payloadText(events[i].Payload))
	}
	_, err := p.out.Write(p.buffer)
	return err
}

func (p *eventPrinter) row(cells [5]string, payload string) {
	line := ""
	for c, cell := range cells {
		pad := strings.Repeat(" ", p.widths[c]-utf8.RuneCountInString(cell))
		if c == 0 || c == 3 {
			line += pad + cell + "  "
		} else {
			line += cell + pad + "  "
		}
	}
	line = strings.TrimRight(line+payload, " ")
	if p.width > 0 {
		if runes := []rune(line); len(runes) > p.width {
			line = string(runes[:p.width-1]) + "…"
		}
	}
	p.buffer = append(append(p.buffer, line...), '\n')
}

// payloadText shows a payload in one line.
func payloadText(payload []byte) string {
	if !utf8.Valid(payload) {
		return fmt.Sprintf("(%d bytes)", len(payload))
	}
	if compact := new(bytes.Buffer); json.Compact(compact, payload) == nil {
		return printable(compact.String())
	}
	return printable(string(payload))
}

// Usages of --json. docs/cli.md has the form of each command's result.
const (
	printsJSON      = "print JSON"
	printsJSONLines = "print JSON lines, which 'pupwasm append' reads"
)

// addJSON adds the flag by which a command prints its result for programs: to stdout, and nothing else there.
func (o *globalOptions) addJSON(flags *pflag.FlagSet, usage string) {
	flags.BoolVar(&o.json, "json", false, usage)
}

// say prints a line of the result for people.
func (o *globalOptions) say(format string, args ...any) error {
	if o.json {
		return nil
	}
	_, err := fmt.Fprintf(o.out, format+"\n", args...)
	return err
}

// result prints the result for programs.
func (o *globalOptions) result(value any) error {
	if !o.json {
		return nil
	}
	return writeJSON(o.out, value)
}

// writeJSON prints one result for programs, without characters on which a terminal acts.
func writeJSON(out io.Writer, value any) error {
	text := new(bytes.Buffer)
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := out.Write(oneline.JSON(text.Bytes()))
	return err
}

// rate writes how long something took and how fast that was.
func rate(n int64, took time.Duration) string {
	return fmt.Sprintf("in %.1f s (%.0f events/s)", took.Seconds(), float64(n)/max(took.Seconds(), 1e-3))
}
