// Package puptest tests a projection natively, without WebAssembly, a host or a database: it is a host in memory.
//
//	func TestCounter(t *testing.T) {
//		p := puptest.New(t)
//		p.Apply(
//			puptest.Event{AggregateID: "u1", Type: "UserRegistered"},
//			puptest.Event{AggregateID: "u1", Type: "UserLoggedIn"},
//		)
//		p.WantRows("users", "user_id=u1 events=2")
//	}
//
// Given events are applied in one Apply, the events in question in a second one; then WantRows says what the tables hold, and
// Mutations what the last batch changed. [CheckSplits] tests what matters most of a projection: that its rows do not depend on
// where batches begin. [CheckSegments] tests that they do not depend on how a host divides the events among workers either.
//
// A projection that a host would refuse to load is refused by [New] in the host's words, and a batch that it would refuse fails the test.
//
// Declarative writes and loads work on tables in memory as they do on a database. SQL is not run: statements only show among
// the mutations, and queries are answered by a function of the test. Generated columns are left out of rows, and checks are passed over.
package puptest
