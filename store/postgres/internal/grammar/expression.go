package grammar

import (
	"errors"
	"reflect"
	"strings"
)

// Expression reads an expression over the columns of one row of a table. With a type, it is the expression cast to
// it. The text of the result has no context, where a column is generated or a check is made.
//
// # Errors
//
// The text says what is wrong, and goes on from a name such as `check "paid"`.
func Expression(sql string, tables Tables, table, as string) (*Statement, error) {
	from := "\nFROM " + quoted(tables.Schema) + "." + quoted(table) // the line break ends a remark
	if err := oneResult(sql, from); err != nil {
		return nil, err
	}
	if as != "" {
		sql = "CAST((" + sql + "\n) AS " + as + ")"
	}
	tree, written, err := read("SELECT " + sql + from)
	if err != nil {
		return nil, err
	}
	statement, err := Check(written, tables)
	if err != nil {
		return nil, err
	}
	expression, begins := strings.CutPrefix(written, "SELECT ")
	at := strings.LastIndex(expression, " FROM ")
	if !begins || at < 0 {
		return nil, errUnreadable
	}
	statement.SQL = expression[:at]
	// What has been cut out must mean the same by itself.
	again, _, err := read("SELECT (" + statement.SQL + ")" + from)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(plain(tree), plain(again)) {
		return nil, errUnreadable
	}
	return statement, nil
}

// oneResult makes sure that a text is what a SELECT may have as its one result, and nothing else of a SELECT.
func oneResult(sql, from string) error {
	tree, _, err := read("SELECT " + sql + from)
	if err != nil {
		return err
	}
	frame, _, err := read("SELECT NULL" + from)
	if err != nil {
		return err
	}
	if takeResult(tree) == nil || takeResult(frame) == nil || !reflect.DeepEqual(plain(tree), plain(frame)) {
		return errors.New("must be one expression over the columns of a row")
	}
	return nil
}

// takeResult takes the one result out of a SELECT, and returns it, or nil where there is not one.
func takeResult(tree map[string]any) any {
	statements, _ := tree["stmts"].([]any)
	if len(statements) != 1 {
		return nil
	}
	_, selects := only(member(statements[0], "stmt"))
	results, _ := selects["targetList"].([]any)
	if len(results) != 1 {
		return nil
	}
	_, result := only(results[0])
	value := result["val"]
	delete(result, "val")
	return value
}

// quoted writes a name.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
