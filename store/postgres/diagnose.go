package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// What is worth a warning.
const (
	clockDifferenceMax = 2 * time.Second
	transactionMax     = time.Hour
	connectionShareMax = 0.9
)

// facts is what a server says of itself and of the connection.
type facts struct {
	version, role         string
	superuser             bool
	backend               int // the process that has answered
	now                   time.Time
	fsync                 bool
	notifies              bool
	connections, maximum  int
	hidden                bool // sessions of other roles
	oldest                *time.Duration
	oldestProcess         *int
	unreadable, unwritten []string // tables
}

// Diagnose looks at the server, the connection and the rights. See [store.Diagnoser].
func (s backend) Diagnose(ctx context.Context) ([]store.Diagnosis, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	conn, err := s.control.Acquire(ctx)
	if err != nil {
		return nil, translate(err)
	}
	defer conn.Release()
	var f facts
	began := clock.Now()
	var oldest *float64
	err = conn.QueryRow(ctx, s.queries.facts).Scan(&f.version, &f.role, &f.superuser, &f.backend, &f.now, &f.fsync, &f.notifies,
		&f.connections, &f.hidden, &f.maximum, &oldest, &f.oldestProcess, &f.unreadable, &f.unwritten)
	took := clock.Since(began)
	if err != nil {
		return nil, translate(err)
	}
	if oldest != nil {
		age := time.Duration(*oldest * float64(time.Second))
		f.oldest = &age
	}
	difference := f.now.Sub(began.Add(took / 2))
	return f.diagnoses(int(conn.Conn().PgConn().PID()), difference.Abs()-took/2), nil
}

// diagnoses judges the facts. process is the one that the connection was made to, and difference that of the clocks.
func (f *facts) diagnoses(process int, difference time.Duration) (all []store.Diagnosis) {
	check := func(name string, fine bool, severity store.Severity, good, bad, remedy string) {
		if fine {
			all = append(all, store.Diagnosis{Check: name, Severity: store.SeverityOK, Finding: good})
		} else {
			all = append(all, store.Diagnosis{Check: name, Severity: severity, Finding: bad, Remedy: remedy})
		}
	}
	check("server", f.fsync, store.SeverityWarning, "PostgreSQL "+f.version,
		"fsync is off: a crash of the machine may damage the database", "set fsync = on in postgresql.conf and reload")
	check("role", !f.superuser, store.SeverityWarning, "the host logs in as "+f.role,
		"the host logs in as "+f.role+", a superuser: a hole in the checks of SQL would open the whole server",
		"give it a role of its own (docs/security.md, Rights)")
	check("rights", len(f.unreadable) == 0, store.SeverityProblem, f.role+" may read pupwasm's tables",
		f.role+" may not read "+strings.Join(f.unreadable, ", "), "grant it SELECT on them (docs/security.md, Rights)")
	check("rights", len(f.unwritten) == 0, store.SeverityWarning, f.role+" may write pupwasm's tables",
		f.role+" may not write "+strings.Join(f.unwritten, ", ")+", so that it can run no projection here",
		"grant it INSERT, UPDATE and DELETE on them; a host that only reads the log here does not need it")
	check("clock", difference <= clockDifferenceMax, store.SeverityWarning, "this machine and the server agree",
		fmt.Sprintf("the clocks of this machine and of the server differ by %s: ages are wrong by as much",
			difference.Round(time.Second)), "let NTP set both")
	check("pooler", process == 0 || process == f.backend, store.SeverityWarning, "the connection is direct",
		"a pooler is in between: notifications may not arrive",
		"let hosts do without notifications, or connect them to the server itself")
	check("notifications", f.notifies, store.SeverityWarning, "appends notify hosts", "appends do not notify hosts, which poll: "+
		"the server allows prepared transactions", "set max_prepared_transactions = 0, or pupwasm.notify = on for the database "+
		"if no transaction that appends is ever prepared")
	check("connections", float64(f.connections) <= connectionShareMax*float64(f.maximum), store.SeverityWarning,
		fmt.Sprintf("%d of %d are in use", f.connections, f.maximum),
		fmt.Sprintf("%d of %d are in use: soon nobody can connect", f.connections, f.maximum),
		"raise max_connections, put a pooler in between, or lower Options.Concurrency of hosts")
	old := f.oldest != nil && f.oldestProcess != nil && *f.oldest > transactionMax
	bad := ""
	if old {
		bad = fmt.Sprintf("process %d has had a transaction open for %s, so that no dead row can be removed", *f.oldestProcess,
			f.oldest.Round(time.Minute))
	}
	fine := "none has been open for longer than an hour"
	if f.hidden {
		fine = "none that this role may see has been open for longer than an hour; GRANT pg_read_all_stats shows it all"
	}
	check("transactions", !old, store.SeverityWarning, fine, bad, "end it")
	return all
}

// describedQuery bounds what is shown of a query.
const describedQuery = 120

// EndHolder is what ends the process that holds the horizon back. See [store.Diagnoser].
func (s backend) EndHolder(process int) string {
	return fmt.Sprintf("SELECT pg_terminate_backend(%d)", process)
}

// EndPrepared ends a prepared transaction. See [store.Diagnoser].
func (s backend) EndPrepared() string { return "COMMIT PREPARED or ROLLBACK PREPARED with its name" }

// DescribeHolder tells who holds the horizon back. See [store.Diagnoser].
func (s backend) DescribeHolder(ctx context.Context, process int) (who string, open time.Duration, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var role, application, address, state, query string
	var seconds float64
	err = s.control.QueryRow(ctx, holderQuery, process, describedQuery).
		Scan(&role, &application, &address, &state, &seconds, &query)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, translate(err)
	}
	who = fmt.Sprintf("role %s from %s, %s", role, address, state)
	if application != "" {
		who += ", application " + application
	}
	if query != "" {
		who += ", last statement: " + query
	}
	return who, time.Duration(seconds * float64(time.Second)), nil
}

// holderQuery says "hidden" of what the role of the host may not see, which is all but the name of sessions of other
// roles unless it is a member of pg_read_all_stats. Their state is null.
const holderQuery = `SELECT coalesce(usename::text, '?'), coalesce(application_name, ''),
	CASE WHEN state IS NULL THEN 'hidden' ELSE coalesce(host(client_addr), 'this machine') END,
	coalesce(state, 'hidden (GRANT pg_read_all_stats shows it)'),
	coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - xact_start), 0)::float8,
	CASE WHEN state IS NULL THEN '' ELSE coalesce(regexp_replace(left(query, $2), '\s+', ' ', 'g'), '') END
	FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND (xact_start IS NOT NULL OR state IS NULL)`

// factsQuery asks for what a diagnosis says of the server. The oldest transaction is of another process than this one.
const factsQuery = `WITH own AS (SELECT oid, relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace
			AND relkind = 'r')
		SELECT current_setting('server_version'), r.rolname::text, r.rolsuper, pg_backend_pid(),
			clock_timestamp(), current_setting('fsync')::boolean, {schema}.may_notify(),
			(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
				OR backend_type IS NULL AND datid IS NOT NULL)::integer,
			EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IS NULL AND datid IS NOT NULL),
			current_setting('max_connections')::integer,
			extract(epoch FROM clock_timestamp() - o.xact_start)::float8, o.pid,
			ARRAY(SELECT t.oid::regclass::text FROM own t WHERE NOT has_table_privilege(t.oid, 'SELECT') ORDER BY 1),
			ARRAY(SELECT t.oid::regclass::text FROM own t WHERE t.relname = ANY
				('{projections,workers,segments,reader_grants,parked,parked_events,skipped_events,listeners,
				outbox,outbox_failures,outbox_sent,outbox_unsent,outbox_relays}'::text[])
				AND NOT (has_table_privilege(t.oid, 'INSERT') AND has_table_privilege(t.oid, 'UPDATE')
				AND has_table_privilege(t.oid, 'DELETE')) ORDER BY 1)
		FROM pg_roles r LEFT JOIN LATERAL (SELECT pid, xact_start FROM pg_stat_activity
			WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1) o ON true
		WHERE r.rolname = current_user`
