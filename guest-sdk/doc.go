// Package pup is the SDK for projections of pupwasm. A projection is a function from batches of events to
// changes of its own tables, compiled to WebAssembly by Go or TinyGo.
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
// A projection can touch only what it declares. The host checks the declaration when it loads the module and
// refuses everything else. A wrong declaration panics, in a native test as well as in a guest. Package puptest
// runs a projection natively.
//
// # Building
//
// The command pupwasm build builds modules, and finds what cannot work in one. By hand:
//
//	tinygo build -target=guest-sdk/targets/pupwasm.json -opt=2 -no-debug -o counter.wasm .
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w" -o counter.wasm .
//
// # State
//
// A projection keeps nothing from one batch to the next: the host may run any batch in a fresh instance, on
// another machine, or a second time. Use package-level variables for declarations, constants and buffers whose
// content does not matter. Keep state in the projection's tables: an upsert adds to it, a [Fold] loads it. The
// same events must give the same rows and messages wherever batches begin, which puptest.CheckSplits tests. There is no
// clock, no randomness and no map order to rely on: the time of an event is its CreatedAt. time.Now is
// 1970-01-01: the host warns when a module built by Go asks for it, or for random bytes. It cannot see that of
// a module built by TinyGo, whose runtime answers by itself.
//
// # Goroutines
//
// A projection works in the goroutine that Handle runs in. A goroutine that still runs when Handle returns
// fails the batch, and so does a row that it writes. Package puptest fails a test for a row of any other
// goroutine. Modules built by TinyGo have no scheduler: the compiler refuses the go statement.
//
// # Who owns a row
//
// Several workers run a projection at once. Each has the events of its share of the partition keys. The key is
// the stream's id unless [Projection].Partition says otherwise. Events of one key come in order, to one worker;
// events of different keys come in any order. So it matters which events change a row:
//
//   - A row of one key only. Mark the key column that holds the key, pup.Text("fine_id").Key().Partition(), and
//     every write, [Fold], load and statement of the table is possible. The host checks that a row has the key
//     of the event that causes it.
//   - A row of one event only. Mark the key column that holds its position or id,
//     pup.I64("position").Key().Position() or pup.UUID("event_id").Key().EventID(). Every write is possible.
//   - A row of many keys, such as the total of a day. It needs no mark, and may only change in ways that give
//     the same result in any order: an upsert that adds, or keeps the least or the greatest value, one of these
//     for each column, and an insert-ignore of key columns. The columns are nullable without default; those
//     that are added to may have the default 0.
//
// The host refuses everything else when it loads the module, and says what to change. When events of several
// streams belong into one row that must be set, loaded or deleted, divide by what they share:
//
//	Partition: pup.ByJSON("customer_id"),
//
// If no key fits, [OrderGlobal] gives all events in one order to one worker. [Write.Unordered] and
// [Query.Unordered] are promises about SQL that the host cannot check. puptest.CheckSegments tests them.
//
// # Messages
//
// A projection can tell other programs what has happened. A [Message] that it begins goes into an outbox in the transaction
// that applies the event, and a host sends it from there, at least once, in order of the events of one partition key:
//
//	var paid = pup.NewMessage("order_paid", "shop.orders.{customer}.paid")
//
//	paid.Send(out, e).Text(customer).JSON(data)
//
// The host knows from the declaration what a module may send. Send messages for events and not for batches, which begin
// anywhere.
//
// # Lifetimes
//
// Events, and the strings and slices read from them, from their JSON or from rows of a query, are views into
// buffers of the batch. They are valid until Handle returns. Rows copy their values.
//
// # Cost
//
// Reading events, reading JSON and writing rows do not allocate. A guest that does not allocate per event needs
// no collection: with TinyGo, -gc=leaking is then the fastest choice. Slow are package fmt, encoding/json and
// maps that grow and, in TinyGo only, a conversion such as string(bytes) == "x" and a loop variable whose
// address is taken, also by a method with a pointer receiver. tinygo build -print-allocs=. shows what
// allocates.
//
// # Errors
//
// These fail the batch: an error that Handle returns, a wrong row, a JSON error that was not checked with Err, and
// a panic. Nothing of the batch is applied, and the segment stops there until the module is replaced or the host
// is restarted. The host says which event it was. See [ErrorAt] and [At].
//
// The host shows the text of a panic of a module built by Go. For TinyGo it shows only the function. The same
// event in a test with puptest, or in a module built by Go, shows the text.
package pup
