package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store/postgres/internal/grammar"
)

// ConnectionsBeside is how many connections a store keeps open beside those for events and batches.
const ConnectionsBeside = controlConnections + pollConnections

// UseClock makes the store take the time from an SQL expression, for tests that move it. The store must not be in use.
func (s *Store) UseClock(expression string) { s.queries = queriesFor(s.options.Schema, expression) }

// SetSilenceMax sets how long the store waits for an answer beyond a statement's own limit.
func (s *Store) SetSilenceMax(wait time.Duration) { s.silence = wait }

// StmtCacheOff reports whether the store has found that prepared statements are lost.
func (s *Store) StmtCacheOff() bool { return s.stmtCacheOff.Load() }

// PingAtOnce has idle connections pinged however short they were idle.
func (s *Store) PingAtOnce(timeout time.Duration) { s.pingAfter, s.pingTimeout = 0, timeout }

// GrammarOff takes the first lock off the SQL of modules, so that the server's own check is alone.
func (s *Store) GrammarOff() {
	s.read = reader{
		server: s.read.server,
		statement: func(sql string, _ grammar.Tables) (*grammar.Statement, error) {
			return &grammar.Statement{SQL: sql + "\n", Selects: true}, nil // the line break ends a remark
		},
		expression: func(sql string, _ grammar.Tables, _, _ string) (*grammar.Statement, error) {
			return &grammar.Statement{SQL: sql + "\n", Selects: true}, nil
		},
	}
}

// ChecksOff takes both locks off the SQL of modules.
func (s *Store) ChecksOff() {
	s.GrammarOff()
	s.read.server = func(*sandbox, context.Context, *statement, faultFunc) error { return nil }
}

// InSessions asks each session that batches have used the same.
func (s *Store) InSessions(ctx context.Context, sql string) (answers []string, err error) {
	for _, conn := range s.pool.AcquireAllIdle(ctx) {
		var answer string
		if asking := conn.QueryRow(ctx, sql).Scan(&answer); asking != nil {
			err = asking
		}
		answers = append(answers, answer)
		conn.Release()
	}
	return answers, err
}

// CheckServer refuses a server by what it says of itself.
var CheckServer = checkServer

// Backend is a store with all that hosts do in it.
type Backend = backend

// OpenBackend is Open.
func OpenBackend(dsn string, options Options) (Backend, error) {
	s, err := Open(dsn, options)
	return backend{s}, err
}

// NewBackend is New.
func NewBackend(pool *pgxpool.Pool, options Options) (Backend, error) {
	s, err := New(pool, options)
	return backend{s}, err
}

// SQLStates is the table of docs/errors.md.
var SQLStates = sqlStates
