package sqlite_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestFunctions_giveWhatSQLitesOwnGive compares the functions that take the place of SQLite's own.
func TestFunctions_giveWhatSQLitesOwnGive(t *testing.T) {
	t.Parallel()
	db, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ours, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := sqlite.RegisterTextFunctions(ours); err != nil {
		t.Fatal(err)
	}
	answer := func(db *sqlite3.Conn, sql string) string {
		statement, _, err := db.Prepare(sql)
		if err != nil {
			return err.Error()
		}
		defer statement.Close()
		if !statement.Step() {
			return fmt.Sprint(statement.Err())
		}
		text := statement.ColumnText(0)
		if text == "-0" {
			text = "0" // ours has no -0
		}
		return fmt.Sprintf("%s %q", statement.ColumnType(0), text)
	}
	values := []string{
		"NULL", "''", "' '", "'  a b  '", "'äöü'", "'aäa'", "'ä'", "'a'", "'aa'", "'aaaaa'", "12", "1.5",
		"-7", "x'c3a4'", "x'61'", "x''", "'xaax'", "'日本語日'", "'本'",
	}
	check := func(sql string) {
		t.Helper()
		if want, got := answer(db, sql), answer(ours, sql); got != want {
			t.Errorf("%s is %s, SQLite gives %s", sql, got, want)
		}
	}
	for _, a := range values {
		for _, function := range []string{"trim", "ltrim", "rtrim"} {
			check(fmt.Sprintf("SELECT %s(%s)", function, a))
		}
		for _, b := range values {
			for _, function := range []string{"trim", "ltrim", "rtrim", "instr"} {
				check(fmt.Sprintf("SELECT %s(%s, %s)", function, a, b))
			}
			for _, c := range values {
				check(fmt.Sprintf("SELECT replace(%s, %s, %s)", a, b, c))
			}
		}
	}
	patterns := []string{
		"''", "'%'", "'*'", "'a'", "'A%'", "'Ä%'", "'_'", "'__%'", "'?'", "'?*'", "'*?'", "'*a'", "'%a%'", "'*a*a*'",
		"'%aa%aa%'", "'[a-z]*'", "'[^a]*'", "'[]]'", "'[^]]*'",
		"'[]-a]'", "'[a-]*'", "'[-a]'", "'[ä-ü]*'", "'*[本-日]'", "'['", "'[a'", "'[^'", "'[]'", "'a]'", "'[a-c-e]'",
		"'a[*]b'", "'[%]'", "'100!%'", "'!_%'", "'a!'", "'!!%'", "'%\\_%'",
		"NULL", "12", "'1_'", "x'6125'", "char(97, 0, 37)", "'日_日'", "'*語*'",
	}
	texts := append(slices.Clone(values), "'A'", "'a%'", "'100%'", "'_x'", "'a*b'", "']'", "'-'", "'a-'", "'e'", "'[a'",
		"'!'", "'!a'", "char(97, 0, 98)", "'%'", "'日本日'", "'a_'")
	for _, pattern := range patterns {
		for _, text := range texts {
			check(fmt.Sprintf("SELECT %s LIKE %s", text, pattern))
			check(fmt.Sprintf("SELECT %s GLOB %s", text, pattern))
			for _, escape := range []string{"'!'", "'%'", "'_'", "'ä'", "'a'", "''", "'!!'", "NULL", "7"} {
				check(fmt.Sprintf("SELECT %s LIKE %s ESCAPE %s", text, pattern, escape))
			}
		}
	}
	numbers := []string{
		"NULL", "'0'", "'-0'", "'1'", "'-1'", "'1.50'", "'0.05'", "'-0.50'", "'100'", "'00012.3400'",
		"'1e3'", "'1.5e-2'", "'25E2'", "12", "-3", "0.5", "0.1", "'.5'", "'5.'", "'+7'", "'99999999999999999999.99'",
	}
	for _, a := range numbers {
		for _, b := range numbers {
			check(fmt.Sprintf("SELECT decimal_mul(%s, %s)", a, b))
		}
	}
}
