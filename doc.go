// Package pupwasm runs projections beside an application: WebAssembly modules, or functions of the application
// itself, that turn events into rows. Rows and checkpoint are committed in one transaction, so that each event
// counts once.
//
//	append ─► log (events in PostgreSQL, MariaDB or SQLite)
//	            │ batches, in order of each partition key
//	            ▼
//	          Host ─► module (sandboxed WebAssembly) or Consumer (Go)
//	            │ rows
//	            ▼
//	          tables and checkpoint, in one transaction
//
// Open a database (package store/postgres, store/mysql or store/sqlite), make its tables, and run a host:
//
//	pupwasm.CompilerMain() // first in main: modules are compiled in processes of their own
//
//	db, err := postgres.New(pool, postgres.Options{}) // or postgres.Open, mysql.Open, sqlite.Open
//	err = db.Migrate(ctx)
//	h, err := pupwasm.NewHost(db, pupwasm.Options{Folder: "modules"})
//	go h.Run(ctx)
//	appended, err := db.AppendTx(ctx, tx, store.AppendOptions{}, …) // in a transaction of the application
//	err = tx.Commit(ctx)
//	err = h.Wait(ctx, "user_counter", appended[0].Position)
//
// A projection is divided into segments, each of which has a share of the partition keys and a checkpoint.
// The log may be in another database than the tables: see Options.Events.
//
// A projection may send messages. They are committed with its rows, and a relay (package relay) sends them.
//
// Any number of hosts may run on one PostgreSQL or MariaDB. They share the segments of each projection, and take over
// those of a host that dies.
//
// # Where to go from here
//
// Package store has events and the log, store/postgres, store/mysql (MariaDB) and store/sqlite the databases. Package
// host has the sandbox and its limits, package segments the settings of a worker. Module
// github.com/pupwasm/pupwasm/guest-sdk is for writing modules, and the command pupwasm does all of this without an
// application.
package pupwasm
