package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// checkQueries are the statements that look at the log's own objects.
type checkQueries struct {
	server string
	events string
	fence  string
}

func checkQueriesFor(in func(string) string) checkQueries {
	return checkQueries{server: serverQuery(in), events: in(`{schema}__events`), fence: in(`{schema}__fence`)}
}

// CheckLog finds what would make readers skip events. See [store.LogChecker].
func (s backend) CheckLog(ctx context.Context) error {
	return s.read(ctx, func(c *conn) error {
		seen, err := c.inspect(&s.queries)
		if err != nil {
			return err
		}
		return store.UnsafeLog(seen.faults())
	})
}

// faults are what is wrong with the log's own objects.
func (s *server) faults() (faults []store.LogFault) {
	add := func(remedy, fault string, args ...any) {
		faults = append(faults, store.LogFault{Fault: fmt.Sprintf(fault, args...), Remedy: remedy})
	}
	if s.replica && !s.readOnly { // which may be promoted, and until then has no horizon
		fault, remedy := s.replicaFault()
		add(remedy, "%s", fault)
	}
	there := strings.Split(s.triggers, ",")
	var gone []string
	for _, trigger := range []string{s.events + "_fence", s.events + "_keep_position"} {
		if !slices.Contains(there, trigger) {
			gone = append(gone, trigger)
		}
	}
	if len(gone) > 0 {
		add("create them as migrations.Script(MySQL) has them", "%s lacks the triggers %s", s.events, strings.Join(gone, ", "))
	}
	if s.rows != slots {
		add(fmt.Sprintf("run INSERT IGNORE INTO %s (slot) VALUES %s", s.fence, slotList()),
			"%s has %d of its %d rows, so that appends fail or are not seen to end", s.fence, s.rows, slots)
	}
	if s.engines != "" {
		tables := strings.Split(s.engines, ",")
		for i, table := range tables {
			tables[i] = "ALTER TABLE " + table + " ENGINE=InnoDB"
		}
		add("run "+strings.Join(tables, "; "), "%s is not of InnoDB, and has no transactions", s.engines)
	}
	if !s.counted {
		add("run ALTER TABLE "+s.events+" MODIFY global_position BIGINT NOT NULL AUTO_INCREMENT",
			"positions of %s are not AUTO_INCREMENT", s.events)
	}
	return faults
}

// slotList is the rows of the fence as an INSERT has them.
func slotList() string {
	all := make([]string, slots)
	for i := range all {
		all[i] = fmt.Sprintf("(%d)", i)
	}
	return strings.Join(all, ", ")
}
