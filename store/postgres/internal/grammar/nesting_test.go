package grammar_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/postgres/internal/grammar"
)

// TestCheck_refusesWhatTheParserHasNoStackFor has every way to nest that there is. Each must be refused before the
// parser sees it, and the parser must be well afterwards.
func TestCheck_refusesWhatTheParserHasNoStackFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ begin, open, middle, close string }{
		{"select ", "(", "1", ")"},
		{"select 1", "", "", "+1"},
		{"select ", "array[", "1", "]"},
		{"select 1", "", "", " union select 1"},
		{"select 1", "", "", " union select 1, 2"},
		{"select ", "case when true then ", "1", " end"},
		{"select ", "not ", "true", ""},
		{"select ", "- ", "1", ""},
		{"select 1", "", "", "::int"},
		{"select id", "", "", "[1]"},
		{"select id", "", "", ".b"},
		{"select 1 from guest.row", "", "", " cross join guest.row"},
		{"select ", "(select ", "1", ")"},
		{"select 1 where ", "exists (select 1 from guest.row where ", "true", ")"},
		{"select 1 from ", "(select 1 from ", "guest.row", ") x"},
		{"", "with a as (", "select 1", ") select 1"},
		{"select ", "abs(", "1", ")"},
		{"select ", "count(*) over (partition by ", "1", ")"},
		{"select ", "1 between 2 and not ", "true", ""},
		{"select ", "1 is distinct from not ", "true", ""},
		{"select r.and", "", "", " + r.and"},
		{"select ", "(select 1 end, ", "1", ")"},
		{"select ", "(select 1 as end, ", "1", ")"},
		{"select 1", "", "", " collate \"C\""},
		{"select ", "row(", "1", ")"},
		{"select 1", "", "", " at time zone 'UTC'"},
		{"select 1", "", "", " is null"},
		{"select 1", "", "", "/**/+/**/1"},
		{"select 1 from guest.row", "", "", " natural join guest.row, guest.row natural join guest.row"},
		{"insert into guest.row ", "with a as (insert into guest.row ", "values (1)", " returning *) select 1"},
		{"explain ", "explain ", "select 1", ""},
		{"select ", "1 between 2 and " + strings.Repeat("not ", 10), "true", ""},
		{"select ", strings.Repeat("not ", 20) + "1 is distinct from ", "1", ""},
		{"select ", "(with a as(select)select ", "1", ")"},
		{"", "with b as (select),a as (", "select", ")select"},
		{"select lİmit", "", "", "+lİmit"},
		{"select ", "not ", "n isnull" + strings.Repeat(" isnull", 40), ""},
		{"select " + strings.Repeat("not ", 40) + "percentile_cont(0.5) within group (order by n)", "", "", " isnull"},
		{"select " + strings.Repeat("(", 12) + "1" + strings.Repeat(")", 12), "", "", " union select 1"},
		{
			"select 1 from guest.row join guest.other on true" + strings.Repeat(" isnull", 30), "", "",
			" join guest.other on true",
		},
		{"select (1)", "", "", "+(1)"},
		{"select 1", "", "", "+set"},
		{"select 1", "", "", "||set collate \"C\""},
		{"select n", "", "", " isnull"},
		{"create schema a", "", "", " create table b (c int)"},
	} {
		refused := false
		for _, n := range []int{10, 20, 40, 60, 80, 100, 140, 200, 400, 800} {
			sql := test.begin + strings.Repeat(test.open, n) + test.middle + strings.Repeat(test.close, n)
			_, err := grammar.Check(sql, own)
			if err != nil && (strings.Contains(err.Error(), "nested too deep") ||
				strings.Contains(err.Error(), "too many remarks")) {
				refused = true
			} else if refused && (err == nil || !strings.Contains(err.Error(), "at most 16384") &&
				!strings.Contains(err.Error(), "not possible here")) {
				t.Errorf("%d of %q %q: %v", n, test.open, test.close, err)
			}
			if err != nil && strings.Contains(err.Error(), "cannot be read") {
				t.Errorf("%d of %q %q reach the end of the stack", n, test.open, test.close)
			}
		}
		if got, err := grammar.Check("select 1 + 1", own); err != nil || got.SQL != "SELECT 1 + 1" {
			t.Fatalf("after %q %q: %v, error %v", test.open, test.close, got, err)
		}
	}
}

// TestCheck_theParserIsWellBehindWhateverIsNested nests at random, as deep as is let through.
func TestCheck_theParserIsWellBehindWhateverIsNested(t *testing.T) {
	t.Parallel()
	expressions := [][2]string{
		{"(", ")"},
		{"not ", ""},
		{"- ", ""},
		{"", "::int"},
		{"", "[1]"},
		{"abs(", ")"},
		{"array[", "]"},
		{"row(1,", ")"},
		{"(", ").n"},
		{"case when true then ", " end"},
		{"case ", " when 1 then 2 end"},
		{"", " is null"},
		{"", " isnull"},
		{"", "+1"},
		{"1+", ""},
		{"", " and true"},
		{"true or ", ""},
		{"1 between 2 and ", ""},
		{"", " between 1 and 2"},
		{"1 is distinct from ", ""},
		{"", " collate \"C\""},
		{"", " at time zone 'UTC'"},
		{"cast(", " as text)"},
		{"(select ", ")"},
		{"exists (select from guest.row where ", ")"},
		{"1 in (", ")"},
		{"1 = any (select ", ")"},
		{"count(*) over (order by ", ")"},
		{"count(*) filter (where ", ")"},
		{"(select 1 union select ", ")"},
		{"(with a as (select ", ") select n from a)"},
		{"(select n from (select ", " as n) x)"},
		{"(values (", "))"},
		{"n like ", " escape 'a'"},
		{"percentile_cont(0.5) within group (order by ", ")"},
		{"coalesce(1, ", ")"},
		{"greatest(", ", 2)"},
		{"extract(day from ", ")"},
		{"substring('a' from ", ")"},
		{"grouping(", ")"},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		some := make([][2]string, 1+random.IntN(3))
		for i := range some {
			some[i] = expressions[random.IntN(len(expressions))]
		}
		tried := ""
		for _, n := range []int{8, 14, 18, 25, 40, 55, 65} {
			sql := "n"
			for range n {
				with := some[random.IntN(len(some))]
				sql = with[0] + sql + with[1]
			}
			_, err := grammar.Check("select "+sql+" from guest.row", own)
			if err != nil && strings.Contains(err.Error(), "cannot be read") {
				t.Fatalf("the parser did not read %s", sql)
			}
			if err != nil && strings.Contains(err.Error(), "too ") {
				break
			}
			tried = sql
		}
		if got, err := grammar.Check("select 1 + 1, n is distinct from 2 from guest.row where n between 1 and 2",
			own); err != nil || !strings.HasPrefix(got.SQL, "SELECT 1 + 1, n IS DISTINCT FROM 2") {
			t.Fatalf("after %s: %v, %v", tried, got, err)
		}
	}
}

// TestCheck_refusesWhatTheParserTakesLongFor has texts that took seconds or gigabytes.
func TestCheck_refusesWhatTheParserTakesLongFor(t *testing.T) {
	t.Parallel()
	columns := func(n int) string { return strings.TrimSuffix(strings.Repeat("n,", n), ",") }
	nested := "select 1"
	for range 4 {
		nested = "with x as materialized (update guest.row set (" + columns(10) + ") = (" + nested +
			") returning n) select 1"
	}
	for name, sql := range map[string]string{
		"signs":               "select 1 " + strings.Repeat("+", 16000) + "1",
		"remarks":             "select " + strings.Repeat("/*", 4000) + strings.Repeat("*/", 4000) + "1",
		"many columns":        "update guest.row set (" + columns(300) + ") = (select " + columns(300) + ")",
		"many columns behind": "update guest.row set id = '', (" + columns(300) + ") = (select " + columns(300) + ")",
		"columns in columns":  nested,
	} {
		if _, err := grammar.Check(sql, own); err == nil || !strings.Contains(err.Error(), "too ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
