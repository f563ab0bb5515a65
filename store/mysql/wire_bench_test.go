package mysql

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// BenchmarkBatch_rows writes a step of 1,000 rows as the text of a commit.
func BenchmarkBatch_rows(b *testing.B) {
	const rows = 1000
	for _, kind := range []store.Kind{store.KindI64, store.KindText, store.KindNumeric, store.KindTimestamp, store.KindBytes} {
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
			entry := &statement{
				head: "INSERT INTO t (k, v) VALUES ", params: []store.Type{{Kind: store.KindText}, {Kind: kind}}, keys: 1,
			}
			batch := batch{tx: &tx{catalogue: &catalogue{store: &Store{}}}}
			b.ReportAllocs()
			for b.Loop() {
				batch.text, batch.items = batch.text[:0], batch.items[:0]
				if next, err := batch.rows(entry, step, 0, rows); err != nil || next != rows {
					b.Fatal(next, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}
