package mysql

import (
	"context"
	"regexp"
	"time"

	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

// Backend is a store with all that hosts do in it.
type Backend = backend

// ErrorNumbers is what errors of the server mean.
var ErrorNumbers = errorNumbers

// OpenBackend is Open.
func OpenBackend(url string, options Options) (Backend, error) {
	s, err := Open(url, options)
	return backend{s}, err
}

// IdleWithin are options with another limit on transactions that have nothing to do.
func (o Options) IdleWithin(limit time.Duration) Options {
	o.idleMax = limit
	return o
}

// UseClock makes the store take the time from an SQL expression, for tests that move it. The store must not be in use.
func (s *Store) UseClock(expression string) {
	s.queries = queriesFor(s.database, s.options.Schema, expression)
}

// LookingProcess is the connection that looks at the append fence.
func (s *Store) LookingProcess(ctx context.Context) (process int, err error) {
	err = s.look(ctx, func(c *conn) error {
		return c.query("SELECT CONNECTION_ID()", func(r *row) error {
			process = r.int(0)
			return nil
		})
	})
	return process, err
}

// SetSilence sets how long the answer to a statement of a module is waited for beyond its limit. The store must not be in
// use.
func (s *Store) SetSilence(silence time.Duration) { s.silence, s.silenceLocked = silence, silence }

// Setting is what a query of one value gives on a connection of the store.
func (s *Store) Setting(ctx context.Context, query string) (value string, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(query, func(r *row) error {
			value = r.text(0)
			return nil
		})
	})
	return value, err
}

// LockName is the name of a projection's lock.
func (s *Store) LockName(projection string) string { return s.lockName("", projection) }

// RefuseGalera is what a node of a cluster gets.
func RefuseGalera(oneWriter bool) error {
	node := server{
		galera: true, increment: 1, rows: slots, counted: true, events: "events", triggers: "events_fence,events_keep_position",
	}
	return node.refusal(oneWriter)
}

// GrammarOff takes the first lock off the SQL of modules, so that the server's own check is alone.
func (s *Store) GrammarOff() {
	parameter := regexp.MustCompile(`\$([0-9]+)`)
	s.reader = reader{
		server: s.reader.server,
		statement: func(sql string, _ grammar.Tables) (*grammar.Statement, error) {
			sql = parameter.ReplaceAllString(sql, "`$$$1`")
			return &grammar.Statement{SQL: sql, Selects: selects.MatchString(sql)}, nil
		},
		expression: func(sql string, _ grammar.Row) (string, error) { return sql, nil },
	}
}

// ChecksOff takes both locks off the SQL of modules, so that the rights of the projection's user are all that there is.
func (s *Store) ChecksOff() {
	s.GrammarOff()
	s.reader.server = func(*conn, placed, *statement) error { return nil }
}

var selects = regexp.MustCompile(`(?i)^\s*(SELECT|WITH|VALUES|\()`)
