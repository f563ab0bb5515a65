package postgres

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/pupwasm/pupwasm/store"
)

// Many rows that are inserted are written by COPY, which takes the server half of the time of an INSERT, and a third of
// that with ON CONFLICT. COPY cannot be within a function of the projection's role (see isolation.go): it runs with
// the rights of the host. So it is for projections only that bring no SQL, which nothing of theirs could run in, and for
// tables without triggers or rules, which somebody has made.

// copyRowsMin is the fewest rows for which COPY is worth three more round trips.
const copyRowsMin = 4096

// copySQL is the COPY for the rows of a write, or "" where a type has no binary form of ours.
func copySQL(p placed, w *store.Write, columns []string, params []store.Type) string {
	if p.HasSQL() || w.Action != store.Insert {
		return ""
	}
	for _, t := range params {
		if t.Array || formatOf(t) != binaryFormat {
			return ""
		}
	}
	return "COPY " + p.table(w.Table) + " (" + quoteList(columns) + ") FROM STDIN (FORMAT binary)"
}

// plainTable asks whether nothing runs when rows are inserted into a table, and nothing hides them.
var plainTable = statement{
	sql: `SELECT NOT (relhastriggers OR relhasrules OR relrowsecurity) FROM pg_catalog.pg_class
		WHERE oid = pg_catalog.to_regclass($1)`,
	params: []store.Type{{Kind: store.KindText}}, results: []store.Type{{Kind: store.KindBool}},
}

// copyStep writes a step by COPY, once the server has answered what was sent before, and returns a pipeline for what
// comes next. A table for which that will not do gets the rows by statements.
func (x *tx) copyStep(ctx context.Context, p *pipeline, step *store.Step) (*pipeline, error) {
	write := &x.catalogue.writes[step.Write]
	x.params.reset()
	x.params.add(plainTable.params[0], store.Text(write.table))
	p.send(&plainTable, x.params.values())
	var plain store.Rows
	err := p.finish(func(of *statementResult) error {
		if of.statement == &plainTable {
			plain.Reset(1)
			return of.collect(&plain)
		}
		return of.drain()
	})
	if err != nil {
		return nil, err
	}
	if len(plain.Values) == 0 || !plain.Values[0].Bool() {
		if p, err = x.pipeline(ctx); err == nil {
			p.sendStep(x.catalogue, x.params, step)
		}
		return p, err
	}
	rows := stepRows{step: step}
	_, err = x.conn.Conn().PgConn().CopyFrom(ctx, &copyReader{appendRow: rows.append}, write.copies)
	if err != nil {
		return nil, x.deadline.attribute(write, err)
	}
	return x.pipeline(ctx)
}

// stepRows are the rows of a step in the binary format of COPY.
type stepRows struct {
	step *store.Step
	next int
}

func (r *stepRows) append(dst []byte) (row []byte, more bool) {
	if r.next == r.step.Count {
		return dst, false
	}
	values := r.step.Values[r.next*r.step.Width : (r.next+1)*r.step.Width]
	r.next++
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(values)))
	for _, v := range values {
		dst = appendSized(dst, v)
	}
	return dst, true
}

// copySignature begins the format: magic, flags, and no extension.
const copySignature = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// copyReader gives rows in the binary format of COPY.
type copyReader struct {
	// appendRow appends the next row, as long as there are more.
	appendRow func(dst []byte) (row []byte, more bool)
	buffer    []byte
	read      int
	started   bool
	ended     bool
}

// Read is io.Reader, for COPY.
func (r *copyReader) Read(into []byte) (int, error) {
	if r.read == len(r.buffer) {
		r.buffer, r.read = r.buffer[:0], 0
		if !r.started {
			r.started = true
			r.buffer = append(r.buffer, copySignature...)
		}
		for more := !r.ended; more && len(r.buffer) < len(into); {
			if r.buffer, more = r.appendRow(r.buffer); !more {
				r.ended = true
				r.buffer = append(r.buffer, 0xff, 0xff)
			}
		}
		if len(r.buffer) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(into, r.buffer[r.read:])
	r.read += n
	return n, nil
}
