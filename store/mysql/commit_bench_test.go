package mysql_test

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// BenchmarkCommit measures a transaction on a server that waits for its disk, from mutations on: an empty one, and one
// with rows that are added up, over 5,000 keys, or inserted.
func BenchmarkCommit(b *testing.B) {
	server, err := mariadbserver.StartDurable()
	must(b, err)
	b.Cleanup(server.Stop)
	const keys = 5000
	for _, shape := range []struct {
		name     string
		rows     int
		mutation func(n int) store.Mutation
	}{
		{"empty", 0, nil},
		{"add", 1, func(n int) store.Mutation { return add(fmt.Sprintf("member-%06d", n*7919%keys), 1) }},
		{"add", 1000, func(n int) store.Mutation { return add(fmt.Sprintf("member-%06d", n*7919%keys), 1) }},
		{"insert", 1000, func(n int) store.Mutation { return insert(fmt.Sprintf("member-%09d", n), 1) }},
	} {
		b.Run(fmt.Sprintf("%s/%d", shape.name, shape.rows), func(b *testing.B) {
			at := mariadbtest.On(b, server)
			at.Migrate(b, "pupwasm")
			r := newRig(b, at, at.URL, mysql.Options{})
			mutations := make([]store.Mutation, shape.rows)
			made := 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range mutations {
					mutations[i] = shape.mutation(made)
					made++
				}
				must(b, r.commit(b.Context(), mutations...))
			}
			if shape.rows > 0 {
				b.ReportMetric(float64(made)/b.Elapsed().Seconds(), "rows/s")
			}
		})
	}
}
