package host

import (
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/host/meter"
)

// Limit is one line of a table of limits.
type Limit struct {
	What    string `json:"what"`
	Value   string `json:"value"`
	Setting string `json:"setting"` // the flag of the command and the field in Go, or "" for one that is fixed
}

// Table returns the limits as they hold, with the defaults where a field is 0, and how each is set.
func (l Limits) Table() []Limit {
	l = l.withDefaults()
	return []Limit{
		{"file of a module", mebibytes(l.ModuleBytesMax >> 20), "--module-size, Limits.ModuleBytesMax"},
		{"processor time of compiling it", Spoken(l.CompileTime), "--compile-time, Limits.CompileTime"},
		{"memory of compiling it", mebibytes(l.CompileMemoryMiB), "--compile-memory, Limits.CompileMemoryMiB"},
		{"machine code of a module", mebibytes(l.CodeMiB), "--code-size, Limits.CodeMiB"},
		{"file of a module, in a program without a compiler", mebibytes(inProcessBytesMax >> 20), ""},
		{"time to start and describe itself", Spoken(l.StartTimeout), "Limits.StartTimeout"},
		{"description", mebibytes(descriptionBytesMax >> 20), ""},
		{"memory of an instance", mebibytes(l.MemoryMiB), "--memory, Limits.MemoryMiB"},
		{"work for a batch", grouped(l.Fuel) + " units of fuel", "--fuel, Limits.Fuel"},
		{"time for a batch", Spoken(l.BatchTimeout), "--batch-timeout, Limits.BatchTimeout"},
		{"stack of a call", mebibytes(meter.StackBytes >> 20), ""},
		{"reply", mebibytes(l.ReplyBytesMax >> 20), "Limits.ReplyBytesMax"},
		{"mutations of a reply", grouped(int64(l.MutationsMax)), "Limits.MutationsMax"},
		{"values of a reply, or of a query's arguments", grouped(int64(l.ValuesMax)), "Limits.ValuesMax"},
		{"lines of the log for a batch", grouped(int64(l.LogLinesMax)), "Limits.LogLinesMax"},
		{"bytes of such a line", grouped(logLineBytes), ""},
	}
}

// ModuleTable returns the limits of what a module is made of, which are fixed.
func ModuleTable() []Limit {
	var table []Limit
	for _, limit := range meter.Limits() {
		table = append(table, Limit{What: limit.What, Value: grouped(limit.Max)})
	}
	return table
}

func mebibytes(n int) string { return grouped(int64(n)) + " MiB" }

// Spoken writes a duration without the parts that are 0.
func Spoken(d time.Duration) string {
	text := d.String()
	for _, nothing := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, nothing) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// grouped writes a number with commas.
func grouped[N int | int64](n N) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
