package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// CheckLog finds what would make readers skip events. See [store.LogChecker].
func (s backend) CheckLog(ctx context.Context) error {
	var objects []string
	var sequence, last, checkpoint int64
	err := s.read(ctx, func(c *conn) error {
		if err := c.query(s.queries.logTriggers, func(row *prepared) error {
			objects = append(objects, row.ColumnText(0))
			return nil
		}); err != nil {
			return err
		}
		return c.query(s.queries.logPositions, func(row *prepared) error {
			sequence, last, checkpoint = row.ColumnInt64(0), row.ColumnInt64(1), row.ColumnInt64(2)
			return nil
		})
	})
	if err != nil {
		return err
	}
	var faults []store.LogFault
	table := s.queries.events
	var gone []string
	for _, trigger := range []string{table + "_check_position", table + "_keep_position"} {
		if !slices.Contains(objects, trigger) {
			gone = append(gone, trigger)
		}
	}
	if len(gone) > 0 {
		faults = append(faults, store.LogFault{
			Fault:  fmt.Sprintf("%s lacks the triggers %s", table, strings.Join(gone, ", ")),
			Remedy: "create them as migrations.Script(SQLite) has them",
		})
	}
	if !slices.Contains(objects, "AUTOINCREMENT") {
		faults = append(faults, store.LogFault{
			Fault: table + " has lost its AUTOINCREMENT, so that positions of deleted events are given out again",
			Remedy: "create the table as migrations.Script(SQLite) has it, and copy the events " +
				"with their positions",
		})
	} else if sequence < last {
		faults = append(faults, store.LogFault{
			Fault: fmt.Sprintf("the last position of %s is %d in sqlite_sequence, and an event has position %d", table,
				sequence, last),
			Remedy: fmt.Sprintf("run DELETE FROM sqlite_sequence WHERE name = '%s'; INSERT INTO sqlite_sequence "+
				"VALUES ('%s', %d)",
				table, table, max(last, checkpoint)),
		})
	}
	return store.UnsafeLog(faults)
}
