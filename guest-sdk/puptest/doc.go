// Package puptest is a host in memory: it tests a projection natively, without WebAssembly or a database.
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
// Apply the events that came before with one Apply, and the events under test with another. WantRows then checks
// the tables, WantMessages what was sent, and Mutations returns what the last batch changed. [CheckSplits] tests that rows
// and messages do not depend on where batches begin, [CheckSegments] that they do not depend on the number of segments.
// Use both in the tests of every projection.
//
// [New] refuses a projection that a host would refuse, with the same words. A batch that a host would refuse
// fails the test.
//
// Declarative writes and loads work on tables in memory as they do on a database. SQL does not run: statements
// only appear among the mutations, and a function of the test answers queries. Rows have no generated columns,
// and checks are ignored.
package puptest
