package mysql_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// asking is ledger with a query in place of its own.
func asking(sql string, result store.Type, params ...store.Type) *store.Projection {
	p := ledger()
	p.Queries = []store.Query{{Name: "q", SQL: anySQL(sql), Params: params, Results: []store.Type{result}, Unordered: true}}
	return p
}

func (r *rig) ask(arguments ...store.Value) error {
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	return tx.Query(r.Context(), 0, arguments, &rows)
}

// TestLimits_temporaryTables has a statement that would fill the disk.
func TestLimits_temporaryTables(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRigOf(t, at, at.URL, mysql.Options{StatementTimeout: time.Minute}, asking(`WITH RECURSIVE c (x, t) AS (
		SELECT 1, CAST(REPEAT('a', 15000) AS CHAR(15000)) UNION ALL SELECT x + 1, t FROM c WHERE x < 1000000) SELECT COUNT(*) FROM c`,
		ofI64))
	wantLimit(t, r.ask(), `query "q"`, "was stopped: The table '(temporary)' is full")
	must(t, r.commit(t.Context(), add("a", 1)))
}

// TestLimits_patterns has patterns that come from events.
func TestLimits_patterns(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRigOf(t, at, at.URL, mysql.Options{}, asking(
		`SELECT COUNT(*) FROM {total} WHERE name LIKE $1 || '%' OR LOCATE($1, name) > 0 OR REPLACE(name, $1, '') = ''`, ofI64, ofText))
	must(t, r.commit(t.Context(), add("a", 1)))
	must(t, r.ask(store.Text(strings.Repeat("a", 99))))
	must(t, r.ask(store.Text("a\\_%")))
	must(t, r.ask(store.Null()))
	var rejection *store.RejectedError
	err := r.ask(store.Text(strings.Repeat("ä", 51)))
	if !errors.As(err, &rejection) || !strings.Contains(err.Error(), "a pattern has more than 100 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestLimits_noFunctionTakesLongInOneStep has functions on large texts, each of which is a step that nothing interrupts.
func TestLimits_noFunctionTakesLongInOneStep(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s := open(t, at.URL, mysql.Options{})
	million := "REPEAT('a', 1000000)"
	long, array := "CONCAT("+million+strings.Repeat(", "+million, 3)+")", "CONCAT('[0', REPEAT(',0', 500000), REPEAT(',0', 500000), ']')"
	object := `(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) SELECT JSON_OBJECTAGG(n, n) FROM c)`
	for name, sql := range map[string]string{
		"locate":          "LOCATE('" + strings.Repeat("a", 99) + "b', " + long + ")",
		"instr":           "INSTR(" + long + ", '" + strings.Repeat("a", 99) + "b')",
		"replace":         "LENGTH(REPLACE(" + long + ", '" + strings.Repeat("a", 99) + "b', 'x'))",
		"substring_index": "LENGTH(SUBSTRING_INDEX(" + long + ", '" + strings.Repeat("a", 99) + "b', 9))",
		"like":            "REPEAT('a', 1000000) LIKE '%" + strings.Repeat("a", 98) + "b'",
		"like of many":    "REPEAT('a', 1000000) LIKE '" + strings.Repeat("%a", 49) + "b'",
		"trim":            "LENGTH(TRIM('a' FROM " + long + "))",
		"ltrim":           "LENGTH(LTRIM(REPEAT(' ', 1000000)))",
		"rtrim":           "LENGTH(RTRIM(REPEAT(' ', 1000000)))",
		"rtrim of others": "LENGTH(RTRIM(REPEAT('ä ', 300000)))",
		"find_in_set":     "FIND_IN_SET('b', REPEAT('a,', 500000))",
		"insert":          "LENGTH(LPAD('a', 1000000, 'bc'))",
		"conv":            "CONV(REPEAT('1', 1000000), 10, 2)",
		"quote":           "LENGTH(QUOTE(REPEAT('''', 1000000)))",
		"hashes":          "LENGTH(SHA2(MD5(" + long + ") || " + long + ", 512))",
		"json_keys":       "JSON_LENGTH(" + object + ")",
		"json_set":        "JSON_LENGTH(JSON_SET(" + array + strings.Repeat(", '$[999999]', 1", 15) + "))",
		"json_remove":     "JSON_LENGTH(JSON_REMOVE(" + array + strings.Repeat(", '$[0]'", 31) + "))",
		"json_extract":    "JSON_LENGTH(JSON_EXTRACT(" + array + ", '$**.a'))",
		"json_search":     "JSON_SEARCH(CONCAT('[\"a', REPEAT('\",\"a', 10000), '\"]'), 'one', '%" + strings.Repeat("a", 99) + "')",
		"json_contains":   "JSON_CONTAINS(" + array + ", " + array + ")",
		"json_detailed":   "LENGTH(JSON_DETAILED(" + array + "))",
		"json_value":      "JSON_VALUE(" + array + ", '$[999999]')",
		"json_table":      "(SELECT SUM(v) FROM JSON_TABLE(" + array + ", '$[*]' COLUMNS (v INT PATH '$')) x)",
		"json_quote":      "LENGTH(JSON_QUOTE(" + long + "))",
		"json_type":       "JSON_TYPE(" + array + ")",
		"json_object":     "JSON_LENGTH(JSON_OBJECT(" + long + ", " + array + "))",
		"format":          "FORMAT(REPEAT('1', 1000000), 2)",
		"str_to_date":     "STR_TO_DATE(" + long + ", '%Y')",
		"concat_ws":       "LENGTH(CONCAT_WS(" + long + ", 'a', 'b', 'c'))",
		"unhex":           "LENGTH(UNHEX(HEX(" + long + ")))",
		"base64":          "LENGTH(FROM_BASE64(TO_BASE64(" + long + ")))",
		"elt":             "LENGTH(ELT(1, " + long + "))",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := asking("SELECT "+sql+" FROM {total}", ofText)
			p.Name = strings.ReplaceAll(name, " ", "_")
			catalogue, err := s.Install(t.Context(), p, 1)
			if err != nil && strings.Contains(err.Error(), "a text in which ") {
				return // the server has computed it
			}
			must(t, err)
			must(t, s.Heartbeat(t.Context(), store.Worker{Name: name}, time.Hour))
			claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: name, Limit: 1})
			must(t, err)
			execute(t, at.Connect(t), "INSERT INTO `"+at.Name+"__"+p.Name+"__v1`.total VALUES ('a', 1)")
			tx := catalogue.Begin(claims[0])
			defer tx.Rollback()
			var rows store.Rows
			var refused *store.RejectedError
			err = tx.Query(t.Context(), 0, nil, &rows)
			if name == "json_contains" { // takes long, and is interrupted
				wantLimit(t, err, `query "q"`, "ran for longer than 5s")
			} else if err != nil && !errors.As(err, &refused) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestLimits_textsOfPatterns has texts in which patterns are looked for.
func TestLimits_textsOfPatterns(t *testing.T) {
	t.Parallel()
	for sql, says := range map[string]string{
		"SELECT $1 LIKE '%a%b' FROM {total}":                           "a text in which a pattern is looked for has more than 65536 bytes",
		"SELECT INSTR($1, 'b') FROM {total}":                           "a text in which a pattern is looked for has more than 65536 bytes",
		"SELECT LENGTH(REPLACE($1, 'b', '')) FROM {total}":             "a text in which REPLACE looks for a pattern has more than 6144 bytes",
		"SELECT LENGTH(REPEAT($1, 20)) FROM {total}":                   "a result of REPEAT, SPACE, LPAD or RPAD is longer than 1048576",
		"SELECT LENGTH(SPACE(LENGTH($1) * 20)) FROM {total}":           "a result of REPEAT, SPACE, LPAD or RPAD is longer than 1048576",
		"SELECT LENGTH(LPAD($1, LENGTH($1) * 20e0, 'a')) FROM {total}": "a result of REPEAT, SPACE, LPAD or RPAD is longer than 1048576",
		"SELECT $1 LIKE 'a%' FROM {total}":                             "",
	} {
		at := mariadbtest.New(t)
		p := asking(sql, ofI64, ofText)
		r := newRigOf(t, at, at.URL, mysql.Options{}, p)
		must(t, r.commit(t.Context(), add("a", 1)))
		must(t, r.ask(store.Text(strings.Repeat("a", 6_000))))
		must(t, r.ask(store.Null()))
		err := r.ask(store.Text(strings.Repeat("a", 70_000)))
		var rejection *store.RejectedError
		if says == "" {
			must(t, err)
		} else if !errors.As(err, &rejection) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", sql, err)
		}
	}
}

// slow computes one row for long, over a text that is given: the server does not look at the time meanwhile.
func slow() string {
	return "LENGTH(" + strings.Repeat("REVERSE(", 40) + "CONCAT($1" + strings.Repeat(", $1", 7) + ")" + strings.Repeat(")", 40) + ")"
}

// TestLimits_silence has statements that compute one row for long.
func TestLimits_silence(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	p := asking("SELECT "+slow(), ofI64, ofText)
	p.Writes = append(p.Writes, store.Write{Name: "slow", SQL: anySQL("UPDATE {total} SET n = " + slow()), Params: []store.Type{ofText}, Unordered: true})
	r := newRigOf(t, at, at.URL, mysql.Options{StatementTimeout: 50 * time.Millisecond}, p)
	must(t, r.commit(t.Context(), add("a", 1)))
	r.store.SetSilence(50 * time.Millisecond)
	long := store.Text(strings.Repeat("a", 1_500_000))
	const says = "ran for longer than 50ms"
	wantLimit(t, r.ask(long), `query "q"`, says)
	wantLimit(t, r.commit(t.Context(), store.Mutation{Write: len(p.Writes) - 1, Values: []store.Value{long}}), `write "slow"`, says)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.commit(ctx, add("a", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, it was cancelled", err)
	}
}

// TestLimits_manyPatterns has what one row took minutes for.
func TestLimits_manyPatterns(t *testing.T) {
	t.Parallel()
	s := open(t, mariadbtest.New(t).URL, mysql.Options{})
	p := asking("SELECT 1"+strings.Repeat(" + (x LIKE '%"+strings.Repeat("a", 96)+"b%')", 40)+
		" FROM (SELECT REPEAT('a', 16000000 + LENGTH($1)) AS x) t", ofI64, ofText)
	_, err := s.Install(t.Context(), p, 1)
	var refused *store.CatalogueError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "has patterns of more than 800 bytes together") {
		t.Errorf("got %v", err)
	}
}

// TestLimits_planningComputesConstants is about statements that do so for long when they are checked.
func TestLimits_planningComputesConstants(t *testing.T) {
	t.Parallel()
	s := open(t, mariadbtest.New(t).URL, mysql.Options{})
	p := asking("SELECT COUNT(*) FROM {total} WHERE n = (WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT MAX(x) FROM c)", ofI64)
	_, err := s.Install(t.Context(), p, 1)
	var refused *store.CatalogueError
	if err != nil && !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}
