//go:build !unix

package pgserver

import "errors"

// Server is one PostgreSQL server.
type Server struct {
	DSN string // of the database "postgres" as superuser, over TCP
}

// Start is not supported here.
func Start(...string) (*Server, error) {
	return nil, errors.New("a private PostgreSQL server can be started on Unix only: name a server")
}

// Stop does nothing.
func (s *Server) Stop() {}
