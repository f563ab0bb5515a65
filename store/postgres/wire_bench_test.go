package postgres

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// BenchmarkParameters_addColumn encodes a step of 1,000 rows as a commit sends it: an array a column.
func BenchmarkParameters_addColumn(b *testing.B) {
	const rows = 1000
	for _, kind := range []store.Kind{store.KindI64, store.KindText, store.KindNumeric, store.KindTimestamp} {
		b.Run(fmt.Sprint(kind), func(b *testing.B) {
			step := &store.Step{Width: 2, Count: rows}
			for i := range rows {
				value := store.BytesOf(kind, fmt.Append(nil, i))
				switch kind {
				case store.KindI64:
					value = store.I64(int64(i))
				case store.KindTimestamp:
					value = store.Timestamp(int64(i))
				}
				step.Values = append(step.Values, store.Text(fmt.Sprint("key", i)), value)
			}
			var p parameters
			b.ReportAllocs()
			for b.Loop() {
				p.reset()
				p.addColumn(store.KindText, step, 0)
				p.addColumn(kind, step, 1)
				p.values()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}
