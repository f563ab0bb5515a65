package pupwasm

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"

	"github.com/rs/zerolog"
)

// bridge hands lines of the packages below to the application's logger.
type bridge struct{ to *slog.Logger }

// newLogger returns a logger of the packages below that writes to the application's.
func newLogger(to *slog.Logger) zerolog.Logger {
	if to == nil {
		to = slog.Default()
	}
	return zerolog.New(bridge{to})
}

// Write takes a line without a level.
func (b bridge) Write(line []byte) (int, error) { return b.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes a line, which is one JSON object, and keeps the order of its fields.
func (b bridge) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	ctx, at := context.Background(), slogLevel(level)
	if !b.to.Enabled(ctx, at) {
		return len(line), nil
	}
	message, fields, err := parseLine(line)
	if err != nil {
		return 0, err
	}
	b.to.LogAttrs(ctx, at, message, fields...)
	return len(line), nil
}

func slogLevel(level zerolog.Level) slog.Level {
	switch level {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		return slog.LevelDebug
	case zerolog.WarnLevel:
		return slog.LevelWarn
	case zerolog.ErrorLevel, zerolog.FatalLevel, zerolog.PanicLevel:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

func parseLine(line []byte) (message string, fields []slog.Attr, err error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if _, err := decoder.Token(); err != nil { // the opening brace
		return "", nil, err
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return "", nil, err
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return "", nil, err
		}
		switch key {
		case zerolog.MessageFieldName:
			message, _ = value.(string)
		case zerolog.LevelFieldName, zerolog.TimestampFieldName: // the application's logger has its own
		default:
			fields = append(fields, slog.Any(key.(string), plain(value)))
		}
	}
	return message, fields, nil
}

// plain is a number as a number and anything else as it is.
func plain(value any) any {
	number, is := value.(json.Number)
	if !is {
		return value
	}
	if whole, err := number.Int64(); err == nil {
		return whole
	}
	if float, err := number.Float64(); err == nil {
		return float
	}
	return number.String()
}
