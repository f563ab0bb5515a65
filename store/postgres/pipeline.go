package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// pipeline sends statements without waiting and then reads their results in order.
type pipeline struct {
	inner    *pgconn.Pipeline
	stmts    *stmtCache
	sent     []*statement
	more     int       // transactions besides the first
	deadline *deadline // of the transaction, or nil
}

func (s *Store) startPipeline(ctx context.Context, conn *pgxpool.Conn) *pipeline {
	inner := conn.Conn().PgConn()
	return &pipeline{inner: inner.StartPipeline(ctx), stmts: s.stmtCacheOf(inner)}
}

// send adds a statement. Its parameters and its result are in binary, except for the kinds that formatOf excepts.
func (p *pipeline) send(s *statement, values [][]byte) {
	oids, formats := s.wire()
	p.sent = append(p.sent, s)
	switch p.stmts.use(s) {
	case uncached:
		p.inner.SendQueryParams(s.sql, values, oids, formats, resultFormats)
		return
	case toPrepare:
		p.inner.SendPrepare(s.cachedAs, s.sql, oids)
	}
	p.inner.SendQueryPrepared(s.cachedAs, values, formats, resultFormats)
}

// rebind adds the statement that was sent last once more, with other values. The server does not parse it again.
func (p *pipeline) rebind(s *statement, values [][]byte) {
	if s.cachedAs != "" {
		p.send(s, values)
		return
	}
	_, formats := s.wire()
	p.sent = append(p.sent, s)
	p.inner.SendQueryPrepared("", values, formats, resultFormats)
}

// flush has the server begin with what was sent. The client reads meanwhile, or both could wait for each other for
// ever. finish reports its error too.
func (p *pipeline) flush() { _ = p.inner.Flush() }

var resultFormats = []int16{binaryFormat}

// wire returns the types and formats of the parameters.
func (s *statement) wire() (oids []uint32, formats []int16) {
	oids, formats = make([]uint32, len(s.params)), make([]int16, len(s.params))
	for i, t := range s.params {
		t.Array = t.Array || s.set
		oids[i], formats[i] = oidOf(t), formatOf(t)
	}
	return oids, formats
}

// next ends the transaction and begins another one within the same round trip.
func (p *pipeline) next() {
	p.inner.SendPipelineSync()
	p.more++
}

// statementResult is what came back for one statement.
type statementResult struct {
	statement *statement
	reader    *pgconn.ResultReader
}

func (r *statementResult) drain() error {
	_, err := r.reader.Close()
	return err
}

// collect adds the rows to a result. The rest of one that is too large is read and dropped, which the statement's
// time limit bounds.
func (r *statementResult) collect(rows *store.Rows) error {
	for r.reader.NextRow() {
		if err := readRow(r.statement.name, r.statement.results, r.reader.Values(), rows); err != nil {
			return err
		}
	}
	return r.drain()
}

// readRow adds a row of a result to rows.
func readRow(statement string, types []store.Type, row [][]byte, rows *store.Rows) error {
	for i, data := range row {
		err := rows.Reserve(len(data), elementsOf(types[i], data))
		var value store.Value
		if err == nil {
			value, err = decodeResult(types[i], data)
		}
		if err != nil {
			return &store.RejectedError{Statement: statement, Reason: err.Error()}
		}
		rows.Values = append(rows.Values, value)
	}
	return nil
}

// finish sends everything, gives each result to handle, and returns the first error in the words of package store.
func (p *pipeline) finish(handle func(*statementResult) error) (err error) {
	defer func() {
		if closing := p.inner.Close(); err == nil && closing != nil {
			err = translate(closing)
		}
	}()
	if err := p.inner.Sync(); err != nil {
		return translate(err)
	}
	for next, left := 0, 1+p.more; left > 0; {
		result, err := p.inner.GetResults()
		if err != nil {
			return p.translate(next, err)
		}
		switch result := result.(type) {
		case nil:
			return nil
		case *pgconn.PipelineSync:
			left--
		case *pgconn.StatementDescription:
			p.stmts.add(p.sent[next])
		case *pgconn.ResultReader:
			if err := handle(&statementResult{statement: p.sent[next], reader: result}); err != nil {
				return p.translate(next, err)
			}
			next++
		}
	}
	return nil
}

// translate puts what went wrong with one of the statements into the words of package store.
func (p *pipeline) translate(at int, err error) error {
	var rejection *store.RejectedError
	if errors.As(err, &rejection) {
		return err
	}
	if p.stmts.lost(err) {
		return errStatementsLost
	}
	if at < len(p.sent) {
		if p.sent[at] == &checkMark {
			if fault := markFault(err); fault != nil {
				return fault
			}
		}
		return p.deadline.attribute(p.sent[at], err)
	}
	return translate(err)
}
