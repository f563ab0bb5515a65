package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// mysqlDialect is MariaDB. A store refuses another server that speaks its protocol.
var mysqlDialect = dialect{
	name: migrations.MySQL, title: "MariaDB", statements: store.DialectMySQL,
	schemes: []string{"mysql", "mariadb"}, form: "mysql://user@host/name",
	parse: parseMySQL, open: openMySQL, openSQL: openMySQLSQL, server: cases.MariaDB,
	checkWritable: checkMySQLWritable, transient: mysql.Transient, tableName: mysqlTableName,
	grant: grantMySQL, excessRights: superuser,
}

func parseMySQL(scheme, rest string) (target, error) {
	shown, ok := withoutPassword(rest)
	_, query, _ := strings.Cut(rest, "?")
	// A value with @ is more likely the end of a password that has a question mark.
	if !ok || strings.Contains(query, "@") {
		return target{}, errors.New("the database URL cannot be read; within a password @ is written %40, / is %2F, " +
			"# is %23, ? is %3F and % is %25")
	}
	address := scheme + ":" + rest
	if _, err := mysql.ParseURL(address); err != nil {
		return target{}, err
	}
	return target{address: address, shown: scheme + ":" + shown}, nil
}

func openMySQL(at target, globals *globalOptions) (store.Store, error) {
	opened, err := mysql.Open(at.address, mysql.Options{
		Schema: globals.schema, PayloadBytesMax: globals.payloadMax, ConnectionsMax: globals.connections,
		StatementTimeout: globals.limits.statement, TransactionTimeout: globals.limits.transaction,
	})
	if err != nil {
		return nil, usagef("%s: %v", at, err)
	}
	return opened.Backend(), nil
}

func openMySQLSQL(at target) (*sql.DB, error) {
	db, err := mysql.OpenSQL(at.address)
	if err != nil {
		return nil, usagef("%s: %v", at, err)
	}
	return db, nil
}

// checkMySQLWritable returns an error when a server takes no writes. It may become writable: a replica may be promoted.
func checkMySQLWritable(ctx context.Context, db *sql.DB) error {
	readOnly := false
	if err := db.QueryRowContext(ctx, "SELECT @@global.read_only <> 0").Scan(&readOnly); err != nil || !readOnly {
		return err
	}
	return fmt.Errorf("%w: %w: read_only is on, as on a replica", store.ErrTransient, store.ErrReadOnly)
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// mysqlTableName is the name by which readers know a table. Without a database it has DATABASE in place of its name.
func mysqlTableName(at target, schema, projection, table string) string {
	database := "DATABASE"
	if config, err := mysql.ParseURL(at.address); err == nil {
		database = config.DBName
	}
	readers := database + "__" + store.PlaceOf(schema, store.ProjectionID{Name: projection}).Readers
	if !plainName.MatchString(readers) {
		readers = "`" + readers + "`"
	}
	return readers + "." + table
}

func grantMySQL(at target, schema, projection, host string) (string, error) {
	config, err := mysql.ParseURL(at.address)
	if err != nil {
		return "", usagef("%v", err)
	}
	if host == "" {
		host = config.User
	}
	return mysql.GrantSQL(config.DBName, schema, projection, host), nil
}
