// Package pup is for writing projections for pupwasm: a projection is a function from batches of events to changes of its own
// tables, compiled to WebAssembly by Go or TinyGo.
//
//	package main
//
//	import pup "github.com/pupwasm/pupwasm/guest-sdk"
//
//	var (
//		users = pup.NewTable("users", pup.Text("user_id").Key(), pup.I64("events"))
//		count = users.Upsert("count", pup.Add("events"))
//	)
//
//	func init() {
//		pup.Register(pup.Projection{
//			Name:    "event_counter",
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
// needs to know of the past is in the projection's tables, where an upsert adds to it or a [Fold] loads it. The same events
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
// # Who owns a row
//
// Several workers run a projection side by side. Each has its share of the events: those whose partition key is in its share of the
// keys. The key is the stream's id unless [Projection].Partition says otherwise. Events of one key come in order, to one worker; events
// of different keys come in any order. So it matters which events change a row:
//
//   - A row of one key only. Mark the key column that holds the key, pup.Text("fine_id").Key().Partition(), and every write, [Fold],
//     load and statement of the table is possible. The host checks that a row has the key of the event that causes it.
//   - A row of one event only. Mark the key column that holds its position or id, pup.I64("position").Key().Position() or
//     pup.UUID("event_id").Key().EventID(). Every write is possible.
//   - A row of many keys, such as a total of a day. Nothing is marked; the row may only change in ways that come to the same in any
//     order: an upsert that adds, or keeps the least or the greatest value, always the same of them for a column, and an insert-ignore
//     of key columns. The columns are nullable without default or, where they are added to, have the default 0.
//
// The host refuses everything else when it loads the module, and says what to change. When events of several streams belong into one row
// that must be set, loaded or deleted, divide by what they share:
//
//	Partition: pup.ByJSON("customer_id"),
//
// Where no key will do, [OrderGlobal] gives all events in one order to one worker. [Write.Unordered] and [Query.Unordered] are promises
// about SQL that the host cannot judge. puptest.CheckSegments tests all this.
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
