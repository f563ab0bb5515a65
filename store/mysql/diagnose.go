package mysql

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// What is worth a warning.
const (
	clockDifferenceMax = 2 * time.Second
	transactionMax     = time.Hour
	connectionShareMax = 0.9
)

// diagnoseQueries are the statements that look at the server. Only users with the right PROCESS see the sessions of
// others. Their times are in the time zone of the system.
type diagnoseQueries struct {
	facts    string
	oldest   string
	describe string
	since    string
	locker   string
}

// secondsOpen is how long a row of innodb_trx has been there.
const secondsOpen = `TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(SYSDATE(), '+00:00', 'SYSTEM'))`

func newDiagnoseQueries() diagnoseQueries {
	return diagnoseQueries{
		facts: `SELECT VERSION(), CURRENT_USER(), ` + now + `, @@innodb_autoinc_lock_mode,
			@@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog, @@max_allowed_packet, @@max_connections,
			(SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'THREADS_CONNECTED'),
			` + isSuperuser,
		oldest: `SELECT ` + secondsOpen + `, trx_mysql_thread_id FROM information_schema.innodb_trx
			ORDER BY trx_started LIMIT 1`,
		describe: `SELECT p.user, p.host, COALESCE(p.db, ''), p.command, COALESCE(p.info, '') FROM information_schema.processlist p
			WHERE p.id = $1`,
		since: `SELECT ` + secondsOpen + ` FROM information_schema.innodb_trx
			WHERE trx_mysql_thread_id = $1`,
		locker: `SELECT p.id, ` + secondsOpen + `, p.user, p.host
			FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
			WHERE t.trx_rows_locked > 0 AND p.command = 'Sleep' AND p.db = DATABASE() AND p.id <> CONNECTION_ID()
			ORDER BY t.trx_started LIMIT 1`,
	}
}

// facts is what a server says of itself and of the connection.
type facts struct {
	version, user        string
	now                  time.Time
	lockMode, flush      int
	binlog               bool
	syncBinlog           int
	packet               int64
	maximum, connections int
	super                bool
	hidden               bool // sessions of other users
	oldest               time.Duration
	oldestProcess        int
}

// Diagnose looks at the server, the connection and the rights. See [store.Diagnoser].
func (s backend) Diagnose(ctx context.Context) (all []store.Diagnosis, err error) {
	var f facts
	var difference time.Duration
	err = s.read(ctx, func(c *conn) error {
		began := clock.Now()
		if err := c.query(s.queries.diagnose.facts, func(r *row) error {
			f = facts{
				version: r.text(0), user: r.text(1), now: time.UnixMicro(r.int64(2)), lockMode: r.int(3), flush: r.int(4),
				binlog: r.bool(5), syncBinlog: r.int(6), packet: r.int64(7), maximum: r.int(8), connections: r.int(9),
				super: r.bool(10),
			}
			return nil
		}); err != nil {
			return err
		}
		took := clock.Since(began)
		difference = f.now.Sub(began.Add(took/2)).Abs() - took/2
		return f.findOldest(c, &s.queries.diagnose)
	})
	if err != nil {
		return nil, err
	}
	return f.diagnoses(difference, int64(s.options.PayloadBytesMax)), nil
}

func (f *facts) findOldest(c *conn, q *diagnoseQueries) error {
	err := c.query(q.oldest, func(r *row) error {
		f.oldest, f.oldestProcess = time.Duration(r.int64(0))*time.Second, r.int(1)
		return nil
	})
	if isDenied(err) {
		f.hidden = true
		return nil
	}
	return err
}

// diagnoses judges the facts. difference is that of the clocks, and payload the limit on one.
func (f *facts) diagnoses(difference time.Duration, payload int64) (all []store.Diagnosis) {
	check := func(name string, fine bool, good, bad, remedy string) {
		if fine {
			all = append(all, store.Diagnosis{Check: name, Severity: store.SeverityOK, Finding: good})
		} else {
			all = append(all, store.Diagnosis{Check: name, Severity: store.SeverityWarning, Finding: bad, Remedy: remedy})
		}
	}
	check("server", f.flush == 1, "MariaDB "+strings.TrimSuffix(f.version, "-log"),
		fmt.Sprintf("innodb_flush_log_at_trx_commit is %d: a crash may take back what was committed last", f.flush),
		"set innodb_flush_log_at_trx_commit = 1")
	check("binary log", !f.binlog || f.syncBinlog == 1, "a crash does not part it from the tables",
		fmt.Sprintf("sync_binlog is %d: after a crash replicas may have other events than this server", f.syncBinlog),
		"set sync_binlog = 1")
	check("auto-increment", f.lockMode == 2, "innodb_autoinc_lock_mode is 2",
		fmt.Sprintf("innodb_autoinc_lock_mode is %d: appends beside others of many rows may fail with error 1467 and have to be "+
			"repeated", f.lockMode), "set innodb_autoinc_lock_mode = 2 and restart the server")
	check("packet", f.packet >= 2*payload, fmt.Sprintf("max_allowed_packet is %d MiB", f.packet>>20),
		fmt.Sprintf("max_allowed_packet is %d MiB: a payload of %d MiB, as statements write it, does not fit", f.packet>>20,
			payload>>20), fmt.Sprintf("set max_allowed_packet = %dM, or lower Options.PayloadBytesMax", 2*payload>>20+1))
	check("user", !f.super, "the host logs in as "+f.user,
		"the host logs in as "+f.user+", a superuser: a hole in the checks of SQL would open the whole server",
		"give it a user of its own (docs/mysql.md, Accounts and rights)")
	check("clock", difference <= clockDifferenceMax, "this machine and the server agree",
		fmt.Sprintf("the clocks of this machine and of the server differ by %s: ages are wrong by as much",
			difference.Round(time.Second)), "let NTP set both")
	check("connections", float64(f.connections) <= connectionShareMax*float64(f.maximum),
		fmt.Sprintf("%d of %d are in use", f.connections, f.maximum),
		fmt.Sprintf("%d of %d are in use: soon nobody can connect", f.connections, f.maximum),
		"raise max_connections, or lower Options.ConnectionsMax of hosts")
	fine := "none has been open for longer than an hour"
	if f.hidden {
		fine = "this user does not see those of others; GRANT PROCESS ON *.* shows them"
	}
	check("transactions", f.oldest <= transactionMax, fine,
		fmt.Sprintf("process %d has had a transaction open for %s, so that no old row can be removed", f.oldestProcess,
			f.oldest.Round(time.Minute)), fmt.Sprintf("end it, or run KILL %d", f.oldestProcess))
	return all
}

// describedQuery bounds what is shown of a query.
const describedQuery = 120

// EndHolder is what ends the process that holds the horizon back. See [store.Diagnoser].
func (s backend) EndHolder(process int) string { return fmt.Sprintf("KILL %d", process) }

// EndPrepared ends a prepared transaction. See [store.Diagnoser].
func (s backend) EndPrepared() string {
	return "XA COMMIT or XA ROLLBACK with its xid, as XA RECOVER FORMAT='SQL' shows it"
}

// DescribeLocker tells who has locked rows of the database for the longest time. See [store.LockDiagnoser].
func (s backend) DescribeLocker(ctx context.Context) (process int, who string, open time.Duration, err error) {
	err = s.read(ctx, func(c *conn) error {
		err := c.query(s.queries.diagnose.locker, func(r *row) error {
			process, open = r.int(0), time.Duration(r.int64(1))*time.Second
			who = fmt.Sprintf("user %s from %s", r.text(2), r.text(3))
			return nil
		})
		if isDenied(err) {
			return nil
		}
		return err
	})
	return process, who, open, err
}

// DescribeHolder tells who holds the horizon back, which is known to be likely and no more. See [store.Diagnoser].
func (s backend) DescribeHolder(ctx context.Context, process int) (who string, open time.Duration, err error) {
	err = s.read(ctx, func(c *conn) error {
		who = ""
		if err := c.query(s.queries.diagnose.describe, func(r *row) error {
			who = fmt.Sprintf("probably user %s from %s, in database %s, %s", r.text(0), r.text(1), r.text(2), r.text(3))
			if text := r.text(4); text != "" {
				who += ", statement: " + oneline.Text(fmt.Sprintf("%.*s", describedQuery, text))
			}
			return nil
		}, process); err != nil || who == "" {
			return err
		}
		err := c.query(s.queries.diagnose.since, func(r *row) error {
			open = time.Duration(r.int64(0)) * time.Second
			return nil
		}, process)
		if isDenied(err) {
			return nil
		}
		return err
	})
	return who, open, err
}
