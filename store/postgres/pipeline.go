package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// pipeline sends statements without waiting and then reads their results in order.
type pipeline struct {
	inner *pgconn.Pipeline
	sent  []*statement
}

func startPipeline(ctx context.Context, conn *pgxpool.Conn) *pipeline {
	return &pipeline{inner: conn.Conn().PgConn().StartPipeline(ctx)}
}

// send adds a statement. Its parameters and its result are in binary, but for the kinds that formatOf excepts.
func (p *pipeline) send(s *statement, values [][]byte) {
	oids := make([]uint32, len(s.params))
	formats := make([]int16, len(s.params))
	for i, t := range s.params {
		t.Array = t.Array || s.set
		oids[i], formats[i] = oidOf(t), formatOf(t)
	}
	p.inner.SendQueryParams(s.sql, values, oids, formats, []int16{binaryFormat})
	p.sent = append(p.sent, s)
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

// resultBytesMax bounds what a query of a projection may bring into the host's memory. The rest of a larger result is read
// and dropped, which the statement's time limit bounds.
const resultBytesMax = 64 << 20

func (r *statementResult) collect(rows *store.Rows) error {
	size := 0
	for r.reader.NextRow() {
		for i, data := range r.reader.Values() {
			if size += valueBytes + len(data); size > resultBytesMax {
				return &store.RejectedError{Statement: r.statement.name, Reason: fmt.Sprintf("the result has more than %d MiB", resultBytesMax>>20)}
			}
			value, err := decodeResult(r.statement.results[i], data)
			if err != nil {
				return &store.RejectedError{Statement: r.statement.name, Reason: err.Error()}
			}
			rows.Values = append(rows.Values, value)
		}
	}
	return r.drain()
}

// valueBytes is about what a value takes besides its bytes.
const valueBytes = 64

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
	for next := 0; ; {
		result, err := p.inner.GetResults()
		if err != nil {
			return p.translate(next, err)
		}
		switch result := result.(type) {
		case nil, *pgconn.PipelineSync:
			return nil
		case *pgconn.ResultReader:
			if err := handle(&statementResult{statement: p.sent[next], reader: result}); err != nil {
				return p.translate(next, err)
			}
			next++
		}
	}
}

func (p *pipeline) translate(at int, err error) error {
	var rejection *store.RejectedError
	if errors.As(err, &rejection) {
		return err
	}
	if at < len(p.sent) && p.sent[at].name != "" {
		return rejected(p.sent[at].name, err)
	}
	return translate(err)
}
