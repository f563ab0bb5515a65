package storetest

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// rejectionCases are about what an error says of a row that the database refuses.
var rejectionCases = []testCase{
	{"names_the_row_and_the_column", rejectionNames},
	{"a_statement_names_its_parameter", rejectionStatement},
	{"of_a_retry", rejectionRetry},
	{"is_searched_for_on_demand", rejectionOnDemand},
}

// refusing is a projection with a table that refuses rows for several reasons.
func refusing() *store.Projection {
	return &store.Projection{
		Name: "refusing", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "row", Key: []string{"id"},
			Columns: []store.Column{
				{Name: "id", Type: typed("i64")},
				{Name: "note", Type: typed("text"), NotNull: true},
				{Name: "n", Type: typed("i64")},
				{Name: "k", Type: typed("i64"), NotNull: true},
				{Name: "m", Type: typed("numeric")},
				{Name: "at", Type: typed("timestamptz")},
				{Name: "doc", Type: typed("json")},
				{Name: "data", Type: typed("bytes")},
				{Name: "short", Type: typed("text")},
				{Name: "parent", Type: typed("i64")},
				{Name: "size", Type: typed("i64"), Generated: anySQL("abs(n)")},
			},
			Checks: []store.Check{{Name: "lucky", SQL: anySQL("n <> 13")}},
		}},
		Writes: []store.Write{
			{
				Name: "put", Action: store.Upsert, Table: "row", Columns: []store.WriteColumn{
					{Name: "note"},
					{Name: "n", Action: store.ActionAdd},
					{Name: "k"},
					{Name: "m"},
					{Name: "at"},
					{Name: "doc"},
					{Name: "data"},
					{Name: "short"},
					{Name: "parent"},
				},
			},
			{Name: "renote", SQL: anySQL(`UPDATE {row} SET note = $1 WHERE id = $2`), Params: types("text", "i64")},
		},
		Queries: []store.Query{{
			Name: "all", SQL: anySQL(`SELECT id, note FROM {row} ORDER BY id`), Results: types("i64", "text"),
		}},
	}
}

// refusable is a row that nothing refuses, with one value replaced.
func refusable(id int64, column string, value store.Value) store.Mutation {
	values := []store.Value{
		store.I64(id), store.Text("fine"), store.I64(1), store.I64(2), number("3"), store.Timestamp(4),
		store.BytesOf(store.KindJSON, []byte("{}")), store.BytesOf(store.KindBytes, []byte{5}),
		store.Text("short"), store.I64(6),
	}
	for i, c := range refusing().Writes[0].Columns {
		if c.Name == column {
			values[i+1] = value
		}
	}
	return mutate(0, values...)
}

// explained commits mutations and returns the text of the rejection.
func (r *runner) explained(mutations ...store.Mutation) string {
	r.Helper()
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	err := tx.Commit(r.ctx, store.Commit{
		Through: r.claim.Position + 1, Steps: r.plan(mutations...), Log: r.claim.Applied.Log, Explain: true,
	})
	var rejection *store.RejectedError
	if !errors.As(err, &rejection) {
		r.Errorf("the database does not refuse the row: %v", err)
		return ""
	}
	if text := err.Error(); strings.ContainsAny(text, "\n\x00") || len(text) > 2000 {
		r.Errorf("the error is not one line: %q", text)
	}
	return err.Error()
}

// byHand is what somebody does to the table. {row} is its name, {place} what has it, and {view} the name of its view, on
// which types depend.
var byHand = map[store.Dialect][]string{
	store.DialectPostgres: {
		"DROP VIEW {view}",
		"CREATE UNIQUE INDEX unique_note ON {row} (note)",
		`CREATE FUNCTION raise_evil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.note LIKE 'evil%' THEN
				RAISE EXCEPTION USING MESSAGE = 'two' || chr(10) || 'lines' || repeat('!', 9999);
			END IF;
			RETURN NEW;
		END $$`,
		"CREATE TRIGGER evil BEFORE INSERT ON {row} FOR EACH ROW EXECUTE FUNCTION raise_evil()",
		"CREATE TABLE parent (id bigint PRIMARY KEY)", "INSERT INTO parent VALUES (6)",
		"ALTER TABLE {row} ADD FOREIGN KEY (parent) REFERENCES parent",
		"ALTER TABLE {row} ALTER short TYPE varchar(7)",
		"ALTER TABLE {row} ALTER m TYPE numeric(4, 2)",
		"CREATE DOMAIN small AS integer CHECK (VALUE < 10)", "ALTER TABLE {row} ALTER k TYPE small",
		"CREATE INDEX large ON {row} (data)",
	},
	store.DialectMySQL: {
		"CREATE UNIQUE INDEX unique_note ON {row} (note)",
		"CREATE TRIGGER {place}.evil BEFORE INSERT ON {row} FOR EACH ROW IF NEW.note LIKE 'evil%' THEN " +
			"SIGNAL SQLSTATE '45002' SET MESSAGE_TEXT = 'two\nlines'; END IF",
		"CREATE TABLE {place}.parent (id bigint PRIMARY KEY)", "INSERT INTO {place}.parent VALUES (6)",
		"ALTER TABLE {row} ADD FOREIGN KEY (parent) REFERENCES parent (id)",
		"ALTER TABLE {row} MODIFY short varchar(7)",
		"ALTER TABLE {row} MODIFY m numeric(4, 2)",
		"ALTER TABLE {row} MODIFY k integer NOT NULL",
	},
	store.DialectSQLite: {
		"CREATE UNIQUE INDEX unique_note ON {row} (note)",
		"CREATE TRIGGER evil BEFORE INSERT ON {row} WHEN NEW.note LIKE 'evil%' " +
			"BEGIN SELECT RAISE(ABORT, 'two\nlines'); END",
	},
}

// refusal is a value that the database refuses, and what the error says of it.
type refusal struct {
	name   string
	column string
	value  store.Value
	want   string
}

// refusals are reasons in the declaration, in values, and in what somebody has added by hand.
func refusals(dialect store.Dialect) []refusal {
	all := []refusal{
		{"not null", "note", store.Null(), "NULL"},
		{"check", "n", store.I64(13), "13"},
		{"generated", "n", store.I64(math.MinInt64), "-9223372036854775808"},
		{"sum out of range", "n", store.I64(math.MaxInt64), "9223372036854775807"},
		{"NUL", "note", store.Text("a\x00b"), `"a\x00b"`},
		{"not UTF-8", "note", store.Text("a\xffb"), `"a\xffb"`},
		{"not JSON", "doc", store.BytesOf(store.KindJSON, []byte("{\n")), `"{\n"`},
		{"unique", "note", store.Text("taken"), `"taken"`},
		{
			"trigger", "note", store.Text("evil\n\"" + strings.Repeat("x", 999)),
			`"evil\n\"` + strings.Repeat("x", 54) + `"… (1005 bytes)`,
		},
	}
	if dialect == store.DialectSQLite {
		return all
	}
	all = append(all, []refusal{
		{"foreign key", "parent", store.I64(77), "77"},
		{"too long", "short", store.Text("much too long"), `"much too long"`},
		{"integer", "k", store.I64(1 << 40), "1099511627776"},
		{"numeric", "m", number("12345.67"), "12345.67"},
		{"timestamp", "at", store.Timestamp(math.MinInt64), "-9223372036854775808 µs since 1970"},
	}...)
	if dialect == store.DialectMySQL {
		return all
	}
	long := make([]byte, 9000)
	random := rand.New(rand.NewPCG(1, 2)) // nothing that is compressed fits
	for i := range long {
		long[i] = byte(random.Uint32())
	}
	return append(all, []refusal{
		{"domain", "k", store.I64(70), "70"},
		{"too large for an index", "data", store.BytesOf(store.KindBytes, long), `\x`},
	}...)
}

func rejectionNames(f *fixture) {
	r := f.running(refusing())
	r.apply(refusable(1, "note", store.Text("taken")), refusable(2, "", store.Null()))
	place, _, _ := strings.Cut(r.stored("refusing", "row"), ".")
	names := strings.NewReplacer("{row}", r.stored("refusing", "row"), "{place}", place, "{view}",
		r.Table("refusing", "row"))
	for _, sql := range byHand[f.dialect] {
		r.Query(f, names.Replace(sql))
	}
	for _, c := range refusals(f.dialect) {
		got := r.explained(refusable(3, "note", store.Text("three")), refusable(2, c.column, c.value),
			refusable(4, "note", store.Text("four")))
		want := `the database refuses write "put": table row, key id = 2, column ` + c.column + " = " + c.want
		if !strings.HasPrefix(got, want) || strings.Count(got, " = ") > 2 {
			f.Errorf("%s:\ngot  %s\nwant %s", c.name, got, want)
		}
	}
	r.apply(refusable(5, "note", store.Text("five"))) // the claim and its connection are as good as before
}

func rejectionStatement(f *fixture) {
	r := f.running(refusing())
	r.apply(refusable(1, "", store.Null()), refusable(2, "", store.Null()))
	got := r.explained(mutate(1, store.Text("fine"), store.I64(1)), mutate(1, store.Null(), store.I64(2)))
	if !strings.HasPrefix(got, `the database refuses write "renote": `) || !strings.Contains(got, "parameter $1 = NULL: ") &&
		!strings.Contains(got, "column note") {
		f.Errorf("got %s", got)
	}
}

func rejectionRetry(f *fixture) {
	r := f.running(refusing())
	r.parkAt("k")
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	_, err := tx.Retry(r.ctx, store.Retry{
		Key: []byte("k"), Through: f.at(1), Log: r.claim.Applied.Log, Explain: true,
		Steps: r.plan(refusable(1, "", store.Null()), refusable(2, "n", store.I64(13))),
	})
	if err == nil || !strings.Contains(err.Error(), "table row, key id = 2, column n = 13: ") {
		f.Errorf("got %v", err)
	}
}

func rejectionOnDemand(f *fixture) {
	r := f.running(refusing())
	err := r.commit(refusable(1, "", store.Null()), refusable(2, "n", store.I64(13)))
	var rejection *store.RejectedError
	if !errors.As(err, &rejection) || strings.Contains(err.Error(), "n = 13") {
		f.Errorf("without Explain: %v", err)
	}
	if got := r.table(); got != "" {
		f.Errorf("the table is %q", got)
	}
}
