// Package abi is the host's codec for version 1 of the interface between the pupwasm host and a guest module.
// docs/abi.md is its specification, with what an SDK in another language has to know; this page is a summary. The
// golden vectors in testdata let an SDK test itself.
//
//	           host                                   guest
//	batch ──► encode ──► pup_reserve(size) ─────────► buffer
//	                     pup_apply(ptr, len) ───────► reads events in place, builds a reply
//	mutations ◄── decode ◄── memory[ptr:ptr+len] ◄─── ptr<<32 | len
//
// All numbers are little-endian. "u16", "u32" are unsigned, "i64" is signed, "f64" is IEEE 754. Text is UTF-8
// without the character NUL. Reserved fields are written as 0 and ignored when read.
//
// # Exports of a guest
//
//	memory                            one linear memory, defined (not imported) by the module, not shared; it may be
//	                                  larger than declared from the start, for a large batch, and is zero there
//	_initialize() or none             called once after instantiation, before anything else
//	pup_abi_1() i32                   its presence says "version 1"; it returns 1
//	pup_describe() i64                ptr<<32 | len of a JSON text, see Description
//	pup_reserve(size i32) i32         address of a buffer of at least size bytes, a multiple of 8; it stays valid
//	                                  until the next call of pup_reserve; 0 means that there is no memory
//	pup_apply(ptr i32, len i32) i64   handles the batch at ptr and returns ptr<<32 | len of a reply, which stays
//	                                  valid until the next call into the guest
//	pup_collections() i32 or none     how many times the guest's own runtime, such as a garbage collector, has read
//	                                  the wall clock since the instance started: the host warns of a module that
//	                                  reads it more often
//
// The host passes to pup_apply exactly the address that the last pup_reserve returned.
//
// Addresses and sizes are unsigned 32-bit numbers. Further exports are ignored. The host makes one call at a
// time. It may throw an instance away after any call and continue with a fresh one: a guest must not keep
// anything between two calls of pup_apply that changes what it returns.
//
// # Imports of a guest
//
// From "pup":
//
//	log(level i32, ptr i32, len i32)                          a line of text: level 0 debug, 1 info, 2 warn, 3 error
//	query(ptr i32, len i32, dst i32, cap i32) i32             runs a query, see Queries
//
// From "wasi_snapshot_preview1", only what the runtimes of Go and TinyGo link: args_get, args_sizes_get,
// clock_time_get, environ_get, environ_sizes_get, fd_close, fd_fdstat_get, fd_fdstat_set_flags,
// fd_prestat_dir_name, fd_prestat_get, fd_read, fd_seek, fd_write, poll_oneoff, proc_exit, random_get,
// sched_yield. There are no arguments, no environment and no files. Writing to descriptors 1 and 2 makes log
// lines. The wall clock always shows 1970-01-01, the monotonic clock moves only by waiting, and random bytes
// are the same for every instance; a host may warn of a module that asks for them in pup_apply. Any other
// import refuses the module.
//
// # Description
//
// pup_describe returns one JSON object; unknown members are refused, since they are most likely typing errors:
//
//	name           required; also names the schema in which the projection is read, behind the store's schema when
//	               that is not the default
//	version        required, 1 to 99999999
//	description    free text
//	subscription   {"bounded_contexts":[…], "aggregate_types":[…], "event_types":[…]}; an empty or missing list
//	               means all
//	ordering       "stream" (default) or "global"
//	partition      {"by":"stream"} (default), {"by":"json", "path":[name…]}, {"by":"metadata", "path":[name…]} or
//	               {"by":"correlation"}, see Division into segments
//	columns        the names of the batch columns that the guest wants (see Batch); global_position and
//	               aggregate_version come always
//	tables         [{"name", "columns":[{"name", "type", "not_null", "default", "generated", "backfill"}],
//	               "key":[…], "indexes":[[…]], "checks":[{"name", "sql"}]}]; one key column of a table may have
//	               "partition":true, "position":true or "event_id":true
//	views          [{"name", "sql"}]
//	writes         the catalogue of changes: [{"name", "action", "table", "columns":[{"name", "action"}]}] or
//	               [{"name", "sql", "params":[type…], "partition_param", "unordered"}]
//	queries        the catalogue of reads: [{"name", "table", "columns":[name…], "unordered"}] or
//	               [{"name", "sql", "params":[type…], "results":[type…], "partition_param", "unordered"}]
//	messages       the catalogue of what the guest sends: [{"name", "subject", "type", "content_type", "key"}], see
//	               Messages
//	on_error       "park" (default), "stop" (default with ordering "global", which cannot be "park") or "skip": what
//	               the host does with an event that the guest fails at; the operator may override it
//	limits         {"memory_mib", "batch_events", "batch_ms"}: what the guest asks for; the host may grant less
//
// A name starts with a lower-case letter and goes on with letters, digits and single underscores, 30 at most.
// A type is bool, i64, f64, numeric, text, bytes, json, timestamptz or uuid, or one of these with "[]". "sql"
// and "generated" are a text or an object with a text for "postgres", "mysql" (MariaDB), "sqlite" or "any"; in it
// {name} means a table of the projection and $1, $2, … for the parameters of a write or query. "generated" and
// the "sql" of a check are one expression over the columns of a row; a column with "generated" has no default, is not part
// of the key, and no write gives it. A view's "sql" is a query. A write's action is upsert, insert,
// insert-ignore or delete; a column's action within an upsert is set (default), add (i64, numeric), min, max
// (i64, numeric, timestamptz) or if-null.
//
// A write that inserts rows has to give a value to every column that is not null and has no default. What the
// description says of tables and ordering cannot change under one version, except for indexes and columns with
// "backfill":"none", which are added in place and stay NULL in the rows that are there; views may change. Such
// a column is declared last, takes null, has no default, and is neither part of the key nor generated.
//
// The values of a declarative mutation are the table's key columns in order of the key, then the listed
// columns in order. The arguments of a declarative query are one array a key column; it returns a row for
// every key found: the index of the key in the arrays (i64), then the listed columns.
//
// # Division into segments
//
// With ordering "stream", the host divides the events among segments, which run at the same time. Every event
// has a partition key, a segment has the events of some keys, and events of one key come in order of
// position. By "stream" the key is aggregate_id; by "correlation" it is correlation_id, or aggregate_id where
// that is empty. By "json" and "metadata" it is in the payload or the metadata: the first member of each name
// along the path, escapes decoded. A string is a key by its text, a boolean as true or false, an integer from
// -2^63 to 2^64-1 by its digits as they are written (-0 is none). Any other value there is a fault of the
// event, as are more than 1024 bytes, NUL, half a surrogate pair, what is not UTF-8, and text that begins as
// an object and is not JSON before the key is found. Where there is no such member, or no object to begin
// with, the key is aggregate_id. The cases are in store/testdata/partition_keys.json.
//
// What a module writes must not depend on how its events are divided. So a table is one of three kinds. It is
// checked when the module is loaded, and each mutation against the event that caused it; what breaks a rule
// is refused or a fault. With ordering "global", which is one segment, nothing of this holds.
//
//   - Owned: a key column has "partition" (text, i64, uuid, bool or numeric). Its value, as text, must be the key of
//     the event: text as it is, i64 in decimal, true or false, a uuid in lower case with hyphens, a numeric without
//     sign + and without zeros that could be left out. Every declarative write and query is possible; a query may ask
//     for keys of events of the batch.
//   - Per event: a key column has "position" (i64) or "event_id" (uuid), and must hold that of the event. Every
//     declarative write is possible.
//   - Shared: all others. A column has one action in all writes, add, min or max. It is nullable without default, or
//     its action is add and its default 0; then NULL counts as 0. Besides there is only insert-ignore of the key
//     columns.
//   - A declarative query of a table that is not owned needs "unordered": true, by which the author promises that the
//     rows of the projection do not depend on when it runs.
//   - A statement by sql needs "unordered": true likewise, or "partition_param": n, the number from 1 of the
//     parameter that holds the key, if all tables that it names are owned. A query may have an array of keys there.
//
// # Batch
//
// One block, at an address that is a multiple of 8. Offsets count from its first byte.
//
//	 0  u32  magic 0x42505550 ("PUPB")
//	 4  u16  version, 1
//	 6  u16  size of this header, 32: column descriptors start there
//	 8  u32  size of the block
//	12  u32  number of events
//	16  u32  number of columns
//	20  u32  segment, for log lines only
//	24  u32  lowest log level that is kept (4: none)
//	28  u32  reserved
//
// A column descriptor has 16 bytes. A reader skips descriptors whose id it does not know: that is how the
// interface grows.
//
//	 0  u16  id
//	 2  u16  encoding
//	 4  u32  offset of the column, a multiple of 8
//	 8  u32  size of the column in bytes
//	12  u32  entries of the dictionary (encoding 4), else 0
//
// Encodings, for n events:
//
//	1  n × 4 bytes
//	2  n × 8 bytes
//	3  n × 16 bytes
//	4  dictionary: u32 index[n], u32 start[entries+1], bytes; entry e is bytes[start[e]:start[e+1]]
//	5  strings: u32 start[n+1], bytes; the value of event i is bytes[start[i]:start[i+1]]
//
// Columns. A column marked "text" comes in encoding 4 or 5, as the host likes; an absent value is the empty string.
//
//	 1  global_position     encoding 2, i64, grows within the batch
//	 2  aggregate_version   encoding 2, i64, from 1, grows within a stream
//	 3  bounded_context     text
//	 4  aggregate_type      text
//	 5  aggregate_id        text
//	 6  event_id            encoding 3, UUID in network byte order
//	 7  event_type          text
//	 8  event_version       encoding 1, i32
//	 9  payload             encoding 5, any bytes
//	10  metadata            encoding 5, JSON
//	11  trace_id            text
//	12  correlation_id      text
//	13  causation_id        text
//	14  created_at          encoding 2, i64, microseconds since 1970-01-01 UTC
//	15  partition_hash      encoding 1, u32
//	16  partition_key       text: the key by which the events are divided, see Division into segments
//
// # Values
//
// One byte of kind, then the data, without padding:
//
//	0  null         nothing
//	1  bool         1 byte, 0 or 1
//	2  i64          8 bytes
//	3  f64          8 bytes; a NaN is written 7FF8000000000000
//	4  numeric      u32 length, decimal text: an optional sign, digits, an optional fraction; 1000 characters at most
//	                without the sign. As a key, 1.0 and 1.00 are the same
//	5  text         u32 length, UTF-8
//	6  bytes        u32 length, any bytes
//	7  json         u32 length, JSON text
//	8  timestamptz  i64 microseconds since 1970-01-01 UTC
//	9  uuid         16 bytes
//
// Kind + 128 is an array: u32 number of elements, then the elements, each a value of that kind or null.
//
// # Reply
//
//	 0  u32  magic 0x52505550 ("PUPR")
//	 4  u16  version, 1
//	 6  u16  status: 0 mutations follow, 1 an error message follows
//	 8  u32  status 0: number of mutations; status 1: index of the event at fault, 0xFFFFFFFF for none
//	12  u32  status 1: a code of the guest's own choice, else 0
//	16  u32  size of what follows
//	20  u32  reserved
//
// With status 0, mutations follow, one after the other and nothing after the last:
//
//	0  u16  index into the description's writes, or of a message, which are counted on from the writes: with three
//	        writes, 3 is the first message
//	2  u16  number of values
//	4  u32  index of the event that caused it
//	8  values
//
// With status 1, the message follows as text, and nothing of the batch is applied.
//
// # Messages
//
// The host sends a message when its event is applied, in the transaction of the rows. "subject" has tokens with dots
// between them, of letters, digits, - and _, with names in braces, such as shop.orders.{customer}.paid, and begins with a
// letter. A name in braces is like that of a column, and not data. "type" is the type as receivers know it, by default
// the name; "content_type" is that of the data, by default application/json. "key" says which messages are sent one after
// the other: those of one partition key ("partition", the default), all ("all", only with ordering "global"), or none
// ("none"). What the description says of messages may change under one version. A module may have messages and no tables.
//
// The values of a message are a text for each name in braces, each name once, in the order in which they come first, and
// then the data: json when the content type is application/json or ends with +json, text when it begins with text/, else
// bytes; parameters of the content type do not matter. None is null. The data has 1 MiB at most, and the subject 1024
// bytes with its values, in which bytes other than letters, digits, - and _ are written as three, %2E for a dot.
//
// Messages of an event are sent in the order in which they are in the reply, where they have one key. Otherwise their
// place in the reply does not matter.
//
// # Queries
//
// The guest passes a request at ptr and room for the result at dst:
//
//	0  u32  index into the description's queries
//	4  u16  number of arguments
//	6  u16  reserved
//	8  values
//
// query returns the size of the result. When that is at most cap, the result is at dst. Otherwise nothing was
// written, and a call with len 0 and enough room fetches the same result without running the query again. A
// query that cannot run ends the call of pup_apply; the guest never sees an error. The result:
//
//	0  u32  number of rows
//	4  u32  values a row
//	8  values, row by row
//
// # Errors
//
// A trap, more work than the host allows, memory beyond the cap, or any reply that breaks a rule of this page
// is a fault: nothing of the batch is applied, and the instance is thrown away. The host may call pup_apply
// with fewer of the same events, in fresh instances, to find the one at fault. Of a trap it tells what the
// guest has logged last at level 3, or the line of descriptor 1 or 2 that begins with "panic: " or "fatal
// error: ", or the last line of descriptor 2.
package abi
