package store_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestDeclaration_comparesMembersThatItDoesNotKnow alters a stored declaration as a version of pupwasm would have
// written it whose projections have more members, so that none is forgotten when they get some.
func TestDeclaration_comparesMembersThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := valid()
	must(t, p.Validate())
	for _, c := range []struct {
		name   string
		change func(installed map[string]any)
		want   string
	}{
		{
			"a member", func(d map[string]any) {
				d["partition"] = map[string]any{
					"by":   "json",
					"path": []any{"customer", "id"},
				}
			},
			`projection "fine_balance": its partition was {"by":"json","path":["customer","id"]}, and is none now: `,
		},
		{
			"a member of a table", func(d map[string]any) { tableIn(d)["mark"] = true },
			`table "fines": its mark was true, and is none now: `,
		},
		{
			"a member of a column", func(d map[string]any) { tableIn(d)["columns"].([]any)[1].(map[string]any)["partition"] = true },
			`table "fines": column "n" was {"default":0,"partition":true,"type":"i64"}, and is {"default":0,"type":"i64"} now: `,
		},
		{
			"the spread factor", func(d map[string]any) { d["spread_factor"] = 7 },
			`projection "fine_balance": its spread_factor was 7, and is 1640531527 now: `,
		},
	} {
		var installed map[string]any
		must(t, json.Unmarshal([]byte(p.Declaration(store.DialectSQLite)), &installed))
		c.change(installed)
		text, err := json.Marshal(installed)
		must(t, err)
		err = p.CheckDeclaration(store.DialectSQLite, string(text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	must(t, p.CheckDeclaration(store.DialectSQLite, p.Declaration(store.DialectSQLite)))
	without := p.Declaration(store.DialectSQLite)
	p.Partition = &store.Partition{By: store.PartitionStream}
	must(t, p.CheckDeclaration(store.DialectSQLite, without))
	if err := p.CheckDeclaration(store.DialectSQLite, "no JSON"); err == nil {
		t.Error("a declaration that cannot be read is accepted")
	}
}

func tableIn(declared map[string]any) map[string]any {
	return declared["tables"].([]any)[0].(map[string]any)
}

// TestDeclaration_comparesDefaultsAsTheDatabaseDoes: whole numbers and decimals by their digits, however many, and
// floats as floats.
func TestDeclaration_comparesDefaultsAsTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind     store.Kind
		was, is  string
		accepted bool
	}{
		{store.KindI64, "9007199254740993", "9007199254740992", false},
		{store.KindI64, "-0", "0", true},
		{store.KindNumeric, "1.50", "1.5", true},
		{store.KindNumeric, "0.10000000000000000001", "0.1", false},
		{store.KindF64, "1e2", "100.0", true},
		{store.KindF64, "0.1", "0.2", false},
		{store.KindBool, "true", "false", false},
		{store.KindText, `"\u0061"`, `"a"`, true},
	} {
		p := valid()
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "d", Type: store.Type{Kind: c.kind}})
		column := &p.Tables[0].Columns[len(p.Tables[0].Columns)-1]
		column.Default = json.RawMessage(c.was)
		installed := p.Declaration(store.DialectSQLite)
		column.Default = json.RawMessage(c.is)
		if err := p.CheckDeclaration(store.DialectSQLite, installed); (err == nil) != c.accepted {
			t.Errorf("a %s of %s that is %s now: %v", c.kind, c.was, c.is, err)
		}
	}
}
