package cases

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// Server is a PostgreSQL server on which cases make databases of their own. Nothing that is there is touched.
type Server struct {
	url    string
	prefix string // of the names of databases

	mu       sync.Mutex
	admin    *pgx.Conn
	template string // a database with pupwasm's tables, which others are copies of
	number   int
}

// Postgres connects to the server of a URL, as a role that may create databases. The caller closes it.
//
// # Errors
//
// Those of connecting, in which there is no password.
func Postgres(ctx context.Context, dsn string) (*Server, error) {
	admin, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connecting to the server for the cases: %w", err)
	}
	var suffix [6]byte
	_, _ = rand.Read(suffix[:]) // never fails
	return &Server{url: dsn, prefix: fmt.Sprintf("pupwasm_test_%x", suffix), admin: admin}, nil
}

// Close removes what is left and closes the connection.
func (s *Server) Close() {
	ctx := context.Background()
	if s.template != "" {
		_ = s.drop(ctx, s.template)
	}
	s.admin.Close(ctx)
}

// exec runs a statement with a name in it.
func (s *Server) exec(ctx context.Context, format string, names ...string) error {
	quoted := make([]any, len(names))
	for i, name := range names {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	_, err := s.admin.Exec(ctx, fmt.Sprintf(format, quoted...))
	return err
}

func (s *Server) drop(ctx context.Context, name string) error {
	return s.exec(ctx, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name)
}

// Database makes a database on the server.
func (s *Server) Database(ctx context.Context) (store.Store, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.template == "" {
		if err := s.makeTemplate(ctx); err != nil {
			return nil, nil, err
		}
	}
	s.number++
	name := fmt.Sprintf("%s_%d", s.prefix, s.number)
	if err := s.exec(ctx, "CREATE DATABASE %s TEMPLATE %s", name, s.template); err != nil {
		return nil, nil, err
	}
	db, err := s.open(name)
	if err != nil {
		return nil, nil, errors.Join(err, s.drop(ctx, name))
	}
	return db.Backend(), func() {
		db.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = s.drop(context.WithoutCancel(ctx), name)
	}, nil
}

func (s *Server) makeTemplate(ctx context.Context) error {
	name := s.prefix + "_template"
	if err := s.exec(ctx, "CREATE DATABASE %s", name); err != nil {
		return fmt.Errorf("cases need a role that may create databases (ALTER ROLE … CREATEDB): %w", err)
	}
	db, err := s.open(name)
	if err == nil {
		err = db.Migrate(ctx)
		db.Close()
	}
	if err != nil {
		return errors.Join(err, s.drop(ctx, name))
	}
	s.template = name
	return nil
}

// open opens a database of the server.
func (s *Server) open(name string) (*postgres.Store, error) {
	dsn := s.url + " dbname=" + name
	if before, after, query := strings.Cut(s.url, "?"); query {
		dsn = before + "?dbname=" + name + "&" + after // the first one counts, and more than the path
	} else if strings.Contains(s.url, "://") {
		dsn = s.url + "?dbname=" + name
	}
	return postgres.Open(dsn, postgres.Options{ConnectionsMax: 4})
}
