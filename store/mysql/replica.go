package mysql

import (
	"fmt"
	"time"
)

// A replica has no fence: replication runs no triggers there, and its events appear in the order of their commits. It
// takes writes of others as well, unless it is read_only, so that it looks like any server.
//
// Users without rights see whether events are being applied, and up to which GTID they were. Those with SLAVE MONITOR also
// see streams that are stopped for the moment.

// replicaEvery is how often a store asks, besides when the GTID has moved, which it does not when the primary has none.
const replicaEvery = 5 * time.Second

// The statements about replication. The words are those that all versions know.
const (
	appliedGTID = `@@gtid_slave_pos`
	replicates  = `(SELECT SUM(variable_value) FROM information_schema.global_status WHERE variable_name = 'SLAVES_RUNNING') > 0`
	streams     = `SHOW ALL SLAVES STATUS`
)

// replicates reports that the server applies events of another one now.
func (c *conn) replicates() (does bool, err error) {
	err = c.query(`SELECT `+replicates, func(r *row) error {
		does = r.bool(0)
		return nil
	})
	return does, err
}

// findPrimary finds the stream of a replica, if the user may see it.
func (s *server) findPrimary(c *conn) error {
	err := c.query(streams, func(r *row) error {
		s.replica, s.primary = true, fmt.Sprintf("%s:%s", r.text(3), r.text(5))
		return nil
	})
	if isDenied(err) {
		return nil
	}
	return err
}

// replicaFault is what is wrong with a replica, and what to do.
func (s *server) replicaFault() (fault, remedy string) {
	from := "another server"
	if s.primary != "" {
		from = s.primary
	}
	return fmt.Sprintf("the server %s is a replica of %s, and replication does not wait for the append fence", s.name, from),
		"name the primary in the database URL, or, if this server has been promoted, run STOP ALL SLAVES and RESET SLAVE ALL on it"
}
