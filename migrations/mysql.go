package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Errors of the server.
const (
	erDatabaseMissing  = 1049
	erSyntax           = 1064
	erKeyTooLong       = 1071
	erNoSuper          = 1419
	erStatementsLogged = 1665
)

// numbered reports whether an error is the server's with this number, whatever the driver is.
func numbered(err error, number int) bool {
	return err != nil && strings.Contains(err.Error(), fmt.Sprintf("Error %d ", number))
}

// The first version of MariaDB that has what is used: SKIP LOCKED, and statements for tables that are done or not.
const (
	mariaDBMajor = 10
	mariaDBMinor = 6
)

// remedied says what to do about a server whose settings do not suit.
func remedied(err error) error {
	switch {
	case numbered(err, erStatementsLogged):
		return fmt.Errorf("the server writes statements into its binary log: set binlog_format = MIXED or ROW: %w", err)
	case numbered(err, erKeyTooLong):
		return fmt.Errorf("the server has smaller pages: pupwasm needs innodb_page_size of 16k or more: %w", err)
	}
	return err
}

// CheckMariaDB refuses a server by its version, such as 10.11.19-MariaDB-0+deb12u1.
func CheckMariaDB(version string) error {
	if !strings.Contains(strings.ToLower(version), "mariadb") {
		return fmt.Errorf("the server is MySQL %.40s or another that is not MariaDB: pupwasm needs MariaDB %d.%d or later", version,
			mariaDBMajor, mariaDBMinor)
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err == nil &&
		(major < mariaDBMajor || major == mariaDBMajor && minor < mariaDBMinor) {
		return fmt.Errorf("the server is MariaDB %.40s, pupwasm needs %d.%d or later", version, mariaDBMajor, mariaDBMinor)
	}
	return nil
}

// checkMariaDB refuses a database that is missing, another server, and a handle that takes one statement at a time.
func (m *Migrator) checkMariaDB(ctx context.Context) error {
	var version string
	var database sql.NullString
	err := m.db.QueryRowContext(ctx, "SELECT VERSION(), DATABASE()").Scan(&version, &database)
	if numbered(err, erDatabaseMissing) {
		return fmt.Errorf("the server has no such database: create it by CREATE DATABASE, or correct the URL: %w", err)
	}
	if err != nil {
		return fmt.Errorf("reading the server's version: %w", err)
	}
	if err := CheckMariaDB(version); err != nil {
		return err
	}
	if !database.Valid {
		return errors.New("the connection is in no database: name one in the URL")
	}
	if _, err := m.db.ExecContext(ctx, "DO 1; DO 2"); numbered(err, erSyntax) {
		return errors.New("the connection takes one statement at a time: open the database by OpenSQL of package mysql, or " +
			"with multiStatements=true")
	} else if err != nil {
		return fmt.Errorf("trying the connection: %w", err)
	}
	return nil
}

// discard closes a connection, with its lock and its settings, when it is given back.
func discard(conn *sql.Conn) { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }

// begun returns the last migration that the database may have a part of. It is above version when a call was interrupted.
func (m *Migrator) begun(ctx context.Context, conn *sql.Conn) (begun int, err error) {
	if err := conn.QueryRowContext(ctx, m.query(queryBegun)).Scan(&begun); err != nil {
		return 0, fmt.Errorf("reading the migration version: %w", err)
	}
	return begun, nil
}

var createdTable = regexp.MustCompile(`CREATE TABLE IF NOT EXISTS (\S+)`)

// upSeparate applies a migration whose statements are committed one by one, and can be run again.
func (m *Migrator) upSeparate(ctx context.Context, conn *sql.Conn, step Migration) error {
	begun, err := m.begun(ctx, conn)
	if err != nil {
		return err
	}
	if begun < step.Number {
		// IF NOT EXISTS would pass over what is somebody else's.
		for _, name := range createdTable.FindAllStringSubmatch(step.Up, -1) {
			var there bool
			err := conn.QueryRowContext(ctx, "SELECT COUNT(*) > 0 FROM information_schema.tables WHERE table_schema = DATABASE() "+
				"AND table_name = '"+name[1]+"'").Scan(&there)
			if err != nil {
				return fmt.Errorf("looking for table %s: %w", name[1], err)
			}
			if there {
				return fmt.Errorf("migration %03d_%s: the database has a table %s that pupwasm has not made: rename it, or use "+
					"another schema", step.Number, step.Name, name[1])
			}
		}
		if err := m.record(ctx, conn, step, m.query(querySetBegun)+strconv.Itoa(step.Number)); err != nil {
			return err
		}
	}
	err = remedied(m.apply(ctx, conn, step, step.Up, step.Number))
	if numbered(err, erNoSuper) {
		return fmt.Errorf("migration %03d_%s: the server has a binary log, and lets only some users make triggers: run SET GLOBAL "+
			"log_bin_trust_function_creators = 1, or migrate as a user with SUPER: %w", step.Number, step.Name, err)
	}
	return err
}

// downSeparate undoes a migration in the same way. It is no longer applied from its beginning on.
func (m *Migrator) downSeparate(ctx context.Context, conn *sql.Conn, step Migration) error {
	set := m.query(querySetVersion) + strconv.Itoa(step.Number-1) + ", begun = " + strconv.Itoa(step.Number)
	if err := m.record(ctx, conn, step, set); err != nil {
		return err
	}
	if err := m.apply(ctx, conn, step, step.Down, step.Number-1); err != nil {
		return err
	}
	return m.record(ctx, conn, step, m.query(querySetBegun)+strconv.Itoa(step.Number-1))
}

// projectionsStep is the migration with the tables of projections.
const projectionsStep = 2

// prepareDown refuses to undo migrations while a projection is installed, before the first of them, and undoes what an
// interrupted call has left above the version.
func (m *Migrator) prepareDown(ctx context.Context, conn *sql.Conn, version, steps int) error {
	if !m.dialect.separate() {
		return nil
	}
	if version >= projectionsStep && version-steps < projectionsStep {
		var installed bool
		if err := conn.QueryRowContext(ctx, m.query(queryInstalled)).Scan(&installed); err != nil {
			return fmt.Errorf("looking for projections: %w", err)
		}
		if installed {
			return errors.New("projections are installed, whose rows nobody could continue: use Store.Reset(NAME) for each of them first")
		}
	}
	begun, err := m.begun(ctx, conn)
	if err != nil {
		return err
	}
	for ; begun > version; begun-- {
		if err := m.downSeparate(ctx, conn, m.steps[begun-1]); err != nil {
			return err
		}
	}
	return nil
}
