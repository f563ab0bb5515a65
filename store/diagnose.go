package store

import (
	"context"
	"time"
)

// Diagnoser finds what is wrong or unwise about a database, as far as a host's connection shows it. A log or tables may
// be one.
type Diagnoser interface {
	// Diagnose looks at the server, the connection and the rights. It changes nothing, and asks a bounded number of
	// questions, none of which reads events or rows of projections. What [LogChecker] finds is not repeated.
	//
	// # Errors
	//
	// [ErrTransient], [ErrNotMigrated].
	Diagnose(ctx context.Context) ([]Diagnosis, error)

	// DescribeHolder tells what is known of the process that holds the horizon back, in one line: who it is, and what it
	// has run last. open is for how long its transaction has been open. It is "" when the process has ended.
	DescribeHolder(ctx context.Context, process int) (who string, open time.Duration, err error)

	// EndHolder is the statement that ends that process, and rolls its append back.
	EndHolder(process int) string

	// EndPrepared is what ends a transaction that is prepared, with what it is called by.
	EndPrepared() string
}

// LockDiagnoser finds who keeps segments from hosts by locks. A [Diagnoser] may be one.
type LockDiagnoser interface {
	Diagnoser

	// DescribeLocker tells of the transaction that has locked rows for the longest time and does nothing, in one line: who
	// it is, and for how long it is open. It is "" when there is none, or none that this user may see.
	//
	// # Errors
	//
	// [ErrTransient].
	DescribeLocker(ctx context.Context) (process int, who string, open time.Duration, err error)
}

// Diagnosis is one thing that was looked at.
type Diagnosis struct {
	Check    string // what was looked at, in a word or two
	Severity Severity
	Finding  string // what was found
	Remedy   string // what to do about it; "" where there is nothing to do
}

// Severity says how soon somebody has to act.
type Severity string

// The severities, the least first.
const (
	SeverityOK      Severity = "ok"      // as it should be
	SeverityWarning Severity = "warning" // it works, and costs something or may fail one day
	SeverityProblem Severity = "problem" // something does not work
)
