//go:build !unix

package mariadbserver

import "errors"

// Server is one MariaDB server.
type Server struct{}

// Start is not supported here.
func Start(...string) (*Server, error) {
	return nil, errors.New("a private MariaDB server can be started on Unix only: name a server")
}

// URL is empty: there is no server.
func (s *Server) URL(string) string { return "" }

// Stop does nothing.
func (s *Server) Stop() {}
