package cases

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// Server is a server on which cases make databases of their own. Nothing that is there is touched.
type Server interface {
	// Database makes a database on the server. It is a [Database].
	Database(ctx context.Context) (db store.Store, discard func(), err error)
	// Close removes what is left and closes the connections.
	Close()
}

// postgresServer is a PostgreSQL server.
type postgresServer struct {
	config *pgxpool.Config
	prefix string // of the names of databases
	admin  *pgxpool.Pool

	mu       sync.Mutex
	template string // a database with pupwasm's tables, which others are copies of
	number   int
}

// adminTimeout bounds the making and the removal of a database. They are not cancelled: what was made must be removed.
const adminTimeout = time.Minute

// Postgres connects to the server of a URL, as a role that may create databases. The caller closes it.
//
// # Errors
//
// [store.ErrTransient] for a server that does not answer. No error has the password.
func Postgres(ctx context.Context, dsn string) (Server, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the URL of the server for the cases cannot be read")
	}
	config.MaxConns, config.MinConns = 2, 0
	admin, err := pgxpool.NewWithConfig(ctx, config)
	if err == nil {
		err = admin.Ping(ctx)
	}
	if err != nil {
		if admin != nil {
			admin.Close()
		}
		return nil, fmt.Errorf("connecting to the server for the cases: %w: %w", store.ErrTransient, err)
	}
	var suffix [6]byte
	_, _ = rand.Read(suffix[:]) // never fails
	return &postgresServer{config: config, prefix: fmt.Sprintf("pupwasm_test_%x", suffix), admin: admin}, nil
}

// Close removes what is left and closes the connections.
func (s *postgresServer) Close() {
	if s.template != "" {
		_ = s.drop(s.template)
	}
	s.admin.Close()
}

// exec runs a statement with names in it.
func (s *postgresServer) exec(format string, names ...string) error {
	quoted := make([]any, len(names))
	for i, name := range names {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	_, err := s.admin.Exec(ctx, fmt.Sprintf(format, quoted...))
	return err
}

func (s *postgresServer) drop(name string) error {
	return s.exec("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)
}

// Database makes a database on the server.
func (s *postgresServer) Database(ctx context.Context) (store.Store, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if s.template == "" {
		if err := s.makeTemplate(ctx); err != nil {
			return nil, nil, err
		}
	}
	s.number++
	name := fmt.Sprintf("%s_%d", s.prefix, s.number)
	err := s.exec("CREATE DATABASE %s TEMPLATE %s", name, s.template)
	if err == nil {
		// A planner that knows nothing of new tables would compile statements that take no time.
		err = s.exec("ALTER DATABASE %s SET jit = off", name)
	}
	var db *postgres.Store
	var closeAll func()
	if err == nil {
		db, closeAll, err = s.open(ctx, name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.drop(name))
	}
	return db.Backend(), func() {
		closeAll()
		_ = s.drop(name)
	}, nil
}

func (s *postgresServer) makeTemplate(ctx context.Context) error {
	name := s.prefix + "_template"
	if err := s.exec("CREATE DATABASE %s", name); err != nil {
		return fmt.Errorf("cases need a role that may create databases (ALTER ROLE … CREATEDB): %w", err)
	}
	db, closeAll, err := s.open(ctx, name)
	if err == nil {
		err = db.Migrate(ctx)
		closeAll()
	}
	if err != nil {
		return errors.Join(err, s.drop(name))
	}
	s.template = name
	return nil
}

// open opens a database of the server, whatever the URL says of databases.
func (s *postgresServer) open(ctx context.Context, name string) (db *postgres.Store, closeAll func(), err error) {
	config := s.config.Copy()
	config.ConnConfig.Database, config.MaxConns = name, 4
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	if db, err = postgres.New(pool, postgres.Options{}); err != nil {
		pool.Close()
		return nil, nil, err
	}
	return db, func() { db.Close(); pool.Close() }, nil
}
