package host

import (
	"fmt"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"github.com/tetratelabs/wazero/api"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/store"
)

// pupModule is what a guest may ask of the host.
func pupModule() *hostModule {
	return &hostModule{name: "pup", functions: []hostFunction{
		{name: "log", params: []api.ValueType{i32, i32, i32}, call: guestLog},
		{name: "query", params: []api.ValueType{i32, i32, i32, i32}, results: []api.ValueType{i32}, call: guestQuery},
	}}
}

var logLevels = [...]zerolog.Level{zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel}

// guestLogLevel is the lowest level of package abi that the logger keeps.
func guestLogLevel(logger zerolog.Logger) uint32 {
	for level, kept := range logLevels {
		if kept >= logger.GetLevel() && kept >= zerolog.GlobalLevel() {
			return uint32(level)
		}
	}
	return uint32(len(logLevels))
}

// guestLog is pup.log(level, ptr, len).
func guestLog(g *Guest, memory api.Memory, stack []uint64) {
	level, ptr, size := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	text, ok := memory.Read(ptr, size)
	if !ok || int(level) >= len(logLevels) {
		panic(g.abort(fmt.Errorf("%w: log was called with level %d, address %d, length %d", errGuest, level, ptr,
			size)))
	}
	size = min(size, logLineBytes)
	g.charge(int64(size) * unitsByte)
	if logLevels[level] == zerolog.ErrorLevel {
		g.lastError = append(g.lastError[:0], text[:size]...)
	}
	g.log(logLevels[level], text[:size])
}

// guestQuery is pup.query(ptr, len, dst, cap).
func guestQuery(g *Guest, memory api.Memory, stack []uint64) {
	ptr, size, dst, room := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if size > 0 {
		request, ok := memory.Read(ptr, size)
		if !ok {
			panic(g.abort(fmt.Errorf("%w: a query lies outside the memory", errGuest)))
		}
		g.charge(unitsQuery + int64(size)*unitsValueByte)
		if err := g.runQuery(request); err != nil {
			panic(g.abort(err))
		}
	}
	if len(g.result) == 0 {
		panic(g.abort(fmt.Errorf("%w: asked for the result of a query that it did not run", errGuest)))
	}
	g.charge(int64(len(g.result)) * unitsValueByte)
	if uint64(len(g.result)) <= uint64(room) && !memory.Write(dst, g.result) {
		panic(g.abort(fmt.Errorf("%w: room for a query's result lies outside the memory", errGuest)))
	}
	stack[0] = uint64(len(g.result))
}

// runQuery checks a request against the catalogue, runs it, and keeps the encoded result.
func (g *Guest) runQuery(request []byte) error {
	if g.query == nil {
		return fmt.Errorf("%w: a query is possible within pup_apply only", errGuest)
	}
	q, err := abi.DecodeQuery(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errGuest, err)
	}
	projection := &g.module.Description.Projection
	if q.Query >= len(projection.Queries) {
		return fmt.Errorf("%w: query %d is not in the catalogue, which has %d", errGuest, q.Query,
			len(projection.Queries))
	}
	declared := &projection.Queries[q.Query]
	types := g.module.queryArguments[q.Query]
	if q.Arguments != len(types) {
		return fmt.Errorf("%w: query %q takes %d arguments, %d were given", errGuest, declared.Name, len(types),
			q.Arguments)
	}
	arguments := make([]store.Value, len(types))
	values := &quota{what: "a query", limit: g.module.limits.ValuesMax}
	for i := range arguments {
		if arguments[i], err = decodeValue(&q.Values, types[i], values); err != nil {
			return fmt.Errorf("%w: query %q, argument %d: %w", errGuest, declared.Name, i+1, err)
		}
	}
	if rest := len(q.Rest()); rest > 0 {
		return fmt.Errorf("%w: query %q has %d bytes behind its arguments", errGuest, declared.Name, rest)
	}
	if err := checkKeyArrays(declared, arguments); err != nil {
		return err
	}
	if err := g.checkQuery(q.Query, arguments); err != nil {
		return err
	}
	g.withoutTurn(func() { err = g.query(q.Query, arguments, &g.rows) })
	if err != nil {
		return err
	}
	g.result = appendRows(resetBuffer(g.result), &g.rows)
	if len(g.result) > g.module.limits.ReplyBytesMax {
		return fmt.Errorf("%w: the result of query %q has %d bytes, the limit is %d", errGuest, declared.Name,
			len(g.result), g.module.limits.ReplyBytesMax)
	}
	return nil
}

// checkKeyArrays checks that a declarative query got arrays of one length, without NULL.
func checkKeyArrays(declared *store.Query, arguments []store.Value) error {
	if declared.SQL != nil {
		return nil
	}
	for _, argument := range arguments {
		if argument.IsNull() || len(argument.Elements()) != len(arguments[0].Elements()) {
			return fmt.Errorf("%w: query %q needs arrays of one length", errGuest, declared.Name)
		}
		for _, element := range argument.Elements() {
			if element.IsNull() {
				return fmt.Errorf("%w: query %q has a key that is null", errGuest, declared.Name)
			}
		}
	}
	return nil
}

// log keeps a line of the guest, unless there are too many.
func (g *Guest) log(level zerolog.Level, text []byte) {
	g.logLines++
	switch limit := g.module.limits.LogLinesMax; {
	case g.logLines == limit+1:
		g.withoutTurn(func() {
			g.logger.Warn().Int("limit", limit).Msg("module writes too many log lines, the rest of this batch is " +
				"dropped")
		})
	case g.logLines <= limit:
		line := g.logger.WithLevel(level).Str("text", validText(text))
		g.withoutTurn(func() { line.Msg("module") })
	}
}

func validText(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	return fmt.Sprintf("%q", text)
}
