package sqlite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

// policy is what the statements of one projection may touch. SQLite asks it while it compiles a statement, for every
// table, column and function. It compiles a statement a second time when the schema has changed, which is why the
// policy is also in force while a statement runs.
//
// Allowed are the projection's declared tables, SELECT, INSERT, UPDATE and DELETE on them, and functions that give
// the same result for the same arguments on every machine and at any time. Everything else is refused, so that
// what a later SQLite adds is refused too.
type policy struct {
	projection string
	tables     map[string]bool
}

func newPolicy(p placed) *policy { return policyOf(p, func(*store.Table) bool { return true }) }

// ownedPolicy is for a statement that keeps to rows of one partition key, and so to tables that are owned.
func ownedPolicy(p placed) *policy {
	return policyOf(p, func(t *store.Table) bool { return t.Ownership() == store.Owned })
}

func policyOf(p placed, may func(t *store.Table) bool) *policy {
	tables := map[string]bool{}
	for i := range p.Tables {
		if may(&p.Tables[i]) {
			tables[p.tableName(p.Tables[i].Name)] = true
		}
	}
	return &policy{projection: p.Name, tables: tables}
}

// tableFunctions give rows made of their arguments.
var tableFunctions = []string{"json_each", "json_tree", "generate_series"}

// functions are those that a declared statement may call. Left out are, besides everything that is not a function
// of its arguments, the functions of date and time, since they take 'now' from a parameter, and those of higher
// mathematics, whose last digit may differ from machine to machine. Left out are json_patch and unistr too, whose
// time grows with the square of what they are given, in one step that nothing interrupts.
var functions = func() map[string]bool {
	allowed := map[string]bool{}
	for _, name := range strings.Fields(`
		abs ceil ceiling char coalesce concat concat_ws floor format glob hex if ifnull iif instr length like likelihood
		likely lower ltrim max min mod nullif octet_length printf quote replace round rtrim sign sqrt substr substring trim
		trunc typeof unhex unicode unlikely upper zeroblob base64
		decimal decimal_add decimal_cmp decimal_mul decimal_sub decimal_sum
		avg count group_concat string_agg sum total
		row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
		-> ->> json json_array json_array_insert json_array_length json_error_position json_extract json_group_array
		json_group_object json_insert json_object json_pretty json_quote json_remove json_replace json_set json_type
		json_valid jsonb jsonb_array jsonb_array_insert jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert
		jsonb_object jsonb_remove jsonb_replace jsonb_set
		pup_add pup_add_numeric pup_min_numeric pup_max_numeric`) {
		allowed[name] = true
	}
	return allowed
}()

// authorize is SQLite's question while it compiles a statement on this connection.
func (c *conn) authorize(action sqlite3.AuthorizerActionCode, first, second, schema,
	_ string,
) sqlite3.AuthorizerReturnCode {
	if c.policy == nil {
		return sqlite3.AUTH_OK
	}
	if action == sqlite3.AUTH_READ && second == "" && schema == "" && !c.policy.tables[lower(first)] {
		c.unnamed = append(c.unnamed, first)
		return sqlite3.AUTH_OK
	}
	refusal := c.policy.refuse(action, first, second, schema)
	if refusal == "" {
		return sqlite3.AUTH_OK
	}
	if c.refusal == "" {
		c.refusal = refusal
	}
	return sqlite3.AUTH_DENY
}

// refuse returns why an action is not allowed, or "".
func (p *policy) refuse(action sqlite3.AuthorizerActionCode, first, second, schema string) string {
	switch action {
	case sqlite3.AUTH_SELECT, sqlite3.AUTH_RECURSIVE:
		return ""
	case sqlite3.AUTH_FUNCTION:
		return refuseFunction(second)
	case sqlite3.AUTH_READ:
		if slices.Contains(tableFunctions, first) {
			return ""
		}
		return p.refuseTable(first, schema)
	case sqlite3.AUTH_INSERT, sqlite3.AUTH_UPDATE, sqlite3.AUTH_DELETE:
		return p.refuseTable(first, schema)
	}
	return "does more than SELECT, INSERT, UPDATE and DELETE"
}

func (p *policy) refuseTable(table, schema string) string {
	// SQLite leaves the schema out where a statement touches a table without naming a column of it.
	if p.tables[lower(table)] && (schema == "main" || schema == "") {
		return ""
	}
	return foreignTable(table)
}

func foreignTable(table string) string {
	return fmt.Sprintf("uses %s, which is not a table of the projection", table)
}

// lower is SQLite's idea of lower case.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

func refuseFunction(name string) string {
	if functions[name] {
		return ""
	}
	return fmt.Sprintf("calls %s, whose result depends on more than its arguments or which reaches outside the "+
		"projection", name)
}

// under runs fn while the connection's statements are bound to the policy.
func (c *conn) under(p *policy, fn func() error) error {
	c.policy, c.refusal, c.unnamed = p, "", c.unnamed[:0]
	defer func() { c.policy = nil }()
	return fn()
}

// vet prepares a statement under the policy and returns what is wrong with it as text, or the error of the database.
func (c *conn) vet(p *policy, sql string, verbs ...string) (statement *prepared, fault string, err error) {
	if strings.ContainsRune(sql, 0) {
		return nil, "contains a NUL character", nil
	}
	switch verb := firstWord(sql); {
	case verb == "":
		return nil, "is empty", nil
	case !slices.Contains(verbs, verb):
		return nil, fmt.Sprintf("begins with %s, must begin with %s", verb, strings.Join(verbs, ", ")), nil
	}
	err = c.under(p, func() (err error) {
		statement, err = c.prepareNew(sql)
		return err
	})
	if err == nil {
		if fault, err = c.checkUnnamed(); fault != "" || err != nil {
			statement.close()
			return nil, fault, err
		}
		return statement, "", nil
	}
	switch {
	case c.refusal != "":
		return nil, c.refusal, nil
	case ofTheFile(err):
		return nil, "", err
	}
	return nil, reason(err), nil
}

// checkUnnamed checks the names in FROM of which the statement uses no column. SQLite gives them as written,
// whether they are a table or the statement's own WITH, so only the list of tables tells. It is read once: a name
// that was no table when the statement was first prepared is one of WITH, and stays so.
func (c *conn) checkUnnamed() (fault string, err error) {
	for _, name := range c.unnamed {
		if slices.Contains(tableFunctions, lower(name)) {
			continue
		}
		if strings.HasPrefix(lower(name), "pragma_") || strings.HasPrefix(lower(name), "sqlite_") {
			return foreignTable(name), nil
		}
		err := c.query("SELECT 1 FROM pragma_table_list WHERE lower(name) = $1", func(*prepared) error {
			fault = foreignTable(name)
			return nil
		}, lower(name))
		if fault != "" || err != nil {
			return fault, err
		}
	}
	return "", nil
}

// firstWord is the first word of a statement in capitals, after comments.
func firstWord(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f;")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql, "*/")
		default:
			end := strings.IndexFunc(sql, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
			if end < 0 {
				end = len(sql)
			}
			return strings.ToUpper(sql[:end])
		}
	}
}

// placesOf finds where SQLite put the parameters $1, $2, …: by its own rules "$2" is a name, and places go by
// appearance.
func placesOf(statement *sqlite3.Stmt) ([]int, error) {
	var places []int
	for place := 1; place <= statement.BindCount(); place++ {
		name := statement.BindName(place)
		digits, ok := strings.CutPrefix(name, "$")
		number, err := strconv.Atoi(digits)
		if !ok || err != nil || number < 1 || number > parametersMax || digits != strconv.Itoa(number) {
			if name == "" {
				name = "?"
			}
			return nil, fmt.Errorf("has the parameter %s: parameters are $1, $2, …, without casts", name)
		}
		for len(places) < number {
			places = append(places, 0)
		}
		places[number-1] = place
	}
	return places, nil
}

// parametersMax is SQLite's own limit.
const parametersMax = 32766
