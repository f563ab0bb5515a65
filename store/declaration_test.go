package store_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestDeclaration_comparesMembersThatItDoesNotKnow alters a stored declaration as a version of pupwasm would have written it whose
// projections have more members, so that none is forgotten when they get some.
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
			"a member", func(d map[string]any) { d["partition"] = map[string]any{"by": "json", "path": []any{"customer", "id"}} },
			`projection "fine_balance": its partition was {"by":"json","path":["customer","id"]}, and is none now: `,
		},
		{"a member of a table", func(d map[string]any) { tableIn(d)["mark"] = true }, `table "fines": its mark was true, and is none now: `},
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
