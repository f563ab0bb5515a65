package postgres

import "github.com/pupwasm/pupwasm/store/internal/verdict"

const (
	eventFault  = verdict.Row
	stops       = verdict.Stop
	meetsLimit  = verdict.Limit
	triedAtOnce = verdict.Again
	waits       = verdict.Wait
	needsRepair = verdict.Repair
)

// sqlStates says what the SQLSTATEs of PostgreSQL mean: a line for each class, and one for each code that differs from
// its class. An unknown code in what a module writes or asks is an answer to that, and counts as its fault: parking
// holds up one key, is recorded, and is tried again by itself, where to wait for it might hold up all keys for ever.
// In a statement of ours no event can be at fault: the host tries again, and the status shows it.
var sqlStates = verdict.NewTable(
	line("", "any other code", "", eventFault, needsRepair, eventFault),
	line("00", "successful completion", "no error of the server; raised by a trigger", eventFault, needsRepair, eventFault),
	line("01", "warning", "no error of the server; raised by a trigger", eventFault, needsRepair, eventFault),
	line("02", "no data", "", eventFault, needsRepair, eventFault),
	line("03", "SQL statement not yet complete", "", eventFault, needsRepair, eventFault),
	line("08", "connection exception", "the connection is lost, or cannot be made", waits, waits, waits),
	line("09", "triggered action exception", "", eventFault, needsRepair, eventFault),
	line("0A", "feature not supported", "", eventFault, needsRepair, eventFault),
	line("0B", "invalid transaction initiation", "", eventFault, needsRepair, eventFault),
	line("0F", "locator exception", "", eventFault, needsRepair, eventFault),
	line("0L", "invalid grantor", "", stops, needsRepair, stops),
	line("0P", "invalid role specification", "", stops, needsRepair, stops),
	line("0Z", "diagnostics exception", "", eventFault, needsRepair, eventFault),
	line("10", "XQuery error", "", eventFault, needsRepair, eventFault),
	line("20", "case not found", "", eventFault, needsRepair, eventFault),
	line("21", "cardinality violation", "", eventFault, needsRepair, eventFault),
	line("22", "data exception", "a value that a type cannot hold, a division by zero", eventFault, needsRepair, eventFault),
	line("23", "integrity constraint violation", "a constraint, declared or added by hand, deferred or not",
		eventFault, needsRepair, eventFault),
	line("24", "invalid cursor state", "", eventFault, needsRepair, eventFault),
	line("25", "invalid transaction state", "", eventFault, needsRepair, eventFault),
	line(stateReadOnly, "read_only_sql_transaction", "a standby, or `default_transaction_read_only`: promote it, or "+
		"switch the setting off", waits, waits, waits),
	line(stateIdleTransaction, "idle_in_transaction_session_timeout", "raise that limit above the time of a batch",
		waits, waits, waits),
	line(stateTransactionTimeout, "transaction_timeout", "", meetsLimit, waits, meetsLimit),
	line("26", "invalid SQL statement name", "a pooler without prepared statements, which pupwasm then does without",
		triedAtOnce, triedAtOnce, triedAtOnce),
	line("27", "triggered data change violation", "", eventFault, needsRepair, eventFault),
	line("28", "invalid authorization specification", "the role, its password or `pg_hba.conf`", stops, needsRepair, stops),
	line("2B", "dependent privilege descriptors still exist", "", eventFault, needsRepair, eventFault),
	line("2D", "invalid transaction termination", "", eventFault, needsRepair, eventFault),
	line("2F", "SQL routine exception", "", eventFault, needsRepair, eventFault),
	line("34", "invalid cursor name", "", eventFault, needsRepair, eventFault),
	line("38", "external routine exception", "", eventFault, needsRepair, eventFault),
	line("39", "external routine invocation exception", "", eventFault, needsRepair, eventFault),
	line("3B", "savepoint exception", "", eventFault, needsRepair, eventFault),
	line("3D", "invalid catalog name", "there is no such database", stops, needsRepair, stops),
	line("3F", "invalid schema name", "a schema was dropped or renamed", stops, needsRepair, stops),
	line("40", "transaction rollback", "the server has rolled back", waits, waits, waits),
	line(stateSerialization, "serialization_failure", "", triedAtOnce, triedAtOnce, triedAtOnce),
	line(stateDeadlock, "deadlock_detected", "another session locks the same rows", triedAtOnce, triedAtOnce, triedAtOnce),
	line("42", "syntax error or access rule violation", "a table, a column, a type or a function was changed by hand",
		stops, needsRepair, stops),
	line(stateInsufficientRights, "insufficient_privilege", "grant the right again", stops, needsRepair, stops),
	line(stateSyntaxError, "syntax_error", "of a value too, as of a `tsquery`", eventFault, needsRepair, eventFault),
	line("42602", "invalid_name", "of a value too", eventFault, needsRepair, eventFault),
	line(stateDuplicateStatement, "duplicate_prepared_statement", "as class 26", triedAtOnce, triedAtOnce, triedAtOnce),
	line(stateUndefinedTable, "undefined_table", "put the table back with its rows, or `pupwasm reset`",
		stops, needsRepair, stops),
	line("44", "WITH CHECK OPTION violation", "", eventFault, needsRepair, eventFault),
	line("53", "insufficient resources", "", waits, waits, waits),
	line("53100", "disk_full", "make room", waits, waits, waits),
	line(stateOutOfMemory, "out_of_memory", "", meetsLimit, waits, meetsLimit),
	line("53300", "too_many_connections", "raise `max_connections`, or have the hosts use fewer connections", waits, waits, waits),
	line(stateTempFileLimit, "configuration_limit_exceeded", "`temp_file_limit`", meetsLimit, needsRepair, meetsLimit),
	line("54", "program limit exceeded", "a row that is too large for an index, SQL that is nested too deep",
		eventFault, needsRepair, eventFault),
	line("55", "object not in prerequisite state", "", stops, needsRepair, stops),
	line("55006", "object_in_use", "", waits, waits, waits),
	line(stateLockNotAvailable, "lock_not_available", "another session holds a lock: end it (`pg_blocking_pids`)",
		waits, waits, waits),
	line("57", "operator intervention", "", waits, waits, waits),
	line(stateCancelled, "query_canceled", "`statement_timeout`; wait where somebody cancels it, or where the statement "+
		"has no SQL of the module", meetsLimit, waits, meetsLimit),
	line("57P01", "admin_shutdown", "the server stops, or somebody ends the session", waits, waits, waits),
	line("57P02", "crash_shutdown", "the server restarts", waits, waits, waits),
	line("57P03", "cannot_connect_now", "the server starts", waits, waits, waits),
	line("58", "system error", "the disk or the operating system of the server", waits, waits, waits),
	line("58P01", "undefined_file", "a file of the server is gone", stops, needsRepair, stops),
	line("72", "snapshot failure", "", waits, waits, waits),
	line("F0", "configuration file error", "", stops, needsRepair, stops),
	line("HV", "foreign data wrapper error", "of what a trigger reaches elsewhere", waits, waits, waits),
	line("P0", "PL/pgSQL error", "raised by a trigger", eventFault, needsRepair, eventFault),
	line("XX", "internal error", "a fault of the server or of an extension", eventFault, needsRepair, eventFault),
	line("XX001", "data_corrupted", "the database is damaged: restore it", stops, needsRepair, stops),
	line("XX002", "index_corrupted", "the index is damaged: `REINDEX`", stops, needsRepair, stops),
)

// line is what a SQLSTATE, or a class of them, means.
func line(code, name, means string, module, own, commit verdict.Verdict) verdict.Line[string] {
	return verdict.Line[string]{
		Code: code, Name: name, Means: means, Verdicts: verdict.Verdicts{Module: module, Own: own, Commit: commit},
	}
}

// verdictsOn returns what a SQLSTATE means.
func verdictsOn(state string) verdict.Verdicts {
	return sqlStates.Of(state, state[:min(len(state), 2)], "")
}

// mayPass reports whether a statement of ours that has ended with a SQLSTATE may do better later.
func mayPass(state string) bool {
	own := verdictsOn(state).Own
	return own == waits || own == triedAtOnce
}
