package main

import (
	"io"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

var logLevels = []string{"debug", "info", "warn", "error"}

// newLogger returns the logger of the process. It returns usage errors only.
func newLogger(to io.Writer, level, format string) (zerolog.Logger, error) {
	if !slices.Contains(logLevels, level) {
		return zerolog.Nop(), usagef("--log-level %q: use debug, info, warn or error", level)
	}
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		return zerolog.Nop(), usagef("--log-level %q: %v", level, err)
	}
	switch format {
	case "json":
	case "console":
		to = consoleWriter(to)
	case "auto":
		if isTerminal(to) {
			to = consoleWriter(to)
		}
	default:
		return zerolog.Nop(), usagef("--log-format %q: use auto, console or json", format)
	}
	return zerolog.New(flagWriter{to}).Level(parsed).With().Timestamp().Logger(), nil
}

// letLevelChange makes setLevel decide what the logger writes, and those that are made of it.
func (o *globalOptions) letLevelChange() {
	setLevel(o.logLevel)
	o.log = o.log.Level(zerolog.DebugLevel)
}

// setLevel sets the lowest level that is logged.
func setLevel(level string) {
	if parsed, err := zerolog.ParseLevel(level); err == nil {
		zerolog.SetGlobalLevel(parsed)
	}
}

func consoleWriter(to io.Writer) zerolog.ConsoleWriter {
	return zerolog.ConsoleWriter{Out: to, TimeFormat: time.TimeOnly, NoColor: !hasColors(to)}
}

// hasColors reports whether a stream takes colours: a terminal on which nobody has turned them off by NO_COLOR
// (https://no-color.org).
func hasColors(stream any) bool { return hasCursor(stream) && os.Getenv("NO_COLOR") == "" }

// hasCursor reports whether a stream is a terminal on which the cursor moves, so that text can be replaced.
func hasCursor(stream any) bool { return isTerminal(stream) && os.Getenv("TERM") != "dumb" }

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// terminalWidth returns the width of the terminal in characters, or 0 when the stream is none.
func terminalWidth(stream any) int {
	width, _ := terminalSize(stream)
	return width
}

// terminalSize returns the width and the height of the terminal in characters, or zeros when the stream is none.
func terminalSize(stream any) (width, height int) {
	file, ok := stream.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}
