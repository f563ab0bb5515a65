package puptest

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync/atomic"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/entry"
)

const strayRow = "a row is written by another goroutine than the one that Handle runs in: where it ends up, or whether it is lost, " +
	"depends on which of them is faster"

// handled numbers the calls of Handle, to tell the goroutines that each of them starts.
var handled atomic.Int64

// inOneGoroutine calls a function that handles a batch, and returns what is wrong with how it uses goroutines, or "".
func inOneGoroutine(handle func()) (problem string) {
	var stray atomic.Bool
	own := goroutine()
	entry.OnRow = func(finished bool) bool {
		refused := finished || goroutine() != own
		if refused {
			stray.Store(true)
		}
		return refused
	}
	defer func() { entry.OnRow = nil }()
	// Goroutines have the labels of those that start them.
	const label = "puptest.handle"
	number := strconv.FormatInt(handled.Add(1), 10)
	pprof.Do(context.Background(), pprof.Labels(label, number), func(context.Context) { handle() })
	left := func() bool {
		var profile bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
			problem = err.Error()
		}
		return bytes.Contains(profile.Bytes(), []byte(`"`+label+`":"`+number+`"`))
	}
	for turns := 0; left() && !stray.Load(); turns++ {
		if turns == turnsToEnd {
			return entry.LeftBehind
		}
		runtime.Gosched()
	}
	if stray.Load() {
		return strayRow
	}
	return problem
}

// turnsToEnd is how many times other goroutines get a turn before they count as left behind: one that has done
// its work may still be about to end.
const turnsToEnd = 100

// goroutine returns the number of the current goroutine, which its stack trace begins with.
func goroutine() int64 {
	var buffer [32]byte
	text := bytes.TrimPrefix(buffer[:runtime.Stack(buffer[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(text, []byte(" "))
	number, _ := strconv.ParseInt(string(digits), 10, 64)
	return number
}
