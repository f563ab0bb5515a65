package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

// The SQL of a module has to pass two checks before it runs. The first is internal/grammar, which reads it and writes it
// anew. The second is MariaDB's own: the statement becomes a procedure that explains it, which MariaDB takes for queries
// and changes of rows only, and that runs with the rights of the projection's user, which end at the projection's
// databases. Nothing of the statement has run by then. It becomes a procedure that runs with these rights then, which is
// what hosts call.

// reader checks the SQL of modules. Tests take parts of it away.
type reader struct {
	statement  func(sql string, tables grammar.Tables) (*grammar.Statement, error)
	expression func(sql string, row grammar.Row) (string, error)
	server     func(c *conn, p placed, entry *statement) error
}

var sqlReader = reader{
	statement: grammar.Check, expression: grammar.Expression, server: (*conn).explainEntry,
}

// textOf returns the text that a module brought for this dialect.
func (p placed) textOf(item string, texts store.Statement) (string, error) {
	text, ok := texts.For(store.DialectMySQL)
	if !ok {
		return "", store.NoText(item, store.DialectMySQL)
	}
	expanded, err := p.ExpandTables(text, p.table)
	if err != nil {
		return "", &store.CatalogueError{Item: item, Reason: err.Error()}
	}
	return expanded, nil
}

// grammarTables are those that a statement may use: one that keeps to rows of one partition key may use those that are
// owned.
func (p placed) grammarTables(owned bool) grammar.Tables {
	tables := grammar.Tables{Database: p.tables}
	for i := range p.Tables {
		if table := &p.Tables[i]; !owned || table.Ownership() == store.Owned {
			tables.Names = append(tables.Names, table.Name)
		}
	}
	return tables
}

// declared reads a statement that a module brought.
func declared(p placed, entry *statement, texts store.Statement) error {
	text, err := p.textOf(entry.name, texts)
	if err != nil {
		return err
	}
	read, err := p.read.statement(text, p.grammarTables(entry.owned))
	if err == nil {
		err = entry.fits(read)
	}
	if err != nil {
		return &store.CatalogueError{Item: entry.name, Reason: err.Error()}
	}
	entry.body = read.SQL
	parts := append(parameterTypes(entry.params), entry.body)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	entry.procedure = p.table(procedurePrefix + hex.EncodeToString(sum[:12]))
	return nil
}

// fits reports what is wrong with the statement as a write or as a query.
func (s *statement) fits(read *grammar.Statement) error {
	switch {
	case s.asks && !read.Selects:
		return errors.New("changes rows: it must be a write")
	case !s.asks && read.Selects:
		return errors.New("changes nothing: it is a query")
	case read.Parameters > len(s.params):
		return fmt.Errorf("uses $%d, declared are %d parameters", read.Parameters, len(s.params))
	}
	return nil
}

// procedurePrefix begins the names of procedures. No table's name has two underscores.
const procedurePrefix = "pupwasm__"

func parameterTypes(params []store.Type) []string {
	types := make([]string, len(params))
	for i, t := range params {
		types[i] = storageOf(t, 0)
		if types[i] == "LONGTEXT" {
			types[i] += " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
		}
	}
	return types
}

// procedureOf makes the DDL of a procedure that has the rights of the projection's user. make is IF NOT EXISTS, with the
// name.
func (p placed) procedureOf(orReplace, name string, params []store.Type, body string) string {
	arguments := parameterTypes(params)
	for i := range arguments {
		arguments[i] = "IN " + grammar.ParameterName(i+1) + " " + arguments[i]
	}
	return fmt.Sprintf("CREATE %s DEFINER = %s PROCEDURE %s (%s) MODIFIES SQL DATA SQL SECURITY DEFINER %s", orReplace,
		quote(p.owner()), name, strings.Join(arguments, ", "), body)
}

// define makes a procedure of a text of a module.
func (c *conn) define(p placed, item, text string) error {
	_, err := c.exec(immediate(text))
	return p.defined(item, err)
}

// defined puts an error of a definition into the words of package store.
func (p placed) defined(item string, err error) error {
	if isNumber(err, erDatabaseDenied, erPrivilegeMissing) {
		return p.withoutRights(err)
	}
	return p.faultOf(item, err)
}

// cannotCall reports whether the role may not call the procedure that explains a statement.
func (p placed) cannotCall(err error) bool {
	return isNumber(err, erRoutineDenied) && strings.Contains(refusal(err), "'"+p.tables+"."+trial+"'")
}

// immediate runs one statement that has text of a module in it: MariaDB refuses a second one behind it.
func immediate(text string) string {
	return string(appendHex([]byte("EXECUTE IMMEDIATE _utf8mb4 "), []byte(text)))
}

// makeProcedure makes the procedure of a statement that has been checked, unless it is there.
func (c *conn) makeProcedure(p placed, entry *statement) error {
	return c.asOwner(p, func() error {
		return c.define(p, entry.name, p.procedureOf("", "IF NOT EXISTS "+entry.procedure, entry.params, entry.body))
	})
}

// vet checks a statement that a module brought, and leaves nothing behind.
func (c *conn) vet(p placed, entry *statement) error { return p.read.server(c, p, entry) }

func (c *conn) explainEntry(p placed, entry *statement) error {
	if err := c.explain(p, entry.name, entry.params, entry.body); err != nil || !entry.asks {
		return err
	}
	// As a part of another query it cannot be anything but a query, and has as many columns as are named.
	names := make([]string, len(entry.results))
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i+1)
	}
	return c.explain(p, entry.name, entry.params, fmt.Sprintf("WITH pupwasm (%s) AS (%s) SELECT * FROM pupwasm",
		strings.Join(names, ", "), entry.body))
}

const (
	// trial is the name of the procedure that explains a statement while it is checked.
	trial = procedurePrefix + "trial"
	// explainMax bounds that, in seconds, since MariaDB computes constants.
	explainMax = 5
)

// explain has MariaDB explain a statement, with the rights of the projection's user.
func (c *conn) explain(p placed, item string, params []store.Type, text string) error {
	return c.asOwner(p, func() error {
		defer c.dropTrial(p)
		err := c.define(p, item, p.procedureOf("OR REPLACE", p.table(trial), params, "EXPLAIN FORMAT=JSON "+text))
		if err != nil {
			return err
		}
		call := fmt.Sprintf("SET STATEMENT max_statement_time = %d FOR CALL %s(%s)", explainMax, p.table(trial),
			strings.TrimSuffix(strings.Repeat("NULL, ", len(params)), ", "))
		_, err = c.exec(call)
		if p.cannotCall(err) { // the role has lost its rights
			if err = c.makeOwner(p); err == nil {
				_, err = c.exec(call)
			}
		}
		if p.cannotCall(err) {
			return p.withoutRights(err)
		}
		return p.faultOf(item, err)
	})
}

// dropTrial leaves nothing of explain.
func (c *conn) dropTrial(p placed) {
	if _, err := c.session.exec(context.WithoutCancel(c.ctx), "DROP PROCEDURE IF EXISTS "+p.table(trial)); err != nil {
		c.broken = true // the next one replaces it
	}
}

// faultOf puts what MariaDB has against a statement of a module into the words of package store. What may pass by itself
// stays as it is.
func (p placed) faultOf(item string, err error) error {
	switch said := oneline.Text(refusal(err)); {
	case err == nil:
		return nil
	case isNumber(err, erStatementTimeout):
		return &store.CatalogueError{Item: item, Reason: fmt.Sprintf(
			"cannot be planned within %d seconds, which computes its constants", explainMax)}
	case isNumber(err, erColumnCount):
		return &store.CatalogueError{Item: item, Reason: "gives another number of columns than it declares results"}
	case grammar.Exceeded(said) != "":
		return &store.CatalogueError{Item: item, Reason: grammar.Exceeded(said)}
	case said != "":
		return &store.CatalogueError{Item: item, Reason: said}
	}
	return err
}

// dropProcedures drops those of the version.
func (i *installer) dropProcedures() error {
	var names []string
	err := i.conn.query(`SELECT routine_name FROM information_schema.routines WHERE routine_schema = $1
		AND routine_type = 'PROCEDURE' AND LEFT(routine_name, CHAR_LENGTH($2)) = $2`, func(r *row) error {
		names = append(names, r.text(0))
		return nil
	}, i.projection.tables, procedurePrefix)
	if err != nil {
		return fmt.Errorf("looking for procedures: %w", err)
	}
	for _, name := range names {
		if _, err := i.conn.exec("DROP PROCEDURE IF EXISTS " + i.projection.table(name)); err != nil {
			return fmt.Errorf("dropping procedure %s: %w", name, err)
		}
	}
	return nil
}
