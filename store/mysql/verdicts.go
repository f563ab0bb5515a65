package mysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/store/internal/verdict"
)

const (
	eventFault  = verdict.Row
	stops       = verdict.Stop
	meetsLimit  = verdict.Limit
	triedAtOnce = verdict.Again
	waits       = verdict.Wait
	needsRepair = verdict.Repair
)

// The numbers of MariaDB's errors that are looked for by themselves.
const (
	erCheckRead        = 1020
	erDatabaseDenied   = 1044
	erAccessDenied     = 1045
	erBadNull          = 1048
	erBadDatabase      = 1049
	erBadField         = 1054
	erTableFull        = 1114
	erTableDenied      = 1142
	erColumnDenied     = 1143
	erNoSuchTable      = 1146
	erPacketTooLarge   = 1153
	erLockWaitTimeout  = 1205
	erDeadlock         = 1213
	erPrivilegeMissing = 1227
	erOutOfRange       = 1264
	erOptionPrevents   = 1290
	erNoSuchRoutine    = 1305
	erRoutineDenied    = 1370
	erCannotUser       = 1396
	erTooLong          = 1406
	erNoReferencedRow  = 1452
	erSignal           = 1644
	erStatementsLogged = 1665
	erDataOutOfRange   = 1690
	erDeniedByPlugin   = 1698
	erReadOnlyTx       = 1792
	erReadOnlyMode     = 1836
	erInvalidRole      = 1959
	erStatementTimeout = 1969
	erColumnCount      = 4002
)

// errorNumbers says what the errors of MariaDB mean. An unknown one counts as in the driver for PostgreSQL.
var errorNumbers = verdict.NewTable(
	line(0, "any other number", "", eventFault, needsRepair, eventFault),
	line(3, "EE_WRITE", "the disk of the server is full, or fails", waits, waits, waits),
	line(5, "EE_OUTOFMEMORY", "the memory of the server", meetsLimit, waits, meetsLimit),
	line(1016, "ER_CANT_OPEN_FILE", "a file of the server is gone", stops, needsRepair, stops),
	line(erCheckRead, "ER_CHECKREAD", "`innodb_snapshot_isolation`", triedAtOnce, triedAtOnce, triedAtOnce),
	line(1021, "ER_DISK_FULL", "make room", waits, waits, waits),
	line(1026, "ER_ERROR_ON_WRITE", "the disk of the server is full, or fails", waits, waits, waits),
	line(1030, "ER_GET_ERRNO", "the storage engine fails: see the log of the server", waits, waits, waits),
	line(1034, "ER_NOT_KEYFILE", "the table is damaged: restore it", stops, needsRepair, stops),
	line(1036, "ER_OPEN_AS_READONLY", "the table is read-only", waits, waits, waits),
	line(1037, "ER_OUTOFMEMORY", "the memory of the server", meetsLimit, waits, meetsLimit),
	line(1038, "ER_OUT_OF_SORTMEMORY", "raise `sort_buffer_size`", meetsLimit, waits, meetsLimit),
	line(1040, "ER_CON_COUNT_ERROR", "raise `max_connections`, or have the hosts use fewer connections", waits, waits, waits),
	line(1041, "ER_OUT_OF_RESOURCES", "the memory of the server", meetsLimit, waits, meetsLimit),
	line(1042, "ER_BAD_HOST_ERROR", "the server cannot find out the name of the host", waits, waits, waits),
	line(1043, "ER_HANDSHAKE_ERROR", "", waits, waits, waits),
	line(erDatabaseDenied, "ER_DBACCESS_DENIED_ERROR", "grant the right again", stops, needsRepair, stops),
	line(erAccessDenied, "ER_ACCESS_DENIED_ERROR", "the user or its password", stops, needsRepair, stops),
	line(1046, "ER_NO_DB_ERROR", "", stops, needsRepair, stops),
	line(1047, "ER_UNKNOWN_COM_ERROR", "a node of a cluster that is not ready", waits, waits, waits),
	line(erBadNull, "ER_BAD_NULL_ERROR", "NULL for a column that is not", eventFault, needsRepair, eventFault),
	line(erBadDatabase, "ER_BAD_DB_ERROR", "there is no such database", stops, needsRepair, stops),
	line(1053, "ER_SERVER_SHUTDOWN", "the server stops", waits, waits, waits),
	line(erBadField, "ER_BAD_FIELD_ERROR", "a column was changed by hand", stops, needsRepair, stops),
	line(1062, "ER_DUP_ENTRY", "a unique key", eventFault, needsRepair, eventFault),
	line(1064, "ER_PARSE_ERROR", "", stops, needsRepair, stops),
	line(1079, "ER_SHUTDOWN_COMPLETE", "the server stops", waits, waits, waits),
	line(erTableFull, "ER_RECORD_FILE_FULL", "make room", waits, waits, waits),
	line(1118, "ER_TOO_BIG_ROWSIZE", "a row that is too large", eventFault, needsRepair, eventFault),
	line(1129, "ER_HOST_IS_BLOCKED", "`FLUSH HOSTS`", needsRepair, needsRepair, needsRepair),
	line(1130, "ER_HOST_NOT_PRIVILEGED", "the user may not come from the host", needsRepair, needsRepair, needsRepair),
	line(1135, "ER_CANT_CREATE_THREAD", "the memory or the threads of the server", waits, waits, waits),
	line(1136, "ER_WRONG_VALUE_COUNT_ON_ROW", "a table was changed by hand", stops, needsRepair, stops),
	line(erTableDenied, "ER_TABLEACCESS_DENIED_ERROR", "grant the right again", stops, needsRepair, stops),
	line(erColumnDenied, "ER_COLUMNACCESS_DENIED_ERROR", "grant the right again", stops, needsRepair, stops),
	line(erNoSuchTable, "ER_NO_SUCH_TABLE", "put the table back with its rows, or `pupwasm reset`",
		stops, needsRepair, stops),
	line(1152, "ER_ABORTING_CONNECTION", "", waits, waits, waits),
	line(erPacketTooLarge, "ER_NET_PACKET_TOO_LARGE", "raise `max_allowed_packet`", eventFault, needsRepair, eventFault),
	line(1158, "ER_NET_READ_ERROR", "", waits, waits, waits),
	line(1159, "ER_NET_READ_INTERRUPTED", "", waits, waits, waits),
	line(1160, "ER_NET_ERROR_ON_WRITE", "", waits, waits, waits),
	line(1161, "ER_NET_WRITE_INTERRUPTED", "", waits, waits, waits),
	line(1180, "ER_ERROR_DURING_COMMIT", "see the log of the server", waits, waits, waits),
	line(1181, "ER_ERROR_DURING_ROLLBACK", "see the log of the server", waits, waits, waits),
	line(1184, "ER_NEW_ABORTING_CONNECTION", "", waits, waits, waits),
	line(1194, "ER_CRASHED_ON_USAGE", "the table is damaged: restore it", stops, needsRepair, stops),
	line(1195, "ER_CRASHED_ON_REPAIR", "the table is damaged: restore it", stops, needsRepair, stops),
	line(1203, "ER_TOO_MANY_USER_CONNECTIONS", "raise `max_user_connections`, or have the hosts use fewer connections",
		waits, waits, waits),
	line(erLockWaitTimeout, "ER_LOCK_WAIT_TIMEOUT", "another session holds a lock: end it (`SHOW ENGINE INNODB STATUS`)",
		waits, waits, waits),
	line(1206, "ER_LOCK_TABLE_FULL", "raise `innodb_buffer_pool_size`", waits, waits, waits),
	line(erDeadlock, "ER_LOCK_DEADLOCK", "another session locks the same rows", triedAtOnce, triedAtOnce, triedAtOnce),
	line(1226, "ER_USER_LIMIT_REACHED", "a limit of the user on queries or connections", waits, waits, waits),
	line(erPrivilegeMissing, "ER_SPECIFIC_ACCESS_DENIED_ERROR", "grant the right again", stops, needsRepair, stops),
	line(erOutOfRange, "ER_WARN_DATA_OUT_OF_RANGE", "a value that a type cannot hold", eventFault, needsRepair, eventFault),
	line(erOptionPrevents, "ER_OPTION_PREVENTS_STATEMENT", "`read_only`: switch it off, or promote the replica",
		waits, waits, waits),
	line(erNoSuchRoutine, "ER_SP_DOES_NOT_EXIST", "a procedure was dropped: start the host again, which makes it",
		stops, needsRepair, stops),
	line(1317, "ER_QUERY_INTERRUPTED", "somebody has ended the query", waits, waits, waits),
	line(1318, "ER_SP_WRONG_NO_OF_ARGS", "a procedure was changed by hand", stops, needsRepair, stops),
	line(1356, "ER_VIEW_INVALID", "", stops, needsRepair, stops),
	line(1364, "ER_NO_DEFAULT_FOR_FIELD", "a column was added by hand", stops, needsRepair, stops),
	line(1365, "ER_DIVISION_BY_ZERO", "", eventFault, needsRepair, eventFault),
	line(1366, "ER_TRUNCATED_WRONG_VALUE_FOR_FIELD", "a value of another type", eventFault, needsRepair, eventFault),
	line(erRoutineDenied, "ER_PROCACCESS_DENIED_ERROR", "grant the right again", stops, needsRepair, stops),
	line(erTooLong, "ER_DATA_TOO_LONG", "", eventFault, needsRepair, eventFault),
	line(1412, "ER_TABLE_DEF_CHANGED", "", triedAtOnce, triedAtOnce, triedAtOnce),
	line(1449, "ER_NO_SUCH_USER", "the user of the projection was dropped: start the host again, which makes it",
		stops, needsRepair, stops),
	line(1451, "ER_ROW_IS_REFERENCED_2", "a foreign key that was added by hand", eventFault, needsRepair, eventFault),
	line(erNoReferencedRow, "ER_NO_REFERENCED_ROW_2", "a foreign key that was added by hand",
		eventFault, needsRepair, eventFault),
	line(1467, "ER_AUTOINC_READ_FAILED", "set `innodb_autoinc_lock_mode` to 2", waits, waits, waits),
	line(1615, "ER_NEED_REPREPARE", "", triedAtOnce, triedAtOnce, triedAtOnce),
	line(1637, "ER_TOO_MANY_CONCURRENT_TRXS", "", waits, waits, waits),
	line(erSignal, "ER_SIGNAL_EXCEPTION", "raised by a trigger", eventFault, needsRepair, eventFault),
	line(erStatementsLogged, "ER_BINLOG_STMT_MODE_AND_ROW_ENGINE", "set `binlog_format` to MIXED or ROW", stops, needsRepair, stops),
	line(erDataOutOfRange, "ER_DATA_OUT_OF_RANGE", "a sum that a type cannot hold", eventFault, needsRepair, eventFault),
	line(1712, "ER_INDEX_CORRUPT", "the index is damaged: drop it and make it again", stops, needsRepair, stops),
	line(erReadOnlyTx, "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION", "`tx_read_only`: switch it off", waits, waits, waits),
	line(erReadOnlyMode, "ER_READ_ONLY_MODE", "the server takes no writes", waits, waits, waits),
	line(1877, "ER_TABLE_CORRUPT", "the table is damaged: restore it", stops, needsRepair, stops),
	line(1927, "ER_CONNECTION_KILLED", "somebody has ended the session", waits, waits, waits),
	line(1932, "ER_NO_SUCH_TABLE_IN_ENGINE", "the table is damaged: restore it", stops, needsRepair, stops),
	line(erStatementTimeout, "ER_STATEMENT_TIMEOUT", "`max_statement_time`", meetsLimit, waits, meetsLimit),
	line(4025, "ER_CONSTRAINT_FAILED", "a check", eventFault, needsRepair, eventFault),
)

// line is what an error means.
func line(number uint16, name, means string, module, own, commit verdict.Verdict) verdict.Line[uint16] {
	return verdict.Line[uint16]{
		Code: number, Name: name, Means: means, Verdicts: verdict.Verdicts{Module: module, Own: own, Commit: commit},
	}
}

// verdictsOn returns what an error of the server means, or false for any other error.
func verdictsOn(err error) (found verdict.Verdicts, is bool) {
	var failure *mysql.MySQLError
	if !errors.As(err, &failure) {
		return found, false
	}
	return errorNumbers.Of(failure.Number, 0), true
}
