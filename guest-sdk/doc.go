// Package pup is for writing projections for pupwasm: a projection is a function from batches of events to changes of its own
// tables, compiled to WebAssembly by Go or TinyGo.
//
//	package main
//
//	import pup "github.com/pupwasm/pupwasm/guest-sdk"
//
//	var (
//		users = pup.NewTable("users", pup.Text("user_id").Key(), pup.I64("events").NotNull().Default(0))
//		count = users.Upsert("count", pup.Add("events"))
//	)
//
//	func init() {
//		pup.Register(pup.Projection{
//			Name:    "user_counter",
//			Version: 1,
//			Tables:  []*pup.Table{users},
//			Handle: func(b *pup.Batch, out *pup.Mutations) error {
//				for e := range b.Events() {
//					count.Row(out, e).Text(e.AggregateID()).I64(1)
//				}
//				return nil
//			},
//		})
//	}
//
//	func main() {}
//
// What is declared is all that the projection can touch: the host checks it when it loads the module and refuses everything
// else. A declaration that cannot be right panics, in a native test as well as in a guest. Package puptest runs a projection
// natively.
//
// # Building
//
//	tinygo build -target=guest-sdk/targets/pupwasm.json -opt=2 -no-debug -o counter.wasm .
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w" -o counter.wasm .
//
// # State
//
// A projection keeps nothing from one batch to the next: the host may run any batch in a fresh instance, on another machine, or
// a second time. Package-level variables are for declarations, constants and buffers whose content does not matter. What a rule
// needs to know of the past stands in the projection's tables, where an upsert adds to it or a [Fold] loads it. The same events
// must give the same rows wherever batches begin, which puptest.CheckSplits tests. There is no clock, no randomness and no map
// order to rely on: the time of an event is its CreatedAt. time.Now is 1970-01-01: the host warns of a module of Go's that asks for it, or
// for random bytes; one of TinyGo's gets it from its own runtime, and the host does not know.
//
// # Goroutines
//
// A projection does its work in the goroutine that Handle runs in. What a goroutine does after Handle has returned is lost, so that one
// that is still at work then fails the batch, and so does a row that it writes. Package puptest fails a test for a row of any other
// goroutine. TinyGo's modules have no scheduler: the compiler refuses the go statement.
//
// # Lifetimes
//
// Events, and all strings and slices that are read from them, from their JSON or from the rows of a query, are views into
// buffers of the batch: they are valid until Handle returns. Rows copy what they are given.
//
// # Cost
//
// Reading events, reading JSON and writing rows do not allocate. A guest that does not allocate per event either needs no
// collection: with TinyGo, -gc=leaking is the fastest choice for it. What makes a guest slow is package fmt, encoding/json and
// maps that grow and, in TinyGo only, a conversion such as string(bytes) == "x" and a loop variable whose address is taken,
// also by a method with a pointer receiver. tinygo build -print-allocs=. shows what allocates.
//
// # Errors
//
// An error that Handle returns, a wrong row, JSON that could not be read and was not asked about by Err, or a panic fails the batch:
// nothing of it is applied, and the segment of the projection stops there until the module is replaced or the host restarted. The host says
// which event it was. See [ErrorAt] and [At].
//
// The text of a panic comes from Go's runtime. TinyGo's has none for this target: the host says in which function it was, and
// the same event in a test by puptest, or in a module built by Go, shows the rest.
package pup
