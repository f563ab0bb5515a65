package sqlite

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// createTable makes the DDL of a declared table with the expressions that have been checked.
func createTable(p placed, table *store.Table, expressions []expression) (string, error) {
	lines := make([]string, 0, len(table.Columns)+1)
	for _, c := range table.Columns {
		line := quote(c.Name) + " " + storageOf(c.Type)
		if len(c.Default) > 0 {
			literal, err := literal(&c)
			if err != nil {
				return "", fmt.Errorf("column %q %w", c.Name, err)
			}
			line += " DEFAULT " + literal
		}
		if c.NotNull || isKey(table, c.Name) {
			line += " NOT NULL"
		}
		for _, e := range expressions {
			if e.generates && e.of == c.Name {
				line += " GENERATED ALWAYS AS (" + e.text + ") STORED"
			}
		}
		lines = append(lines, line)
	}
	if len(table.Key) > 0 {
		lines = append(lines, "PRIMARY KEY ("+quoteList(table.Key)+")")
	}
	for _, e := range expressions {
		if !e.generates {
			lines = append(lines, fmt.Sprintf("CONSTRAINT %s CHECK (%s)", quote(e.of), e.text))
		}
	}
	return fmt.Sprintf("CREATE TABLE %s (%s) STRICT", p.table(table.Name), strings.Join(lines, ", ")), nil
}

// addColumns adds columns to tables that are there, and returns the shapes as they are stored then.
func (i *installer) addColumns(was *store.Installed, added []store.NewColumn) (shapes string, err error) {
	if len(added) == 0 {
		return was.Shapes, nil
	}
	for _, a := range added {
		table, _ := i.projection.Table(a.Table)
		column, _ := table.Column(a.Column)
		err := i.define(table, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", i.projection.table(a.Table),
			quote(a.Column), storageOf(column.Type)))
		if err != nil {
			return "", err
		}
	}
	found, err := i.shapes()
	if err != nil {
		return "", err
	}
	return was.ShapesWith(added, found)
}

func isKey(table *store.Table, column string) bool {
	for _, name := range table.Key {
		if name == column {
			return true
		}
	}
	return false
}

// storageOf is the type of a column in a STRICT table.
func storageOf(t store.Type) string {
	if t.Array {
		return "TEXT"
	}
	switch t.Kind {
	case store.KindBool, store.KindI64, store.KindTimestamp:
		return "INTEGER"
	case store.KindF64:
		return "REAL"
	case store.KindBytes, store.KindUUID:
		return "BLOB"
	default:
		return "TEXT"
	}
}

// literal writes a checked JSON default as SQL.
func literal(c *store.Column) (string, error) {
	text := strings.TrimSpace(string(c.Default))
	switch c.Type.Kind {
	case store.KindText:
		value := c.DefaultText()
		if strings.ContainsRune(value, 0) {
			return "", fmt.Errorf("has a default with a NUL character")
		}
		return "'" + strings.ReplaceAll(value, "'", "''") + "'", nil
	case store.KindNumeric:
		value, err := plainDecimal(text)
		return "'" + value + "'", err
	default:
		return text, nil
	}
}

// exponentMax is what a JSON number that is a float64 can have.
const exponentMax = 400

// plainDecimal writes a JSON number without exponent.
func plainDecimal(text string) (string, error) {
	_, exponent, has := strings.Cut(strings.ToLower(text), "e")
	if !has {
		return text, nil
	}
	if n, err := strconv.Atoi(exponent); err != nil || n > exponentMax || n < -exponentMax {
		return "", fmt.Errorf("has a default that is out of range: %s", text)
	}
	number, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", fmt.Errorf("has a default that is not a number: %s", text)
	}
	decimals, _ := number.FloatPrec()
	return number.FloatString(decimals), nil
}
