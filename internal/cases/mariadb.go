package cases

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// mariadbServer is a MariaDB server.
type mariadbServer struct {
	url    *url.URL
	prefix string // of the names of databases: short, since those of projections begin with them
	admin  *sql.DB
	number atomic.Int64
}

// MariaDB connects to the server of a URL, as an account that may create databases and users. The caller closes it.
//
// # Errors
//
// [store.ErrTransient] for a server that does not answer. No error has the password.
func MariaDB(ctx context.Context, address string) (Server, error) {
	admin, err := mysql.OpenSQL(address)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the URL of the server for the cases cannot be read")
	}
	admin.SetMaxOpenConns(2)
	if err := admin.PingContext(ctx); err != nil {
		admin.Close()
		return nil, fmt.Errorf("connecting to the server for the cases: %w: %w", store.ErrTransient, err)
	}
	var suffix [4]byte
	_, _ = rand.Read(suffix[:]) // never fails
	return &mariadbServer{url: at, prefix: fmt.Sprintf("pup_%x", suffix), admin: admin}, nil
}

// Close closes the connections.
func (s *mariadbServer) Close() { s.admin.Close() }

// exec runs a statement with the name of a database in it.
func (s *mariadbServer) exec(format, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	_, err := s.admin.ExecContext(ctx, fmt.Sprintf(format, "`"+name+"`"))
	return err
}

// Database makes a database on the server.
func (s *mariadbServer) Database(ctx context.Context) (store.Store, func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	name := fmt.Sprintf("%s_%d", s.prefix, s.number.Add(1))
	if err := s.exec("CREATE DATABASE %s", name); err != nil {
		return nil, nil, fmt.Errorf("cases need an account that may create databases (docs/mysql.md): %w", err)
	}
	db, err := s.open(ctx, name)
	if err != nil {
		return nil, nil, errors.Join(err, s.drop(name))
	}
	return db.Backend(), func() {
		resetAll(db.Backend())
		db.Close()
		_ = s.drop(name)
	}, nil
}

// open opens a database of the server, whatever the URL says of databases, and makes the tables.
func (s *mariadbServer) open(ctx context.Context, name string) (*mysql.Store, error) {
	at := *s.url
	at.Path, at.RawPath = "/"+name, ""
	db, err := mysql.Open(at.String(), mysql.Options{ConnectionsMax: 4})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// resetAll removes the projections of a database with their users, which are the server's. What a host still has stays.
func resetAll(db store.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	all, err := db.Status(ctx)
	if err != nil {
		return
	}
	for i := range all {
		_ = db.Reset(ctx, all[i].Name)
	}
}

// drop removes a database and those of its projections.
func (s *mariadbServer) drop(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	rows, err := s.admin.QueryContext(ctx, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '"+
		strings.ReplaceAll(name, "_", `|_`)+"|_|_%' ESCAPE '|'")
	if err != nil {
		return err
	}
	defer rows.Close()
	names := []string{name}
	for rows.Next() {
		var of string
		if err := rows.Scan(&of); err != nil {
			return err
		}
		names = append(names, of)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, name := range names {
		err = errors.Join(err, s.exec("DROP DATABASE IF EXISTS %s", name))
	}
	return err
}
