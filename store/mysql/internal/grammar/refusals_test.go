package grammar_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

// refusals are statements with what is said of them.
var refusals = map[string]string{
	"":                                            "has no statement",
	";":                                           "has no statement",
	"-- a":                                        "has no statement",
	"delete from {row}; delete from {row}":        "has two statements",
	"delete from {row} where":                     "ends where a value is due",
	"delete from {row} where id = 'a' 'b'":        "has the text 'b' where the end of a text is due",
	"delete from {row} as r":                      "another name for the table",
	"delete from {row} r":                         "must be one statement",
	"delete from row":                             "uses the table row without braces: write {row}",
	"delete from x":                               "uses x, which is not a table of the projection",
	"delete from guest.x":                         "uses guest.x, which is not",
	"delete from guest.row.id":                    "uses guest.row.id, which is not",
	"delete from other.row":                       "uses other.row, which is not",
	"delete from `guest.row`":                     "uses guest.row, which is not",
	"select other.sum.n from {row}":               "uses other.sum, which is not",
	"select a.b.c.d from {row}":                   "uses a.b, which is not",
	"select other.row.* from {row}":               "uses other.row, which is not",
	"select guest.row.id.* from {row}":            "uses guest.row, which is not",
	"select now() from {row}":                     "calls now, whose result depends on more",
	"select `now`()":                              "calls now, which is no function of the server, or is in quotes",
	"select guest.f(1)":                           "calls guest.f, which is no function",
	"select current_timestamp":                    "CURRENT_TIMESTAMP: it gives other results in a rebuild",
	"select current_timestamp(6)":                 "CURRENT_TIMESTAMP: it gives other results in a rebuild",
	"select current_user":                         "CURRENT_USER: it is of the session",
	"select id from {row} for update":             "FOR: a statement has no locks",
	"select id into x from {row}":                 "INTO: a query gives",
	"select id from {row} order by id nulls last": "has NULLS FIRST or LAST",
	"select data->'$.a' from {row}":               "JSON_VALUE",
	"select id rlike 'a' from {row}":              "RLIKE",
	"update {row} set n = 1 from {other}":         "has FROM in an UPDATE",
	"insert into {row} (id) values (1) on conflict do nothing":                   "has ON CONFLICT",
	"insert into {row} (id) values (1) returning id":                             "RETURNING: a write gives no rows",
	"insert delayed into {row} values (1)":                                       "has delayed where INTO is due",
	"insert into r values (1)":                                                   "uses r, which is not",
	"with r as (select 1) insert into r values (1)":                              "has insert where SELECT is due",
	"with Row as (select 1) select 1":                                            `has "Row" in its WITH, which is the name of a table`,
	"with a as (select 1 from b), b as (select 1) select 1 from a":               "uses b, which is not",
	"select 1 from (with a as (select 1) select 1 from a) x, a":                  "uses a, which is not",
	"with a as (select 1 from a) select 1":                                       "uses a, which is not",
	"select count(*) over w, rank() from {row}":                                  "calls rank without OVER",
	"select cast(id as time)":                                                    "has a cast to time: there are BIGINT, BINARY",
	"select convert(id using latin1)":                                            "has latin1 where utf8mb4 is due",
	"select time '10:00'":                                                        "has TIME before a text: there are DATE and TIMESTAMP",
	"select _gbk'a'":                                                             "has _GBK before a text",
	"select n'a'":                                                                "has N before a text",
	"select str_to_date(id, '%H')":                                               "has the format \"%H\" without a date",
	"select str_to_date(id, '%%Y')":                                              "without a date",
	"select str_to_date(id, '%d %H')":                                            "without a date",
	"select str_to_date(id, id)":                                                 "has id where a text is due",
	"select unix_timestamp()":                                                    "has a call with 0 arguments, which depends on the session",
	"select week(at) from {row}":                                                 "has a call with 1 arguments",
	"select trim('ab' from id)":                                                  "has a TRIM of more than one character",
	"select trim(both id from id)":                                               "has a TRIM of more than one character",
	"select id collate latin1_bin":                                               "has the collation latin1_bin: there are utf8mb4_bin",
	"select id like '" + strings.Repeat("a", 101) + "'":                          "has a pattern of 101 bytes, there may be 100",
	"select concat(" + strings.Repeat("1,", 40) + "1)":                           "has a call with 41 arguments, there may be 32",
	"select 1" + strings.Repeat(", hex(1)", 101):                                 "has more than 100 calls",
	"select 'a'" + strings.Repeat(" || 'a'", 101):                                "has more than 100 calls",
	"select " + strings.Repeat("(", 200) + "1":                                   "is nested more than 100 deep",
	"select " + strings.Repeat("(select ", 200) + "1":                            "is nested more than 100 deep",
	"select " + strings.Repeat("locate(", 30) + "1" + strings.Repeat(", 1)", 30): "has patterns of more than 800 bytes together",
	"select id" + strings.Repeat(" like '%"+strings.Repeat("a", 90)+"%', id", 9): "has patterns of more than 800 bytes together",
	"select replace(id, 'a', '" + strings.Repeat("a", 101) + "')":                "has a pattern of 101 bytes",
	"select json_set(data" + strings.Repeat(", '$.a', json_set(data, '$.a', 1)", 8) + ")" + strings.Repeat(", json_remove(data"+strings.Repeat(", '$.a'", 31)+")", 3): "has more than 100 calls",
	"select x.* from json_table(data, '$' columns (a time path '$')) x":                                                                                               "has a column of JSON_TABLE of the type time",
	"select x.* from json_table(data, id columns (a int path '$')) x":                                                                                                 "has id where a text is due",
	"select interval 1 fortnight":           "has fortnight where a unit such as DAY is due",
	"select 1 limit n":                      "has n where a number is due",
	"select 1 limit 1 + 1":                  "must be one statement",
	"call guest.p()":                        "begins with call: a statement selects",
	"commit":                                "begins with commit",
	"`delete` from {row}":                   "begins with the name",
	"select end from {row}":                 "has end where a name is due",
	"select 'a' as 'b'":                     "has the text 'b' where a name is due",
	"select values(id)":                     "",
	"select match (id) against ('a')":       "MATCH",
	"select id from {row} use index (a)":    "must be one statement",
	"select id from {row} partition (a)":    "must be one statement",
	"select all_ (1)":                       "calls all_",
	"select max (1) filter (where 1)":       "",
	"select distinct on (id) id from {row}": "",
	"select 1 union":                        "ends where SELECT is due",
	"values 1":                              "has 1 where ( is due",
}

func TestCheck_refuses(t *testing.T) {
	t.Parallel()
	for sql, words := range refusals {
		_, err := grammar.Check(expand(sql), own)
		switch {
		case err == nil && words != "":
			t.Errorf("%.80q is not refused, want %q", sql, words)
		case err != nil && (!strings.Contains(err.Error(), words) || strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 500):
			t.Errorf("%.80q: %q, want %q", sql, err, words)
		}
	}
}

var rowOf = grammar.Row{Database: "guest", Table: "row", Columns: []string{"id", "n", "at"}, Generated: []string{"made"}}

func TestExpression(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"n+1 -- more":                     "`n` + 1",
		"{row}.n > row.n and \"n\" <> 0":  "`n` > `n` AND `n` <> 0",
		"id like 'a%' or id not in ('b')": "`id` LIKE 'a%' OR `id` NOT IN ('b')",
		"id like 'a!%' escape '!'":        "`id` LIKE 'a!%' ESCAPE '!'",
		"case when n > 1 then 'a' end":    "CASE WHEN `n` > 1 THEN 'a' END",
		"locate(id, id)":                  "LOCATE(LEFT(`id`, 100 + 9223372036854775807 * (LENGTH(`id`) > 100)), LEFT(`id`, 65536 + 9223372036854775807 * (LENGTH(`id`) > 65536)))",

		"": "-is empty", "-- n": "-is empty", "n *": "-ends where a value is due", "n, n": "-has , behind its end",
		"n) , (n": "-has ) behind its end", "(n": "-ends where ) is due", "n;": "-has ; behind its end", "$1": "-has the parameter $1",
		"(select 1)": "-has a query", "exists (select 1)": "-has a query", "n in (select 1)": "-has a query", "sum(n)": "-calls sum over rows",
		"row_number() over ()": "-calls row_number over rows", "made": `-uses column "made", which is generated itself`, "amount": `-uses "amount", which is not a column`,
		"other.n": "-uses other.n", "x.row.n": "-uses x.row.n", "guest.other.n": "-uses guest.other.n", "row.*": `-uses "*", which is not a column`,
		"values(n)": "-calls values", "default(n)": "-calls default", "id like id": "-has LIKE with a backslash", `id like 'a\_'`: "-has LIKE with a backslash",
		"id like 'a' escape ''": "-has the text '' where a character is due", "delete from {row}": "-has delete where a name is due", "now()": "-calls now",
	} {
		got, err := grammar.Expression(expand(sql), rowOf)
		words, refused := strings.CutPrefix(want, "-")
		switch {
		case refused && (err == nil || !strings.Contains(err.Error(), words)):
			t.Errorf("%q: %q, %v; want %q", sql, got, err, words)
		case !refused && (err != nil || got != want):
			t.Errorf("%q: %q, %v; want %q", sql, got, err, want)
		}
	}
}

// quotes are texts and names in what is written, which have no quotes of another kind in front of them.
var quotes = regexp.MustCompile("'(?:[^']|'')*'|`(?:[^`]|``)*`")

// dangerous are words that are never written.
var dangerous = regexp.MustCompile(`\b(INTO (OUTFILE|DUMPFILE|@)|SLEEP|BENCHMARK|GET_LOCK|NOW|SYSDATE|RAND|UUID|LOAD_FILE|USER|DATABASE|PROCEDURE|` +
	`EXECUTE|PREPARE|CALL|COMMIT|ROLLBACK|DROP|ALTER|GRANT|CREATE|FOR UPDATE|LOCK|REGEXP|RLIKE|HANDLER|RETURNING|NEXT|KILL|CURRENT_[A-Z]+)\b`)

// FuzzCheck looks at what is written with other eyes.
func FuzzCheck(f *testing.F) {
	for _, sql := range []string{
		"update {row} set n = n + 1 where at > '2006-01-02'", "with a as (select 1) select * from a", "select sleep(1) /* ' */",
		"insert into {row} (id) values ('a', `b`) on duplicate key update n = values(n)", "delete from r using {row} r", "select 'it''s' \"a`b\"",
		"select x.v from json_table($1, '$[*]' columns (v text path '$')) x where v like '%' || $2", "select date '2020-01-01' + interval 1 day",
		"select trim(both ' ' from id), count(distinct n) over (partition by id rows 1 preceding) from {row} limit 1, 2",
	} {
		f.Add(expand(sql))
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if got, err := grammar.Expression(sql, rowOf); err == nil {
			look(t, sql, got)
		}
		got, err := grammar.Check(sql, own)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || err.Error() == "" {
				t.Errorf("%q: an error of several lines: %q", sql, err)
			}
			return
		}
		look(t, sql, got.SQL)
		again, err := grammar.Check(parameters.ReplaceAllString(got.SQL, "$$$1"), own)
		switch {
		case err != nil && !strings.Contains(err.Error(), "nested") && !strings.Contains(err.Error(), "bytes") && !strings.Contains(err.Error(), "patterns") && !strings.Contains(err.Error(), "calls"):
			t.Errorf("%q is written %q, which is not read: %v", sql, got.SQL, err)
		case err == nil && !strings.Contains(got.SQL, "9223372036854775807") && again.SQL != got.SQL:
			t.Errorf("%q is written %q, and that %q", sql, got.SQL, again.SQL)
		}
	})
}

var parameters = regexp.MustCompile("`\\$([0-9]+)`")

func look(t *testing.T, sql, written string) {
	t.Helper()
	bare := quotes.ReplaceAllString(written, "0")
	if strings.ContainsAny(bare, ";@#$?{}[]\\:\"'`\x00\n\r") || strings.Contains(bare, "--") || strings.Contains(bare, "/*") ||
		strings.Contains(bare, "*/") || dangerous.MatchString(bare) || strings.ContainsFunc(bare, func(r rune) bool { return r > '~' }) {
		t.Errorf("%q is written %q", sql, written)
	}
	depth := 0
	for _, c := range bare {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 {
			t.Errorf("%q is written %q, which closes what it has not opened", sql, written)
		}
	}
}
