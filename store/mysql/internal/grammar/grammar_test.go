package grammar_test

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

// own are the tables of a projection.
var own = grammar.Tables{Database: "guest", Names: []string{"row", "other"}}

// expand writes the names of tables as package mysql does.
func expand(sql string) string {
	return strings.NewReplacer("{row}", "`guest`.`row`", "{other}", "`guest`.`other`").Replace(sql)
}

func TestCheck_writesWhatItAllows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sql, want string }{
		{"update {row} set n=n+1 -- why not", "UPDATE {row} SET `n` = `n` + 1"},
		{"/* a */ delete /*/ b */from {row};;", "DELETE FROM {row}"},
		{"delete # a\nfrom {row} --\n", "DELETE FROM {row}"},
		{`select 'it''s', 'a\', "n", x'0Aff', 0x41, b'01', .5, 1e3 from {row} r`, "SELECT 'it''s', 'a\\', `n`, x'0aff', 0x41, b'01', .5, 1e3 FROM {row} `r`"},
		{"select id as `a``b` from {row} as \"c d\"", "SELECT `id` AS `a``b` FROM {row} AS `c d`"},
		{"insert into {row} (id, n) values ($1, -$2), (default, 2) on duplicate key update n = n + values(n)", "INSERT INTO {row} (`id`, `n`) VALUES (`$1`, - `$2`), (DEFAULT, 2) ON DUPLICATE KEY UPDATE `n` = `n` + VALUES(`n`)"},
		{"with recursive up (n) as (select 1 union all select n + 1 from up where n < 9) select count(*) from up", "WITH RECURSIVE `up` (`n`) AS (SELECT 1 UNION ALL SELECT `n` + 1 FROM `up` WHERE `n` < 9) SELECT COUNT(*) FROM `up`"},
		{"select upper (id), count ( distinct n ) from {row}", "SELECT UPPER(`id`), COUNT(DISTINCT `n`) FROM {row}"},
		{"select sum(n) over (partition by id order by n rows between unbounded preceding and 1 following) from {row}", "SELECT SUM(`n`) OVER (PARTITION BY `id` ORDER BY `n` ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING) FROM {row}"},
		{"select cast(n as bigint), cast(id as text), cast(n as numeric(10, 2)) from {row}", "SELECT CAST(`n` AS SIGNED), CAST(`id` AS CHAR), CAST(`n` AS DECIMAL (10, 2)) FROM {row}"},
		{"select t.v from json_table($1, '$[*]' columns (i for ordinality, v longtext path '$' null on empty)) t", "SELECT `t`.`v` FROM JSON_TABLE(`$1`, '$[*]' COLUMNS (`i` FOR ORDINALITY, `v` LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$' NULL ON EMPTY)) `t`"},
		{"select id from {row} where id like 'a%' and n not in (1, 2) or n between 1 and 2 and id is not null", "SELECT `id` FROM {row} WHERE `id` LIKE 'a%' AND `n` NOT IN (1, 2) OR `n` BETWEEN 1 AND 2 AND `id` IS NOT NULL"},
		{"select locate($1, id) from {row}", "SELECT LOCATE(LEFT(`$1`, 100 + 9223372036854775807 * (LENGTH(`$1`) > 100)), LEFT(`id`, 65536 + 9223372036854775807 * (LENGTH(`id`) > 65536))) FROM {row}"},
		{"select n + 1 || id like '%a%', not id not like $1 from {row}", "SELECT LEFT(`n` + 1 || `id`, 65536 + 9223372036854775807 * (LENGTH(`n` + 1 || `id`) > 65536)) LIKE '%a%', NOT LEFT(`id`, 65536 + 9223372036854775807 * (LENGTH(`id`) > 65536)) NOT LIKE LEFT(`$1`, 100 + 9223372036854775807 * (LENGTH(`$1`) > 100)) FROM {row}"},
		{"select repeat('ab', 9), space(9), lpad(id, 9), rpad(id, n, ' '), repeat(id, $1) from {row}", "SELECT REPEAT('ab', 9), SPACE(9), LPAD(`id`, 9), RPAD(`id`, LEAST(`n`, 1048576 + 9223372036854775807 * (`n` > 1048576)), ' '), REPEAT(`id`, LEAST(`$1`, 1048576 + 9223372036854775807 * (LENGTH(`id`) * `$1` > 1048576))) FROM {row}"},
		{"delete r from {row} r join {other} o on o.id = r.id and o.n = 1", "DELETE `r` FROM {row} `r` JOIN {other} `o` ON `o`.`id` = `r`.`id` AND `o`.`n` = 1"},
		{"delete from r using {row} as r", "DELETE FROM `r` USING {row} AS `r`"},
		{"update {row} r left outer join {other} o using (id) set r.n = o.n, {row}.n = 1", "UPDATE {row} `r` LEFT OUTER JOIN {other} `o` USING (`id`) SET `r`.`n` = `o`.`n`, `row`.`n` = 1"},
		{"select r.*, case n when 1 then 'a' else (select max(n) from {other}) end from {row} r order by 1 desc limit 5 offset $1", "SELECT `r`.*, CASE `n` WHEN 1 THEN 'a' ELSE (SELECT MAX(`n`) FROM {other}) END FROM {row} `r` ORDER BY 1 DESC LIMIT 5 OFFSET `$1`"},
		{"insert into {row} (id) select id from {other} on duplicate key update n = 1", "INSERT INTO {row} (`id`) SELECT `id` FROM {other} ON DUPLICATE KEY UPDATE `n` = 1"},
		{"select {row}.*, {row}.n from {row}", "SELECT `row`.*, `row`.`n` FROM {row}"},
		{"values (1, 'a'), (2, 'b')", "VALUES (1, 'a'), (2, 'b')"},
		{"select date '2020-01-01' + interval 1 day, timestampdiff(day, a, b), extract(year from a), group_concat(id order by n separator ';') from {row}", "SELECT DATE '2020-01-01' + INTERVAL 1 DAY, TIMESTAMPDIFF(DAY, `a`, `b`), EXTRACT(YEAR FROM `a`), GROUP_CONCAT(`id` ORDER BY `n` SEPARATOR ';') FROM {row}"},
		{"replace into {row} set id = 'a', n = default", "REPLACE INTO {row} SET `id` = 'a', `n` = DEFAULT"},
		{"(select id from {row} limit 1) union all (select id from {other})", "(SELECT `id` FROM {row} LIMIT 1) UNION ALL (SELECT `id` FROM {other})"},
		{"insert into {row} () values ()", "INSERT INTO {row} () VALUES ()"},
		{"select exists (select 1 from {row}), n > all (select n from {other}), (1, 2) in ((1, 2)) from ({row} join {other}), (select 1 as one) x", "SELECT EXISTS (SELECT 1 FROM {row}), `n` > ALL (SELECT `n` FROM {other}), (1, 2) IN ((1, 2)) FROM ({row} JOIN {other}), (SELECT 1 AS `one`) `x`"},
	} {
		got, err := grammar.Check(expand(test.sql), own)
		switch {
		case err != nil:
			t.Errorf("%s: %v", test.sql, err)
		case got.SQL != expand(test.want):
			t.Errorf("%s:\n got %s\nwant %s", test.sql, got.SQL, expand(test.want))
		}
		if err != nil {
			continue
		}
		again, err := grammar.Check(strings.NewReplacer("`$1`", "$1", "`$2`", "$2").Replace(got.SQL), own)
		if err != nil || len(again.SQL) < len(got.SQL) {
			t.Errorf("what was written is not read again: %s: %v", got.SQL, err)
		}
	}
}
