package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// createTable makes the DDL of a declared table with the expressions that have been checked.
func createTable(p placed, table *store.Table, expressions []expression) (string, error) {
	lines := make([]string, 0, len(table.Columns)+1)
	lengths := keyLengths(table, table.Key)
	for _, c := range table.Columns {
		column, constraint, err := columnOf(table, &c, lengths[c.Name], expressions)
		if err != nil {
			return "", &store.CatalogueError{
				Item: fmt.Sprintf("table %q", table.Name), Reason: fmt.Sprintf("column %q %s", c.Name, err),
			}
		}
		lines = append(lines, column)
		if constraint != "" {
			lines = append(lines, constraint)
		}
	}
	if len(table.Key) > 0 {
		lines = append(lines, "PRIMARY KEY ("+quoteList(table.Key)+")")
	}
	for _, e := range expressions {
		if !e.generates {
			lines = append(lines, fmt.Sprintf("CONSTRAINT %s CHECK (%s)", quote(e.of), e.text))
		}
	}
	return fmt.Sprintf("CREATE TABLE %s (%s) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE "+
		"utf8mb4_nopad_bin", p.table(table.Name), strings.Join(lines, ", ")), nil
}

// columnOf makes the DDL of a column. length is that of a column of the key, 0 elsewhere.
//
// JSON has the check of MariaDB's own type JSON, by which programs know it. A generated column takes no NOT NULL, and
// has a check in its place. Such a check has the name of the column, or, where a declared check has that, is the
// constraint.
func columnOf(
	table *store.Table, c *store.Column, length int, expressions []expression,
) (column, constraint string, err error) {
	column = quote(c.Name) + " " + storageOf(c.Type, length)
	generated := ""
	for _, e := range expressions {
		if e.generates && e.of == c.Name {
			generated = " GENERATED ALWAYS AS (" + e.text + ") STORED"
		}
	}
	column += generated
	var checks []string
	switch notNull := c.NotNull || slices.Contains(table.Key, c.Name); {
	case notNull && generated != "":
		checks = append(checks, quote(c.Name)+" IS NOT NULL")
	case notNull:
		column += " NOT NULL"
	}
	if len(c.Default) > 0 {
		literal, err := defaultOf(c)
		if err != nil {
			return "", "", err
		}
		column += " DEFAULT " + literal
	}
	if c.Type.Array || c.Type.Kind == store.KindJSON {
		checks = append(checks, fmt.Sprintf("JSON_VALID(%s)", quote(c.Name)))
	}
	if len(checks) == 0 {
		return column, "", nil
	}
	check := fmt.Sprintf("CHECK (%s)", strings.Join(checks, " AND "))
	if slices.ContainsFunc(table.Checks, func(declared store.Check) bool { return declared.Name == c.Name }) {
		return column, "CONSTRAINT " + quote(c.Name+"__value") + " " + check, nil
	}
	return column + " " + check, "", nil
}

const (
	// keyBytesMax bounds the columns of a key in InnoDB, with pages of 16 KiB.
	keyBytesMax = 3072
	// characterBytes is what a character of text counts for there.
	characterBytes = 4
)

// keyLengths divides the bytes of a key or an index among those of its columns that have no length of their own: as
// characters of text, and bytes.
func keyLengths(table *store.Table, key []string) map[string]int {
	lengths, left := map[string]int{}, keyBytesMax
	for _, name := range key {
		c, _ := table.Column(name)
		if fixed := fixedBytes(c.Type); fixed > 0 {
			left -= fixed
		} else {
			lengths[name] = 0
		}
	}
	each := 0
	if len(lengths) > 0 {
		each = left / len(lengths)
	}
	for name := range lengths {
		c, _ := table.Column(name)
		lengths[name] = each
		if c.Type.Kind != store.KindBytes || c.Type.Array {
			lengths[name] /= characterBytes
		}
	}
	return lengths
}

// indexColumns are the columns of an index as its DDL has them. An index has the beginnings of values that have no length
// of their own: it finds them by their beginnings.
func indexColumns(table *store.Table, columns []string) []string {
	whole, lengths := keyLengths(table, table.Key), keyLengths(table, columns)
	parts := quoteEach(columns)
	for n, name := range columns {
		length, variable := lengths[name]
		if of, isKey := whole[name]; variable && (!isKey || of > length) {
			parts[n] += fmt.Sprintf("(%d)", length)
		}
	}
	return parts
}

// fixedBytes is what a value takes in a key, 0 where that depends on the value.
func fixedBytes(t store.Type) int {
	if t.Array {
		return 0
	}
	switch t.Kind {
	case store.KindBool:
		return 1
	case store.KindI64, store.KindF64, store.KindTimestamp:
		return 8
	case store.KindUUID:
		return 16
	case store.KindNumeric:
		return 30
	default:
		return 0
	}
}

// A numeric has as many digits as MariaDB has, and of them as many decimals.
const (
	numericDigits   = 65
	numericDecimals = 30
)

// JSONDepthMax is how deep objects and arrays nest in JSON that MariaDB takes for JSON.
const JSONDepthMax = 31

// storageOf is the type of a column. length is that of a column of a key, 0 elsewhere.
func storageOf(t store.Type, length int) string {
	if t.Array {
		return "LONGTEXT"
	}
	switch t.Kind {
	case store.KindBool:
		return "BOOLEAN"
	case store.KindI64:
		return "BIGINT"
	case store.KindTimestamp:
		return "DATETIME(6)"
	case store.KindF64:
		return "DOUBLE"
	case store.KindNumeric:
		return fmt.Sprintf("DECIMAL(%d,%d)", numericDigits, numericDecimals)
	case store.KindUUID:
		return "BINARY(16)"
	case store.KindBytes:
		if length > 0 {
			return fmt.Sprintf("VARBINARY(%d)", length)
		}
		return "LONGBLOB"
	default:
		if length > 0 {
			return fmt.Sprintf("VARCHAR(%d)", length)
		}
		return "LONGTEXT"
	}
}

// defaultOf writes a checked JSON default as SQL.
func defaultOf(c *store.Column) (string, error) {
	text := strings.TrimSpace(string(c.Default))
	switch c.Type.Kind {
	case store.KindText:
		value := c.DefaultText()
		if strings.ContainsRune(value, 0) {
			return "", fmt.Errorf("has a default with a NUL character")
		}
		return "'" + strings.ReplaceAll(value, "'", "''") + "'", nil
	case store.KindNumeric:
		_, decimals, err := store.ParseNumeric([]byte(text))
		whole, _, _ := strings.Cut(strings.TrimLeft(text, "-+0"), ".")
		if err == nil && (decimals > numericDecimals || len(whole) > numericDigits-numericDecimals) {
			err = fmt.Errorf("has a default that is out of range, which is %d digits and %d decimals: %s",
				numericDigits-numericDecimals, numericDecimals, text)
		}
		return text, err
	default:
		return text, nil
	}
}
