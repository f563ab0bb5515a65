package sqlite

import (
	"errors"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store/internal/verdict"
)

const (
	eventFault  = verdict.Row
	stops       = verdict.Stop
	waits       = verdict.Wait
	needsRepair = verdict.Repair
)

// resultCodes says what the result codes of SQLite mean: a line for each primary code, and one for each extended code
// that differs from its primary code. An unknown one counts as in the driver for PostgreSQL.
var resultCodes = verdict.NewTable(
	line(0, "any other code", "", eventFault, needsRepair, eventFault),
	line(of(sqlite3.ERROR), "SQLITE_ERROR", "a function refuses a value; a table or a column that is gone stops the segment",
		eventFault, needsRepair, eventFault),
	line(of(sqlite3.INTERNAL), "SQLITE_INTERNAL", "a fault of SQLite", eventFault, needsRepair, eventFault),
	line(of(sqlite3.PERM), "SQLITE_PERM", "the rights of the file or its folder", needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.ABORT), "SQLITE_ABORT", "", eventFault, needsRepair, eventFault),
	line(of(sqlite3.BUSY), "SQLITE_BUSY", "another process writes", waits, waits, waits),
	line(of(sqlite3.LOCKED), "SQLITE_LOCKED", "another connection writes", waits, waits, waits),
	line(of(sqlite3.NOMEM), "SQLITE_NOMEM", "the limit on a connection's memory", eventFault, needsRepair, eventFault),
	line(of(sqlite3.READONLY), "SQLITE_READONLY", "the rights of the file or its folder, or a file system that is mounted "+
		"read-only", needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.INTERRUPT), "SQLITE_INTERRUPT", "the host stops; a limit where the time of a statement is over",
		waits, waits, waits),
	line(of(sqlite3.IOERR), "SQLITE_IOERR", "the disk, see the log of the system", waits, waits, waits),
	line(sqlite3.IOERR_DATA, "SQLITE_IOERR_DATA", "a checksum of the file is wrong: restore it",
		needsRepair, needsRepair, needsRepair),
	line(sqlite3.IOERR_CORRUPTFS, "SQLITE_IOERR_CORRUPTFS", "the file system is damaged", needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.CORRUPT), "SQLITE_CORRUPT", "the file is damaged: restore it", needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.NOTFOUND), "SQLITE_NOTFOUND", "", eventFault, needsRepair, eventFault),
	line(of(sqlite3.FULL), "SQLITE_FULL", "make room on the disk, or raise `max_page_count`", waits, waits, waits),
	line(of(sqlite3.CANTOPEN), "SQLITE_CANTOPEN", "the file was moved or removed, or its folder is out of reach",
		needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.PROTOCOL), "SQLITE_PROTOCOL", "many processes begin at once", waits, waits, waits),
	line(of(sqlite3.EMPTY), "SQLITE_EMPTY", "", eventFault, needsRepair, eventFault),
	line(of(sqlite3.SCHEMA), "SQLITE_SCHEMA", "the schema changes all the time", waits, waits, waits),
	line(of(sqlite3.TOOBIG), "SQLITE_TOOBIG", "a value above the limit", eventFault, needsRepair, eventFault),
	line(of(sqlite3.CONSTRAINT), "SQLITE_CONSTRAINT", "a constraint or a trigger, declared or added by hand, deferred or not",
		eventFault, needsRepair, eventFault),
	line(of(sqlite3.MISMATCH), "SQLITE_MISMATCH", "a value of another type", eventFault, needsRepair, eventFault),
	line(of(sqlite3.MISUSE), "SQLITE_MISUSE", "a fault of pupwasm", eventFault, needsRepair, eventFault),
	line(of(sqlite3.NOLFS), "SQLITE_NOLFS", "the file is too large for the system", needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.AUTH), "SQLITE_AUTH", "the tables were changed by hand, so that the statement touches others",
		stops, needsRepair, stops),
	line(of(sqlite3.FORMAT), "SQLITE_FORMAT", "", needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.RANGE), "SQLITE_RANGE", "a fault of pupwasm", eventFault, needsRepair, eventFault),
	line(of(sqlite3.NOTADB), "SQLITE_NOTADB", "the file is no database, or damaged: restore it",
		needsRepair, needsRepair, needsRepair),
	line(of(sqlite3.NOTICE), "SQLITE_NOTICE", "", eventFault, needsRepair, eventFault),
	line(of(sqlite3.WARNING), "SQLITE_WARNING", "", eventFault, needsRepair, eventFault),
)

// of is a primary code as one of the table.
func of(code sqlite3.ErrorCode) sqlite3.ExtendedErrorCode { return sqlite3.ExtendedErrorCode(code) }

// line is what a result code means.
func line(
	code sqlite3.ExtendedErrorCode, name, means string, module, own, commit verdict.Verdict,
) verdict.Line[sqlite3.ExtendedErrorCode] {
	return verdict.Line[sqlite3.ExtendedErrorCode]{
		Code: code, Name: name, Means: means, Verdicts: verdict.Verdicts{Module: module, Own: own, Commit: commit},
	}
}

// verdictsOn returns what an error of SQLite means, or false for any other error.
func verdictsOn(err error) (found verdict.Verdicts, is bool) {
	var code sqlite3.ExtendedErrorCode
	if !errors.As(err, &code) {
		return found, false
	}
	return resultCodes.Of(code, code&0xff, 0), true
}
