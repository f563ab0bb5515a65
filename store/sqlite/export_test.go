package sqlite

// UseClock makes the store take the time from an SQL expression, for tests that move it. The store must not be in use.
func (s *Store) UseClock(expression string) { s.queries = queriesFor(s.options.Schema, expression) }
