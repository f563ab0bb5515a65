package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/migrations"
)

// ParseURL reads mysql://user:password@host:port/database, or mariadb://…, as the driver's configuration. Parameters:
// tls (true, skip-verify, preferred, false), tls-ca (a file of certificates in PEM that the server's must come of, in
// place of the system's), timeout, socket (the path of a Unix socket in place of host and port), and
// galera=single-writer, which is Options.GaleraSingleWriter.
// Errors do not show the URL, which may have a password.
//
// # Errors
//
// Another scheme, no database, a parameter that is unknown.
func ParseURL(text string) (*mysql.Config, error) {
	config, _, err := parseURL(text)
	return config, err
}

// urlOptions are options of the store that a URL has.
type urlOptions struct{ galeraSingleWriter bool }

func parseURL(text string) (config *mysql.Config, options urlOptions, err error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, options, errors.New("the database URL cannot be read; within a password @ is written %40, / is %2F, # is %23, " +
			"? is %3F and % is %25")
	}
	if scheme := strings.ToLower(parsed.Scheme); scheme != "mysql" && scheme != "mariadb" {
		return nil, options, errors.New("the database URL does not begin with mysql:// or mariadb://")
	}
	config = mysql.NewConfig()
	config.Net, config.User = "tcp", parsed.User.Username()
	config.Passwd, _ = parsed.User.Password()
	port := parsed.Port()
	if port == "" {
		port = "3306"
	}
	host := parsed.Hostname()
	if host == "" {
		host = "127.0.0.1"
	}
	if strings.Contains(host, ",") {
		return nil, options, errors.New("the database URL names several hosts: name one")
	}
	config.Addr = net.JoinHostPort(host, port)
	config.DBName = strings.TrimPrefix(parsed.Path, "/")
	if config.DBName == "" || strings.ContainsAny(config.DBName, "/\x00`") {
		return nil, options, errors.New("the database URL names no database: write mysql://user@host/name")
	}
	config.MultiStatements = true
	config.ClientFoundRows = true
	config.MaxAllowedPacket = 0 // as the server has it
	config.Timeout = 10 * time.Second
	config.Logger = &mysql.NopLogger{} // what it would print, errors tell
	for name, values := range parsed.Query() {
		value := values[len(values)-1]
		switch name {
		case "tls":
			if !slices.Contains([]string{"true", "skip-verify", "preferred", "false"}, value) {
				return nil, options, errors.New("the parameter tls of the database URL is not known: use tls=true, skip-verify, " +
					"preferred or false")
			}
			config.TLSConfig = value
		case "tls-ca":
			if config.TLS, err = trust(value, host); err != nil {
				return nil, options, err
			}
		case "socket":
			config.Net, config.Addr = "unix", value
		case "timeout":
			if config.Timeout, err = time.ParseDuration(value); err != nil {
				return nil, options, fmt.Errorf("timeout=%.20q of the database URL is no duration such as 10s", value)
			}
		case "galera":
			if value != "single-writer" {
				return nil, options, fmt.Errorf("galera=%.20q of the database URL is not known: use galera=single-writer", value)
			}
			options.galeraSingleWriter = true
		default:
			return nil, options, fmt.Errorf("the database URL has an unknown parameter %.40q: use tls, tls-ca, socket, timeout or galera", name)
		}
	}
	return config, options, nil
}

// trust is TLS to a host whose certificate comes of those in a file.
func trust(file, host string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the file %.200q of tls-ca has no certificate in PEM", file)
	}
	return &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}, nil
}

// isPlain reports that connections over the network are without TLS.
func isPlain(config *mysql.Config) bool {
	return config.Net == "tcp" && config.TLS == nil && (config.TLSConfig == "" || config.TLSConfig == "false")
}

// OpenSQL opens the database for database/sql, for package migrations, with the settings of the store's own connections.
// The caller closes it.
func OpenSQL(url string) (*sql.DB, error) {
	config, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	return openSQL(config, idleMax)
}

func openSQL(config *mysql.Config, idle time.Duration) (*sql.DB, error) {
	next, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("reading the database URL: %w", err)
	}
	return sql.OpenDB(connector{Connector: next, address: config.Addr, timeout: config.Timeout, idle: idleWithin(idle)}), nil
}

// connector makes connections with our settings.
type connector struct {
	driver.Connector
	address string
	timeout time.Duration // of each; 0 for none
	idle    string        // limits transactions of the store
}

// modes are what the meaning of statements depends on. SIMULTANEOUS_ASSIGNMENT: an UPDATE's right sides see the row as it
// was, as in standard SQL.
const modes = `SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin;
SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,SIMULTANEOUS_ASSIGNMENT',
	time_zone = '+00:00', foreign_key_checks = 1, unique_checks = 1, lc_time_names = 'en_US', default_week_format = 0,
	div_precision_increment = 4, group_concat_max_len = 67108864, max_recursive_iterations = 4294967295,
	sql_select_limit = 18446744073709551615, tmp_disk_table_size = 268435456, completion_type = 'NO_CHAIN',
	sql_safe_updates = 0, sql_auto_is_null = 0, sql_big_selects = 1, check_constraint_checks = 1,
	standard_compliant_cte = 1, default_regex_flags = ''`

// settings are those of each session of ours.
const settings = modes + `;
SET SESSION autocommit = 1, innodb_lock_wait_timeout = 50, lock_wait_timeout = 60;
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE`

// Connect opens a connection. The driver bounds only what TCP does.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	within := ctx
	if c.timeout > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	opened, err := c.open(within)
	switch {
	case err == nil:
		return opened, nil
	case ctx.Err() == nil && within.Err() != nil:
		return nil, fmt.Errorf("no MariaDB server answers at %s within %s: correct the host or the port of the URL, or start "+
			"the server: %w", c.address, c.timeout, err)
	case errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrPktSyncMul), errors.Is(err, mysql.ErrMalformPkt):
		return nil, fmt.Errorf("what answers at %s is no MariaDB server: correct the host or the port of the URL: %w", c.address, err)
	}
	return nil, err
}

func (c connector) open(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, opened, settings+"; "+c.idle); err != nil {
		_ = opened.Close()
		return nil, err
	}
	whole, is := opened.(wholeConn)
	if !is {
		_ = opened.Close()
		return nil, fmt.Errorf("the driver's connection is a %T", opened)
	}
	return &pooledConn{wholeConn: whole, idle: c.idle}, nil
}

// prepare makes our settings, and refuses servers that pupwasm does not run on. One that lacks a setting is asked what it
// is.
func prepare(ctx context.Context, opened driver.Conn, settings string) error {
	c, err := connOf(ctx, opened)
	if err != nil {
		return err
	}
	version := ""
	keep := func(r *row) error {
		version = r.text(0)
		return nil
	}
	failed := c.query(settings+"; SELECT VERSION()", keep)
	if failed != nil {
		if err := c.query("SELECT VERSION()", keep); err != nil {
			return failed
		}
	}
	if err := migrations.CheckMariaDB(version); err != nil {
		return err
	}
	return failed
}
