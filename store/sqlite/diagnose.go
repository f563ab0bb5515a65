package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// walBytesMax is the size of the write-ahead log from which on a reader seems to keep it from being emptied.
const walBytesMax = 1 << 30

// Diagnose looks at the file. See [store.Diagnoser].
func (s backend) Diagnose(ctx context.Context) (all []store.Diagnosis, err error) {
	var version, mode string
	if err = s.read(ctx, func(c *conn) error {
		return c.query("SELECT sqlite_version(), journal_mode FROM pragma_journal_mode", func(row *prepared) error {
			version, mode = row.ColumnText(0), row.ColumnText(1)
			return nil
		})
	}); err != nil {
		return nil, err
	}
	all = append(all, store.Diagnosis{
		Check: "server", Severity: store.SeverityOK, Finding: "SQLite " + version + ", journal mode " + mode,
	})
	wal := store.Diagnosis{Check: "write-ahead log", Severity: store.SeverityOK, Finding: "it is short"}
	if info, err := os.Stat(s.path + "-wal"); err == nil && info.Size() > walBytesMax {
		wal = store.Diagnosis{
			Check: wal.Check, Severity: store.SeverityWarning,
			Finding: fmt.Sprintf("%s-wal has %d MiB, which slows reads and takes space", s.path, info.Size()>>20),
			Remedy:  "end the program that has had the file open for reading for so long",
		}
	}
	return append(all, wal), nil
}

// DescribeHolder has nobody to tell of: one transaction writes at a time. See [store.Diagnoser].
func (s backend) DescribeHolder(context.Context, int) (who string, open time.Duration, err error) {
	return "", 0, nil
}

// EndHolder has nobody to end. See [store.Diagnoser].
func (s backend) EndHolder(int) string { return "" }

// EndPrepared has nothing to end. See [store.Diagnoser].
func (s backend) EndPrepared() string { return "" }
