package host

import (
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/store"
)

// Limit is one line of a table of limits.
type Limit struct {
	What    string `json:"what"`
	Value   string `json:"value"`
	Setting string `json:"setting"` // the field in Go, such as Limits.Fuel, or "" for one that is fixed
}

// Table returns the limits as they hold, with the defaults where a field is 0, and how each is set.
func (l Limits) Table() []Limit {
	l = l.withDefaults()
	return []Limit{
		{"file of a module", FormatMiB(l.ModuleBytesMax >> 20), "Limits.ModuleBytesMax"},
		{"processor time of compiling it", FormatDuration(l.CompileTime), "Limits.CompileTime"},
		{"memory of compiling it", FormatMiB(l.CompileMemoryMiB), "Limits.CompileMemoryMiB"},
		{"machine code of a module", FormatMiB(l.CodeMiB), "Limits.CodeMiB"},
		{"file of a module, in a program without a compiler", FormatMiB(inProcessBytesMax >> 20), ""},
		{"time to start and describe itself", FormatDuration(l.StartTimeout), "Limits.StartTimeout"},
		{"description", FormatMiB(descriptionBytesMax >> 20), ""},
		{"memory of an instance", FormatMiB(l.MemoryMiB), "Limits.MemoryMiB"},
		{"work for a batch", FormatNumber(l.Fuel) + " units of fuel", "Limits.Fuel"},
		{"time for a batch", FormatDuration(l.BatchTimeout), "Limits.BatchTimeout"},
		{"stack of a call", FormatMiB(meter.StackBytes >> 20), ""},
		{"reply", FormatMiB(l.ReplyBytesMax >> 20), "Limits.ReplyBytesMax"},
		{"mutations of a reply", FormatNumber(int64(l.MutationsMax)), "Limits.MutationsMax"},
		{"values of a reply, or of a query's arguments", FormatNumber(int64(l.ValuesMax)), "Limits.ValuesMax"},
		{"messages of a reply, with what they take besides their data", FormatMiB(l.ReplyBytesMax >> 20), "Limits.ReplyBytesMax"},
		{"data of a message", FormatMiB(store.MessageBytesMax >> 20), ""},
		{"bytes of a message's subject, with its values", FormatNumber(store.SubjectBytesMax), ""},
		{"lines of the log for a batch", FormatNumber(int64(l.LogLinesMax)), "Limits.LogLinesMax"},
		{"bytes of such a line", FormatNumber(logLineBytes), ""},
	}
}

// ModuleTable returns the limits of what a module is made of, which are fixed.
func ModuleTable() []Limit {
	var table []Limit
	for _, limit := range meter.Limits() {
		table = append(table, Limit{What: limit.What, Value: FormatNumber(limit.Max)})
	}
	return table
}

// FormatMiB writes a size that is counted in MiB.
func FormatMiB(n int) string { return FormatNumber(int64(n)) + " MiB" }

// FormatDuration writes a duration without the parts that are 0.
func FormatDuration(d time.Duration) string {
	text := d.String()
	for _, nothing := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, nothing) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// FormatNumber writes a number with commas between its thousands.
func FormatNumber[N int | int64](n N) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
