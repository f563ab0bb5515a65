package store

import "context"

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

	// DescribeHolder tells what is known of the process that holds the horizon back, in one line: who it is, since when
	// its transaction is open, and what it has run last. It is "" when the process has ended.
	DescribeHolder(ctx context.Context, process int) (string, error)
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
