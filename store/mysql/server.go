package mysql

import (
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// readOnly is true on a server that takes no writes from users without special rights. Later versions have words for it.
const readOnly = `CAST(@@read_only AS CHAR) NOT IN ('0', 'OFF')`

var errReadOnly = fmt.Errorf("%w: %w: a replica, or a server that takes no writes, does not know which appends are under "+
	"way", store.ErrTransient, store.ErrReadOnly)

// server is what a connection shows of the server and of the log's objects.
type server struct {
	readOnly   bool
	replica    bool
	name       string
	primary    string // of a replica, where it is known
	applied    string // up to where the server has applied the events of another one
	galera     bool
	increment  int64  // by how much positions of a session grow
	triggers   string // those of the events, separated by commas
	rows       int    // of the fence
	engines    string // the tables of the log that are not of InnoDB
	counted    bool   // positions are AUTO_INCREMENT
	log        store.UUID
	checkpoint int64 // the highest one of the log
	events     string
	fence      string
}

// serverQuery asks for all of it.
func serverQuery(in func(string) string) string {
	return in(`SELECT ` + readOnly + `,
			(SELECT variable_value = 'ON' FROM information_schema.global_variables WHERE variable_name = 'WSREP_ON'),
			@@auto_increment_increment, {schema}__log_triggers(),
			(SELECT COUNT(*) FROM {schema}__fence WHERE slot BETWEEN 0 AND 63),
			(SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema = DATABASE()
				AND table_name IN ('{schema}__events', '{schema}__fence') AND engine <> 'InnoDB'),
			(SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{schema}__events'
				AND column_name = 'global_position' AND extra LIKE '%auto_increment%'),
			l.id, COALESCE((SELECT MAX(s.position) FROM {schema}__segments s WHERE s.log_id = l.id), 0),
			` + appliedGTID + `, ` + replicates + `, CONCAT(@@hostname, ':', @@port)
		FROM (SELECT 1) one LEFT JOIN {schema}__log l ON l.one = 1`)
}

// inspect asks the server what it is.
func (c *conn) inspect(q *queries) (seen server, err error) {
	err = c.query(q.check.server, func(r *row) error {
		seen = server{
			readOnly: r.bool(0), galera: r.bool(1), increment: r.int64(2), triggers: r.text(3), rows: r.int(4), engines: r.text(5),
			counted: r.bool(6), log: r.uuid(7), checkpoint: r.int64(8), applied: r.text(9), replica: r.bool(10),
			name: r.text(11), events: q.check.events, fence: q.check.fence,
		}
		return nil
	})
	if err == nil {
		err = seen.findPrimary(c)
	}
	return seen, err
}

// refusal says why a horizon of the server would not be one.
func (s *server) refusal(oneWriter bool) error {
	switch {
	case s.readOnly:
		return errReadOnly
	case s.galera && !oneWriter:
		return fmt.Errorf("the server is a node of a Galera cluster (wsrep_on), where the locks of appends are local to a node: " +
			"events could be skipped. Send all writes to this node and set Options.GaleraSingleWriter, or galera=single-writer in " +
			"the database URL")
	case s.increment != 1:
		return fmt.Errorf("the server gives out positions in steps of %d: set auto_increment_increment = 1, on Galera with "+
			"wsrep_auto_increment_control = OFF", s.increment)
	}
	return store.UnsafeLog(s.faults())
}
