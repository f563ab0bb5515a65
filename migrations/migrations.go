// Package migrations brings a database to the layout that this version of pupwasm needs, and back.
//
// The scripts are embedded, numbered NNN_name.up.sql and NNN_name.down.sql for each dialect, and never edited
// after a release. "{schema}" in a script is the schema, or for the prefix of the table names where a
// database has no schemas. All scripts of a call run in one transaction that first takes a lock of the database,
// so that two hosts may start at once, nothing is half done after a failure, and a pooler that works by
// transaction is no obstacle.
//
// MariaDB commits each CREATE and DROP by itself: there the lock is the connection's, and the database keeps which
// migration was begun, so that the next call goes on where one has ended.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

//go:embed postgres/*.sql sqlite/*.sql mysql/*.sql
var scripts embed.FS

// Dialect is a kind of database that scripts exist for.
type Dialect string

// The dialects.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
	MySQL    Dialect = "mysql" // MariaDB
)

// separate reports that each migration is on its own, since the database commits what a script does by itself.
func (d Dialect) separate() bool { return d == MySQL }

// Migration is one step of the layout.
type Migration struct {
	Number int // from 1
	Name   string
	Up     string // the SQL that makes the step, for the schema given
	Down   string // the SQL that undoes it
}

// State is a migration and whether the database has it.
type State struct {
	Migration
	Applied bool
}

// Migrator moves one database up and down. It does not own the database handle.
type Migrator struct {
	db      *sql.DB
	dialect Dialect
	schema  string
	steps   []Migration
}

var schemaRule = regexp.MustCompile(`^[a-z][a-z0-9_]{0,15}$`)

// CheckSchema reports whether a schema name can be used, as an error that says what is wrong with it.
func CheckSchema(schema string) error {
	if !schemaRule.MatchString(schema) || strings.HasPrefix(schema, "pg_") || strings.Contains(schema, "__") {
		return fmt.Errorf("schema %q: use a lower-case letter, then letters, digits and single underscores, 16 at "+
			"most, and no pg_ in front", schema)
	}
	return nil
}

// New prepares the migrations for one schema of a database.
func New(db *sql.DB, dialect Dialect, schema string) (*Migrator, error) {
	steps, err := Load(dialect, schema)
	if err != nil {
		return nil, err
	}
	return &Migrator{db: db, dialect: dialect, schema: schema, steps: steps}, nil
}

// Load returns the migrations of a dialect in order, with the schema filled in. The caller owns the result.
func Load(dialect Dialect, schema string) ([]Migration, error) {
	if err := CheckSchema(schema); err != nil {
		return nil, err
	}
	names, err := fs.Glob(scripts, string(dialect)+"/*.up.sql")
	if err != nil {
		return nil, fmt.Errorf("listing migrations: %w", err)
	}
	sort.Strings(names)
	var steps []Migration
	for _, up := range names {
		base := strings.TrimSuffix(strings.TrimPrefix(up, string(dialect)+"/"), ".up.sql")
		number, err := strconv.Atoi(base[:3])
		if err != nil || number != len(steps)+1 {
			return nil, fmt.Errorf("migration %s: numbers must go up by one from 001", up)
		}
		step := Migration{Number: number, Name: base[4:]}
		if step.Up, err = read(up, placeholder(dialect, schema)); err != nil {
			return nil, err
		}
		if step.Down, err = read(strings.TrimSuffix(up, ".up.sql")+".down.sql",
			placeholder(dialect, schema)); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// Script returns all migrations of a dialect as one text for running by hand, up or down, in the transaction and
// with the version that Up and Down would leave. That for MariaDB is for the program mariadb.
func Script(dialect Dialect, schema string, down bool) (string, error) {
	steps, err := Load(dialect, schema)
	if err != nil {
		return "", err
	}
	m := &Migrator{dialect: dialect, schema: schema}
	var text strings.Builder
	end := ";"
	if dialect == MySQL {
		// The program sends each text up to // as it is: procedures have semicolons.
		end = "\n//"
		text.WriteString("DELIMITER //\n\n")
	}
	add := func(statement string) {
		text.WriteString(strings.TrimSuffix(strings.TrimSpace(statement), ";") + end + "\n\n")
	}
	add(m.query(queryBegin))
	add(m.query(queryPrepare))
	version := len(steps)
	if down {
		version = 0
	}
	for i := range steps {
		step, script := steps[i], steps[i].Up
		if down {
			step = steps[len(steps)-1-i]
			script = step.Down
		}
		fmt.Fprintf(&text, "-- %03d_%s\n\n", step.Number, step.Name)
		if dialect == MySQL {
			add(script)
		} else {
			text.WriteString(strings.TrimSpace(script) + "\n\n")
		}
	}
	add(m.query(querySetVersion) + strconv.Itoa(version))
	add(m.query(queryEnd))
	return text.String(), nil
}

// placeholder is the text for "{schema}": a quoted name, which may be a word of SQL, or the prefix of other names.
func placeholder(dialect Dialect, schema string) string {
	if dialect != Postgres {
		return schema
	}
	return `"` + schema + `"`
}

func read(name, schema string) (string, error) {
	text, err := scripts.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("reading a migration: %w", err)
	}
	return strings.ReplaceAll(string(text), "{schema}", schema), nil
}

// Up applies what is missing and returns it; after an error nothing is applied. With nothing missing it changes
// nothing, and does not wait for the lock. It refuses a database that keeps text in another encoding than UTF-8.
//
// On MariaDB, what comes before a migration that fails stays, and the next call goes on with that one. It refuses another
// server, and one that is too old.
func (m *Migrator) Up(ctx context.Context) ([]Migration, error) {
	if err := m.check(ctx); err != nil {
		return nil, err
	}
	if version, err := m.current(ctx); err != nil || version == len(m.steps) {
		return nil, err
	}
	var applied []Migration
	err := m.locked(ctx, func(conn *sql.Conn, version int) error {
		for _, step := range m.steps[min(version, len(m.steps)):] {
			if err := m.up(ctx, conn, step); err != nil {
				return err
			}
			applied = append(applied, step)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return applied, nil
}

// Down undoes the last migrations, as many as steps says, and returns them; after an error none is undone, except on
// MariaDB. It deletes data. It is refused while a projection is installed.
func (m *Migrator) Down(ctx context.Context, steps int) ([]Migration, error) {
	var reverted []Migration
	err := m.locked(ctx, func(conn *sql.Conn, version int) error {
		if err := m.prepareDown(ctx, conn, version, steps); err != nil {
			return err
		}
		for ; version > 0 && steps > 0; version, steps = version-1, steps-1 {
			step := m.steps[version-1]
			if err := m.down(ctx, conn, step); err != nil {
				return err
			}
			reverted = append(reverted, step)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return reverted, nil
}

// Status returns every migration and whether it is applied. It changes nothing.
func (m *Migrator) Status(ctx context.Context) ([]State, error) {
	version, err := m.current(ctx)
	if err != nil {
		return nil, err
	}
	states := make([]State, len(m.steps))
	for i, step := range m.steps {
		states[i] = State{Migration: step, Applied: step.Number <= version}
	}
	return states, nil
}

// check refuses a database that pupwasm cannot be in.
func (m *Migrator) check(ctx context.Context) error {
	if m.dialect == MySQL {
		return m.checkMariaDB(ctx)
	}
	var encoding string
	if err := m.db.QueryRowContext(ctx, m.query(queryEncoding)).Scan(&encoding); err != nil {
		return fmt.Errorf("reading the database's encoding: %w", err)
	}
	switch {
	case m.dialect == Postgres && encoding != "UTF8":
		return fmt.Errorf("the database has the encoding %s, pupwasm needs UTF8: use one that was made by CREATE "+
			"DATABASE … ENCODING 'UTF8' TEMPLATE template0", encoding)
	case m.dialect == SQLite && encoding != "UTF-8":
		return fmt.Errorf("the database file has the encoding %s, pupwasm needs UTF-8: use a new file", encoding)
	}
	return nil
}

// current returns the version that the database is at, without the lock.
func (m *Migrator) current(ctx context.Context) (int, error) {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("connecting to the database: %w", err)
	}
	defer conn.Close()
	var exists bool
	if err := conn.QueryRowContext(ctx, m.query(queryExists)).Scan(&exists); err != nil {
		return 0, fmt.Errorf("reading the migration status: %w", err)
	}
	if !exists {
		return 0, nil
	}
	return m.version(ctx, conn)
}

func (m *Migrator) up(ctx context.Context, conn *sql.Conn, step Migration) error {
	if m.dialect.separate() {
		return m.upSeparate(ctx, conn, step)
	}
	return m.apply(ctx, conn, step, step.Up, step.Number)
}

func (m *Migrator) down(ctx context.Context, conn *sql.Conn, step Migration) error {
	if m.dialect.separate() {
		return m.downSeparate(ctx, conn, step)
	}
	return m.apply(ctx, conn, step, step.Down, step.Number-1)
}

func (m *Migrator) apply(ctx context.Context, conn *sql.Conn, step Migration, script string, version int) error {
	if _, err := conn.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("migration %03d_%s: %w", step.Number, step.Name, err)
	}
	return m.record(ctx, conn, step, m.query(querySetVersion)+strconv.Itoa(version))
}

func (m *Migrator) record(ctx context.Context, conn *sql.Conn, step Migration, text string) error {
	if _, err := conn.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("recording migration %03d_%s: %w", step.Number, step.Name, err)
	}
	return nil
}

// locked runs fn under the lock, in one transaction where there can be one, with the version that the database is at.
func (m *Migrator) locked(ctx context.Context, fn func(conn *sql.Conn, version int) error) (err error) {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the database: %w", err)
	}
	defer conn.Close()
	if m.dialect.separate() {
		defer discard(conn)
	}
	if _, err := conn.ExecContext(ctx, m.query(queryBegin)); err != nil {
		return fmt.Errorf("locking the database for migration: %w", err)
	}
	defer func() {
		if err != nil {
			// The context may be the reason; the transaction has to end all the same.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), m.query(queryUndo))
		}
	}()
	if _, err := conn.ExecContext(ctx, m.query(queryPrepare)); err != nil {
		return fmt.Errorf("creating the migration table: %w", remedied(err))
	}
	version, err := m.version(ctx, conn)
	if err != nil {
		return err
	}
	if version > len(m.steps) {
		return fmt.Errorf("the database is at migration %d, this version of pupwasm knows %d: use a newer pupwasm",
			version, len(m.steps))
	}
	if err := fn(conn, version); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, m.query(queryEnd)); err != nil {
		return fmt.Errorf("committing the migration: %w", err)
	}
	return nil
}

func (m *Migrator) version(ctx context.Context, conn *sql.Conn) (version int, err error) {
	if err := conn.QueryRowContext(ctx, m.query(queryVersion)).Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the migration version: %w", err)
	}
	return version, nil
}
