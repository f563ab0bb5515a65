package grammar_test

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/postgres/internal/grammar"
)

// own are the tables of a projection.
var own = grammar.Tables{Schema: "guest", Columns: map[string][]string{
	"row":   {"id", "n", "at", "data", "tags", "during"},
	"other": {"id", "n"},
}}

func TestCheck_writesWhatItAllows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sql, want string }{
		{"update guest.row set n=n+1 -- why not", `UPDATE guest."row" SET n = n + 1`},
		{"/* a */ delete /*/* b */*/ from guest.row;;", `DELETE FROM guest."row"`},
		{"select $$a$$, E'\\x62', U&'\\0063', 'd'\n'e'", `SELECT 'a', 'b', 'c', 'de'`},
		{"select 'a' -- \r, upper('b')", `SELECT 'a', upper('b')`}, // a carriage return ends a remark
		{`SELECT '\', "n" FROM guest.row`, `SELECT E'\\', n FROM guest."row"`},
		{"select id as \"a b\" from guest.row", `SELECT id AS "a b" FROM guest."row"`},
		{"insert into guest.row as r (id, n) values ($1, 2) on conflict (id) do update set n = r.n + excluded.n " +
			"where r.n < 10 returning n", ""},
		{"with recursive up as (select id, n from guest.row union all select r.id, r.n from guest.row r join up " +
			"on r.n = up.n + 1) select * from up", ""},
		{"with a as (select 1 as n), b as (select n from a) select b.n from b where exists (select from a)", ""},
		{"select distinct on (id) id, count(*) filter (where n > 1) over (partition by id order by n desc nulls " +
			"last rows between 1 preceding and current row) from guest.row", ""},
		{"select x.n, x.ordinality from unnest($1) with ordinality x (n)", ""},
		{"select extract(epoch from at at time zone 'UTC'), at + interval '1 day', timestamptz '2006-01-02 " +
			"15:04:05Z', '2006-01-02'::date from guest.row", ""},
		{"select '[2006-01-02,2006-01-03)'::daterange, tstzrange(at, null), 'empty'::tsrange from guest.row", ""},
		{"select trim(both ' ' from id), substring(id from 2 for 3), position('a' in id), overlay(id placing 'x' " +
			"from 1), id similar to 'a%', id collate \"C\" from guest.row", ""},
		{"select 'now', 'yesterday' || id from guest.row", ""},
		{"select case when n is distinct from 1 then tags[1:2] else null end, (n, id) in (select n, id from " +
			"guest.other), n between symmetric 1 and 2 from guest.row", ""},
		{"select grouping(id), id, sum(n) from guest.row group by rollup (id), cube (n), grouping sets ((id), ()) " +
			"having sum(n) > 1 order by 1 limit 10 offset 2", ""},
		{"update guest.row r set (n, id) = (select o.n, o.id from guest.other o where o.id = r.id), data['a'] = " +
			"'1' where r.tags[1] = 'x'", ""},
		{"merge into guest.row r using guest.other o on r.id = o.id when matched and o.n > 1 then update set n = " +
			"o.n when matched then delete when not matched then insert (id, n) values (o.id, default)", ""},
		{"select id from guest.row r for update of r", ""},
		{"select v.column5, (row(1, 2)).f1, x.jsonb from (values (1, 2, 3, 4, 5)) v, (select id::jsonb from " +
			"guest.row) x", ""},
		{"select timestamptz '2006-01-02 15:04:05 UTC', timestamptz '2006-01-02T15:04:05.123456789Z'", ""},
		{"select id collate \"C\" < 'a', id collate pg_catalog.\"POSIX\" from guest.row", ""},
		{"select m.key, m.value, (jsonb_each(data)).key from guest.row, jsonb_each(data) m", ""},
		{"select r, r.*, guest.row.n from guest.row r, guest.row", ""},
		{"table guest.row", ""},
		{"values (1, 2), (3, 4)", ""},
	} {
		got, err := grammar.Check(test.sql, own)
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
			continue
		}
		if test.want != "" && got.SQL != test.want {
			t.Errorf("%s is written %s, must be %s", test.sql, got.SQL, test.want)
		}
		again, err := grammar.Check(got.SQL, own)
		if err != nil || again.SQL != got.SQL {
			t.Errorf("%s, once more: %+v, error %v", got.SQL, again, err)
		}
	}
}

func TestCheck_refusesWhatIsNotOnItsLists(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sql, want string }{
		{"", "no statement"},
		{"-- nothing", "no statement"},
		{"selec 1", "SELEC is not possible here"},
		{"select from where", "syntax error"},
		{"select (array[1, 2])[1]", "cannot be written back"},
		{"select 1; select 2", "multiple commands"},
		{"select 1\x00", "NUL"},
		{"select '" + strings.Repeat("a", 20_000) + "'", "at most 16384"},
		{"select at at time zone 'localtime' from guest.row", "that of the machine"},
		{"select at at time zone 'posix/Localtime' from guest.row", "that of the machine"},
		{"select timezone('posixrules', at) from guest.row", "that of the machine"},
		{`select id collate "de-x-icu" from guest.row`, "may compare otherwise"},
		{`select id collate "C.utf8" from guest.row`, "may compare otherwise"},
		{`select id collate public."C" from guest.row`, "may compare otherwise"},
		// Other statements.
		{"drop table guest.row", "DROP is not possible here"},
		{"create table guest.row (x int)", "CREATE is not possible here"},
		{"set role postgres", "SET is not possible here"},
		{"reset role", "RESET is not possible here"},
		{"do $$begin end$$", "DO is not possible here"},
		{"copy guest.row to program 'cat'", "COPY is not possible here"},
		{"explain analyze delete from guest.row", "EXPLAIN is not possible here"},
		{"call f()", "CALL is not possible here"},
		{"notify a", "NOTIFY is not possible here"},
		{"select 1 into guest.copy", "SELECT INTO"},
		{"select 1 into temp copy", "SELECT INTO"},

		// Tables.
		{"select * from pg_class", "uses pg_class"},
		{"select * from pg_catalog.pg_class", "uses pg_catalog.pg_class"},
		{"select * from row", "uses row"},
		{"select * from guest.else", "uses guest.else"},
		{"select * from guest.third", "uses guest.third"},
		{"select * from db.guest.row", "another database"},
		{"delete from other", "changes other"},
		{"with other as (select 1) delete from other", "changes other"},
		{"with a as (select 1) select * from (with b as (select 2) select * from b) x, b", "uses b"},
		{"with a as (select * from b), b as (select 1) select * from a", "uses b"},
		{"with pg_class as (select 1 as relname) select * from pg_class", "PostgreSQL's own"},
		{"insert into guest.row select id, n from others.row", "uses others.row"},
		{"update guest.row set n = (select n from public.secrets)", "uses public.secrets"},
		{"merge into public.secrets s using guest.row r on true when matched then delete", "uses public.secrets"},
		{"select * from guest.row tablesample system (1)", "sample"},
		{"select (select 1 from pg_authid limit 1)", "uses pg_authid"},
		{"select * from guest.row for update skip locked", "SKIP LOCKED"},
		{"select * from guest.row for update nowait", "NOWAIT"},

		// Functions, by any way to call one.
		{"select 'a' -- \r, pg_sleep(1)", "calls pg_sleep()"},
		{"select pg_sleep(1)", "calls pg_sleep()"},
		{"select pg_catalog.pg_sleep(1)", "calls pg_sleep()"},
		{`select "pg_catalog"."pg_sleep"(1)`, "calls pg_sleep()"},
		{"select public.lower('a')", "not a function of PostgreSQL itself"},
		{"select * from pg_ls_dir('/')", "calls pg_ls_dir()"},
		{"select * from rows from (generate_series(1, 2), pg_ls_dir('/'))", "calls pg_ls_dir()"},
		{"select count(*) filter (where pg_sleep(1) is null) from guest.row", "calls pg_sleep()"},
		{"select array_agg(id order by random()) from guest.row", "calls random()"},
		{"select sum(n) over (order by random()) from guest.row", "calls random()"},
		{"select 1 limit (select random())", "calls random()"},
		{"select age(at) from guest.row", "calls age()"},
		{"select r.pg_typeof from guest.row r", "uses r.pg_typeof"},
		{"select (r).pg_column_size from guest.row r", "uses pg_column_size"},
		{"select (row(1)).record_out", "uses record_out"},
		{"select now()", "calls now()"},
		{"select query_to_xml('select 1', true, true, '')", "calls query_to_xml()"},
		{"select * from json_to_record('{}') as x (t timestamptz)", "calls json_to_record()"},
		{"select * from json_populate_record(null::guest.row, '{}')", "calls json_populate_record()"},
		{"select regclass('pg_authid')", "calls regclass()"},
		{"select current_date", "clock"},
		{"select localtime", "clock"},
		{"select current_user", "session"},
		{"select current_schema", "session"},
		{"select * from xmltable('/a' passing '<a/>' columns t timestamptz default 'now')", "XMLTABLE"},
		{"select xmlelement(name a, n) from guest.row", "XML"},
		{"select json_value('\"now\"', '$' returning timestamptz)", "JsonFuncExpr"},
		{"select * from json_table('[1]', '$' columns (t timestamptz path '$'))", "JsonTable"},
		{"select json_object('a': 1)", "Json"},
		{"delete from guest.row where current of c", "cursor"},

		// Operators, types, collations, columns.
		{"select 1 operator(public.+) 1", "operator public.+"},
		{"select 1 <%> 1", "operator <%>"},
		{"select * from guest.row order by id using operator(public.<)", "operator public.<"},
		{"select id = any (select id operator(public.<<<) 'a' from guest.row) from guest.row", "operator public.<<<"},
		{"select 'a'::public.mood", "type public.mood"},
		{"select 'pg_authid'::regclass", "type regclass"},
		{"select null::guest.row", "type guest.row"},
		{"select id::name from guest.row", "type name"},
		{"select id collate public.nocase from guest.row", "collation"},
		{"select ctid from guest.row", "system column"},
		{"select r.xmin from guest.row r", "system column"},
		{"insert into guest.row overriding system value values ('a')", "OVERRIDING"},
		{
			"insert into guest.row (id) values ('a') on conflict (id collate \"C\" text_pattern_ops) do nothing",
			"IndexElem",
		},

		// The clock in constants.
		{"select 'now'::timestamptz", "ISO 8601"},
		{"select $$now$$::timestamptz", "ISO 8601"},
		{"select $a$now$a$::date", "ISO 8601"},
		{"select E'\\x6eow'::timestamp", "ISO 8601"},
		{"select U&'\\006eow'::time", "ISO 8601"},
		{"select 'n'\n'ow'::timestamptz", "ISO 8601"},
		{"select timestamptz ' NOW '", "ISO 8601"},
		{"select cast('now' as timetz)", "ISO 8601"},
		{"select date 'today'", "ISO 8601"},
		{"select ('yesterday')::date", "ISO 8601"},
		{"select '01/02/2006'::date", "ISO 8601"},
		{"select ''::date", "ISO 8601"},
		{"select '2006-01-02 now'::timestamptz", "ISO 8601"},
		{"select '[now,)'::tstzrange", "ISO 8601"},
		{"select '[2006-01-02,tomorrow)'::daterange", "ISO 8601"},
		{"select '{now}'::timestamptz[]", "in one text"},
		{"select '{[now,)}'::tstzmultirange", "in one text"},
	} {
		got, err := grammar.Check(test.sql, own)
		switch {
		case err == nil:
			t.Errorf("%.100s is allowed, as %.100s", test.sql, got.SQL)
		case !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%.100s: %q, want one line with %q", test.sql, err, test.want)
		}
	}
}

// TestCheck_takesLongStatements has what authors write.
func TestCheck_takesLongStatements(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"select id" + strings.Repeat(" || '-' || id", 25) + " from guest.row",
		"select 1 from guest.row where false" + strings.Repeat(" or n is distinct from 1", 200),
		"select 1 from guest.row where true" + strings.Repeat(" and n between 1 and 2", 200),
		"select 1 from guest.row" + strings.Repeat(" left join guest.other using (id)", 20),
		"select 1" + strings.Repeat(" union all select 1", 25),
		"select case" + strings.Repeat(" when n = 1 then 'a'", 200) + " end from guest.row",
		"select coalesce(" + strings.Repeat("n + 1, ", 200) + "0) from guest.row",
		"insert into guest.row (id, n) values ('a', 1)" + strings.Repeat(", ('b', 2 + 3)", 500),
		"insert into guest.row as r (id, n) values ($1, $2) on conflict (id) do update set (n, at, data) = " +
			"(excluded.n, excluded.at, excluded.data)",
	} {
		if _, err := grammar.Check(sql, own); err != nil {
			t.Errorf("%.80s: %v", sql, err)
		}
	}
}

// TestCheck_findsWordsOfTheClock has texts that are dates only when the server reads them so.
func TestCheck_findsWordsOfTheClock(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"select * from guest.row where at > 'now'":                             "now",
		"select * from guest.row where at > $$ToDay$$":                         "ToDay",
		"select * from guest.row where at > E'\\x6eow'":                        "now",
		"update guest.row set during = '[now,)'":                               "[now,)",
		"select array['a', '2006-01-02 yesterday']::timestamptz[]":             "2006-01-02 yesterday",
		"select tstzrange('tomorrow', null)":                                   "tomorrow",
		"select date('now')":                                                   "now",
		"select row('x', '(1,now)')":                                           "(1,now)",
		`select 1 from guest.row where at = any ('{n\ow}')`:                    `{n\ow}`,
		`select 1 from guest.row where during = '[n"o"w,)'`:                    `[n"o"w,)`,
		`select 1 from guest.row where at = any ('{to\morrow}')`:               `{to\morrow}`,
		"select * from guest.row where id = 'knowledge' or id = 'nowhere'":     "",
		"select '2006-01-02'::date, at from guest.row where at > '2006-01-02'": "",
	} {
		got, err := grammar.Check(sql, own)
		if err != nil || got.Clock != want {
			t.Errorf("%s: %+v, error %v, must have the word %q", sql, got, err, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, sql := range []string{
		"update guest.row set n = n + 1 where at > '2006-01-02'", "with a as (select 1) select * from a",
		"select pg_sleep(1)", "select 'now'::timestamptz", "insert into guest.row (id) values ('a') on conflict " +
			"do nothing",
		"merge into guest.row r using guest.other o on r.id = o.id when matched then delete",
	} {
		f.Add(sql)
	}
	_, _ = grammar.Check("select 1", own) // compiles the parser: a fuzzing process has ten seconds for an input
	f.Fuzz(func(t *testing.T, sql string) {
		got, err := grammar.Check(sql, own)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: an error of several lines: %q", sql, err)
			}
			return
		}
		again, err := grammar.Check(got.SQL, own)
		if err != nil || again.SQL != got.SQL || again.Clock != got.Clock {
			t.Errorf("%q is written %q, and that %+v, error %v", sql, got.SQL, again, err)
		}
	})
}
