package mysql

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// horizonQueries are the statements of looks at the append fence.
type horizonQueries struct {
	look     string
	rows     string
	prepares string
	xids     string
	holder   string
}

// rowsMax is how many events a look compares at once: more than come between two looks. chunkMax is how many it compares
// where that was not enough, and chunksMax how often it does so.
const (
	rowsMax   = 1000
	chunkMax  = 10_000
	chunksMax = 20
)

func horizonQueriesFor(in func(string) string) horizonQueries {
	// READ UNCOMMITTED is for the next statement only.
	rows := in(`SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;
		SELECT global_position FROM {schema}__events WHERE global_position > $1 AND global_position <= @pupwasm_head
			ORDER BY global_position LIMIT $2;
		SELECT global_position FROM {schema}__events WHERE global_position > $1 AND global_position <= @pupwasm_head
			ORDER BY global_position LIMIT $2`)
	return horizonQueries{
		// The second statement finds no row, and looks at those that it can lock: the server lets a row go at once that the
		// condition does not want. With FOR UPDATE alone, hosts that look at the same time would get in each other's way.
		look: in(`SELECT @pupwasm_head := COALESCE((SELECT MAX(global_position) FROM {schema}__events), 0),
				(SELECT id FROM {schema}__log WHERE one = 1), @pupwasm_free := 0, `+readOnly+`;
			SELECT 1 FROM {schema}__fence WHERE (@pupwasm_free := @pupwasm_free | (1 << slot)) IS NULL
				FOR UPDATE SKIP LOCKED;
			SELECT @pupwasm_free, `+appliedGTID+`; `) + rows,
		rows: rows,
		// How many transactions were prepared, or are about to be, since the server has started.
		prepares: `SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'COM_XA_PREPARE';
			XA RECOVER`,
		xids: `XA RECOVER FORMAT='SQL'`,
		// The table is renewed only when nobody has read it for 100 ms.
		holder: `SELECT t.trx_mysql_thread_id FROM information_schema.innodb_trx t JOIN information_schema.processlist p
				ON p.id = t.trx_mysql_thread_id
			WHERE t.trx_tables_locked > 0 AND p.db = DATABASE() AND p.id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 1`,
	}
}

// sight is what a look has seen.
type sight struct {
	head int64
	log  store.UUID
	free uint64 // a bit for each row of the fence
	rows twice

	applied string // see [server]
}

// twice is positions of the same part of the log, in order: of all events, and then of the committed ones.
type twice struct {
	limit          int // of each of them
	all, committed []int64
}

// lookAt looks at the fence, and at the events behind a position.
func (c *conn) lookAt(q *horizonQueries, after int64, more string, read func(r *row) error) (*sight, error) {
	seen := &sight{rows: twice{limit: rowsMax}}
	text, err := expand(q.look, []any{after, rowsMax})
	if err != nil {
		return nil, err
	}
	if more != "" {
		text += "; " + more
	}
	known := false
	err = c.results(text, func(result int, r *row) error {
		switch result {
		case 0:
			if r.bool(3) {
				return errReadOnly
			}
			seen.head, seen.log, known = r.int64(0), r.uuid(1), !r.null(1)
		case 1: // never
		case 2:
			seen.free, seen.applied = uint64(r.int64(0)), r.text(1)
		case 3:
			seen.rows.all = append(seen.rows.all, r.int64(0))
		case 4:
			seen.rows.committed = append(seen.rows.committed, r.int64(0))
		default:
			return read(r)
		}
		return nil
	})
	if err == nil && !known {
		err = errNoLogID
	}
	return seen, err
}

// uncommitted lowers the horizon to where a transaction is prepared, if one is. It reports that it has. after is the last
// horizon, up to which there is none.
//
// XA PREPARE releases the lock on the fence, and so does a restart of the server. The events of a prepared transaction are
// all there. So one that is prepared has an event that is there for READ UNCOMMITTED, and afterwards is not committed. XA
// RECOVER alone would not do: it lists a transaction a moment after its locks were released.
//
// When there are many events to compare, the server is asked first whether a transaction was ever prepared.
func (c *conn) uncommitted(q *horizonQueries, rows *twice, after int64, horizon *int64) (prepared bool, err error) {
	for chunk := range chunksMax {
		if after >= *horizon {
			return false, nil
		}
		first, through := rows.compare(*horizon)
		if first > 0 {
			*horizon = max(first-1, after)
			return true, nil
		}
		if through >= *horizon {
			return false, nil
		}
		if chunk == 0 {
			if never, err := c.neverPrepared(q); err != nil || never {
				return false, err
			}
		}
		after = through
		if rows, err = c.rowsBehind(q, after); err != nil {
			return false, err
		}
	}
	*horizon = after // the next look goes on there
	return false, nil
}

// compare returns the first position up to the horizon of an event that is not committed, or 0, and through where it has
// compared.
func (t *twice) compare(horizon int64) (first, through int64) {
	through = horizon
	for _, list := range [][]int64{t.all, t.committed} {
		if len(list) == t.limit {
			through = min(through, list[len(list)-1])
		}
	}
	for _, position := range t.all {
		if position > through {
			break
		}
		if _, is := slices.BinarySearch(t.committed, position); !is {
			return position, through
		}
	}
	return 0, through
}

// rowsBehind reads the next part of the log up to the head of the last look.
func (c *conn) rowsBehind(q *horizonQueries, after int64) (*twice, error) {
	rows := &twice{limit: chunkMax}
	text, err := expand(q.rows, []any{after, chunkMax})
	if err != nil {
		return nil, err
	}
	return rows, c.results(text, func(result int, r *row) error {
		if result == 0 {
			rows.all = append(rows.all, r.int64(0))
		} else {
			rows.committed = append(rows.committed, r.int64(0))
		}
		return nil
	})
}

// neverPrepared reports that no transaction is prepared, because none ever was since the server has started and none is
// left of before.
func (c *conn) neverPrepared(q *horizonQueries) (never bool, err error) {
	left := false
	err = c.results(q.prepares, func(result int, r *row) error {
		if result == 0 {
			never = r.int64(0) == 0
		} else {
			left = true
		}
		return nil
	})
	return never && !left, err
}

// results runs a text of several statements and gives each row to handle, with the number of its result among those of
// statements that have one.
func (c *conn) results(text string, handle func(result int, r *row) error) (err error) {
	raw, is := c.session.(rawSession)
	if !is {
		return fmt.Errorf("several results of a %T", c.session)
	}
	rows, err := raw.conn.QueryContext(c.ctx, text, nil)
	if err != nil {
		return err
	}
	next, is := rows.(driver.RowsNextResultSet)
	if !is {
		return fmt.Errorf("the driver's rows are %T", rows)
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	for result := 0; ; result++ {
		r := row{values: make([]driver.Value, len(rows.Columns()))}
		for {
			if err := rows.Next(r.values); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			if err := handle(result, &r); err != nil {
				return err
			}
		}
		if !next.HasNextResultSet() {
			return nil
		}
		if err := next.NextResultSet(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
