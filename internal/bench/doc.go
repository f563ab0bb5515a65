// Command bench measures pupwasm beside what one would write without it, over the same events in one run,
// because figures of different runs on one machine differ by more than the contenders do.
//
//	make bench                # short: 50,000 events, three rounds, one for contenders that no bar is about
//	make bench BENCH=full     # 200,000 events, five rounds, all of the real log; writes docs/benchmarks.md
//	make bench BENCH_FLAGS='-run growth/'
//	go run ./internal/bench -run 'W1/(native|pupwasm)' -rounds 1 -cpuprofile cpu.out    # in the root, by its go.work
//
// It prints tables, and writes bin/bench.json and bin/bench.txt, which benchstat compares.
//
// It starts a PostgreSQL server of its own with PostgreSQL's default settings, fsync on, and fills it:
//
//	W1  balance per account      made events of some 200 bytes over 5,000 streams, upsert that adds
//	W2  a row per event          the same events, insert
//	W3  fine_balance             the log of traffic fines (PUPWASM_DATA), or a made one
//
// Every contender starts with empty tables at position 0, and its table is compared with what the events
// amount to: a wrong one ends the run. Contenders take turns, and ratios are medians of the ratios of each
// round.
//
//	main.go                flags; environment.go: server and modules
//	workload.go            what a workload is; workload_accounts.go, workload_fines.go: the three
//	log.go                 events in, generated or real
//	contender.go           who takes part, and what is measured of one run
//	contender_sql.go       the projection as one SQL statement a batch
//	contender_native.go    the bare read of the events, and Go as a person writes it
//	contender_copy.go      the bare write of rows
//	contender_handler.go   a handler per event in database/sql
//	contender_pupwasm.go   a segments.Worker
//	projections.go         1, 5 and 20 projections on one host, catching up and near the head
//	partitions.go          W1 divided by stream, and by a field of the payload
//	growth.go              what an event costs at the end of a long log
//	guests.go              guests without a database: time, fuel, and memory over many events
//	coldstart.go           from the start of a process to its first commit
//	appends.go             appends by way, size and writers, the fence on and off
//	latency.go             from an append to the row that shows it; probe.go: appends, and the times of commits
//	notify_tax.go          what notifications cost those who append
//	databases.go           W1, W2 and appends on PostgreSQL and on MariaDB
//	memory.go              the peak of this process's memory
//	bars.go                the ratios that are asked for
//	report.go              what was found, in JSON and for benchstat; markdown.go: the same for people
//
// What is timed: the work from the first event to the last commit, with connections open, statements prepared
// and modules compiled before. A worker's install and claims are reported separately, as its start.
// Projections run with synchronous_commit off, which is pupwasm's default, and so do all contenders except the
// handlers, which are as people write them.
package main
