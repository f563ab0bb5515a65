package grammar

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// walk goes through a tree, and stops at the first fault.
type walk struct {
	tables Tables
	known  map[string]bool // names of columns: of the tables, and those that the statement gives
	with   map[string]bool // names of WITH that may be used here
	clock  string
	fault  string

	locking bool // it locks rows
}

func newWalk(tables Tables, tree any) *walk {
	w := &walk{tables: tables, known: map[string]bool{}}
	for _, columns := range tables.Columns {
		for _, name := range columns {
			w.known[name] = true
		}
	}
	w.introduce(tree)
	return w
}

func (w *walk) refuse(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
	}
}

// introduce notes the names that a statement gives to columns and rows.
func (w *walk) introduce(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			switch name {
			case "ResTarget":
				w.name(member(field, "name"))
			case "ColumnDef":
				w.name(member(field, "colname"))
			case "CommonTableExpr":
				w.name(member(field, "ctename"))
				w.names(member(field, "aliascolnames"))
				w.name(member(member(field, "search_clause"), "search_seq_column"))
				w.name(member(member(field, "cycle_clause"), "cycle_mark_column"))
				w.name(member(member(field, "cycle_clause"), "cycle_path_column"))
			case "alias", "join_using_alias":
				w.name(member(field, "aliasname"))
				w.names(member(field, "colnames"))
			}
			w.introduce(field)
		}
	case []any:
		for _, element := range value {
			w.introduce(element)
		}
	}
}

func (w *walk) name(value any) {
	name, _ := value.(string)
	if strings.HasPrefix(strings.ToLower(name), "pg_") {
		w.refuse("gives the name %.60s, of which those with pg_ are PostgreSQL's own", name)
	}
	w.known[name] = true
}

func (w *walk) names(value any) {
	for _, name := range texts(value) {
		w.name(name)
	}
}

// node checks a node or a list of nodes.
func (w *walk) node(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			w.node(element)
		}
	case map[string]any:
		if len(value) == 0 { // a place without anything, as in DISTINCT
			return
		}
		name, fields := only(value)
		w.fields(name, fields)
	default:
		w.refuse("has %.60v in a place of something else", value)
	}
}

// fields checks the fields of a node. Those that a rule knows are for it; all others must be in the list of the node.
func (w *walk) fields(name string, fields map[string]any) {
	spec, allowed := nodes[name]
	if !allowed {
		if reason := refusals[name]; reason != "" {
			w.refuse("%s", reason)
		}
		w.refuse("has a %s, which is not on the list of what a statement may have", name)
	}
	if w.fault != "" {
		return
	}
	before := w.with
	defer func() { w.with = before }()
	ruled := rules[name]
	var known []string
	if ruled != nil {
		known = ruled(w, fields)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if places[key] || slices.Contains(known, key) {
			continue
		}
		spec, allowed := spec[key]
		if !allowed {
			if key == "intoClause" {
				w.refuse("%s", refusals["IntoClause"])
			}
			w.refuse("has %s with %s, which is not on the list of what a statement may have", name, key)
			return
		}
		switch spec.is {
		case scalar:
			if !isScalar(fields[key]) {
				w.refuse("has %s with more than a word in %s", name, key)
			}
		case node:
			w.node(fields[key])
		case typed:
			of, _ := fields[key].(map[string]any)
			w.fields(spec.of, of)
		}
	}
}

func isScalar(value any) bool {
	switch value.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

// rules look at what the lists of fields do not tell, and return the fields that they have dealt with.
var rules map[string]func(*walk, map[string]any) []string

func init() { // they lead to each other
	rules = map[string]func(*walk, map[string]any) []string{
		"SelectStmt": (*walk).scope, "DeleteStmt": (*walk).change, "UpdateStmt": (*walk).change,
		"InsertStmt": (*walk).change, "MergeStmt": (*walk).change,
		"MergeWhenClause": (*walk).override,
		"RangeVar":        (*walk).relation,
		"ColumnRef":       (*walk).column,
		"A_Indirection":   (*walk).member,
		"ResTarget":       (*walk).member,
		"FuncCall":        (*walk).function,
		"A_Expr":          (*walk).operator,
		"SubLink":         (*walk).operator,
		"SortBy":          (*walk).operator,
		"TypeName":        (*walk).typeName,
		"TypeCast":        (*walk).cast,
		"CollateClause":   (*walk).collation,
		"A_Const":         (*walk).constant,
	}
}

// scope makes the names of a WITH known for the statement, and for its own parts behind them or, where it is
// recursive, in all of them.
func (w *walk) scope(fields map[string]any) []string {
	w.locks(fields["lockingClause"])
	with, _ := fields["withClause"].(map[string]any)
	parts, _ := with["ctes"].([]any)
	recursive, _ := with["recursive"].(bool)
	for key, value := range with {
		if key != "ctes" && key != "recursive" && !places[key] || key == "recursive" && !isScalar(value) {
			w.refuse("has a WITH with %s, which is not on the list of what a statement may have", key)
		}
	}
	scope := maps.Clone(w.with)
	if scope == nil {
		scope = map[string]bool{}
	}
	w.with = scope
	for _, part := range parts {
		if recursive {
			_, part := only(part)
			name, _ := part["ctename"].(string)
			scope[name] = true
		}
	}
	for _, part := range parts {
		w.node(part)
		_, part := only(part)
		name, _ := part["ctename"].(string)
		scope[name] = true
	}
	return []string{"withClause", "lockingClause"}
}

// locks allows FOR UPDATE and its like, which wait. To go on without the rows that others have locked depends on them.
func (w *walk) locks(value any) {
	clauses, _ := value.([]any)
	w.locking = w.locking || len(clauses) > 0
	for _, clause := range clauses {
		name, fields := only(clause)
		if name != "LockingClause" || fields["waitPolicy"] != "LockWaitBlock" {
			w.refuse("locks rows with NOWAIT or SKIP LOCKED, which depends on what others do at the moment")
		}
	}
}

// change is scope for a statement that changes a table, which must be one of the projection's.
func (w *walk) change(fields map[string]any) []string {
	w.override(fields)
	w.scope(fields)
	if relation, _ := fields["relation"].(map[string]any); relation["schemaname"] == nil {
		w.refuse("changes %.60v, which is not a table of the projection: write {%[1]v}", relation["relname"])
	}
	return []string{"withClause", "override"}
}

func (w *walk) override(fields map[string]any) []string {
	if kind := fields["override"]; kind != nil && kind != "OVERRIDING_NOT_SET" {
		w.refuse("has OVERRIDING, for which a projection has no column")
	}
	return []string{"override"}
}

// relation checks a table by its name: one of the projection, or of a WITH.
func (w *walk) relation(fields map[string]any) []string {
	schema, _ := fields["schemaname"].(string)
	name, _ := fields["relname"].(string)
	_, declared := w.tables.Columns[name]
	switch {
	case fields["catalogname"] != nil || fields["relpersistence"] != "p":
		w.refuse("uses a table of another database or a temporary one")
	case schema == "" && w.with[name]:
	case schema == w.tables.Schema && schema != "" && declared:
	case schema == "":
		w.refuse("uses %.60s, which is not a table of the projection: write {%[1]s} for one that is", name)
	case declared:
		w.refuse("uses %.60s.%.60s, which is not a table of the projection: write {%[2]s} for its own", schema, name)
	default:
		w.refuse("uses %.60s.%.60s, which is not a table of the projection", schema, name)
	}
	return []string{"catalogname"}
}

// systemColumns are in every table and have what a rebuild would not have again.
var systemColumns = map[string]bool{
	"ctid": true, "xmin": true, "xmax": true, "cmin": true, "cmax": true,
	"tableoid": true,
}

// column checks the name of a column. Behind the name of a row, what is no column is a function of the row: r.f is
// f(r).
func (w *walk) column(fields map[string]any) []string {
	list := texts(fields["fields"])
	for i, name := range list {
		switch {
		case systemColumns[name]:
			w.refuse("uses a system column (%s), which gives other results in a rebuild", name)
		case i > 0 && i == len(list)-1 && !w.isColumn(name):
			w.refuse("uses %s, which is no column of the projection's tables nor of the statement",
				strings.Join(list, "."))
		}
	}
	return nil
}

// member checks the names that are taken of a row.
func (w *walk) member(fields map[string]any) []string {
	for _, name := range texts(fields["indirection"]) {
		if systemColumns[name] || !w.isColumn(name) {
			w.refuse("uses %.60s of a row, which is no column of the projection's tables nor of the statement", name)
		}
	}
	return nil
}

func (w *walk) isColumn(name string) bool {
	return w.known[name] || functions[name] || types[name] || givenColumns[name] || numberedColumns.MatchString(name)
}

// numberedColumns are those of VALUES and of ROW.
var numberedColumns = regexp.MustCompile(`^(?:column|f)[0-9]+$`)

// givenColumns are those that PostgreSQL names by itself, besides those of functions.
var givenColumns = map[string]bool{
	"key": true, "value": true, "ordinality": true, "?column?": true,
	"coalesce": true, "greatest": true, "least": true, "nullif": true, "case": true, "exists": true, "array": true,
	"row":  true,
	"word": true, "nentry": true, "ndoc": true, "lexeme": true, "positions": true, "weights": true,
}

func (w *walk) function(fields map[string]any) []string {
	list := texts(fields["funcname"])
	name := list[len(list)-1]
	args, _ := fields["args"].([]any)
	switch {
	case len(list) > 2 || len(list) == 2 && list[0] != "pg_catalog":
		w.refuse("calls %s, which is not a function of PostgreSQL itself", strings.Join(list, "."))
	case name == "age" && len(args) < 2:
		w.refuse("calls age() of one time, which is up to today: give it two")
	case !functions[name]:
		w.refuse("calls %.60s(), which is not on the list of functions (docs/sql.md): its result depends on more "+
			"than its arguments, it reaches outside of the projection, or nobody has asked for it", name)
	}
	return []string{"funcname"}
}

// operator checks the operator of an expression, a comparison with a subselect, and an order.
func (w *walk) operator(fields map[string]any) []string {
	for _, key := range []string{"name", "operName", "useOp"} {
		list, given := fields[key]
		if !given {
			continue
		}
		names := texts(list)
		if len(names) == 0 || len(names) > 2 || len(names) == 2 && names[0] != "pg_catalog" ||
			!operators[names[len(names)-1]] {
			w.refuse("uses the operator %s, which is not on the list of operators (docs/sql.md)",
				strings.Join(names, "."))
		}
	}
	return []string{"name", "operName", "useOp"}
}

func (w *walk) typeName(fields map[string]any) []string {
	list := texts(fields["names"])
	if len(list) == 2 && list[0] == "pg_catalog" {
		list = list[1:]
	}
	if len(list) != 1 || !types[list[0]] || fields["setof"] != nil || fields["pct_type"] != nil {
		w.refuse("uses the type %.60s, which is not on the list of types (docs/sql.md)", strings.Join(list, "."))
	}
	return []string{"names", "setof", "pct_type"}
}

// collation allows those that compare alike on every machine.
func (w *walk) collation(fields map[string]any) []string {
	list := texts(fields["collname"])
	if len(list) == 2 && list[0] == "pg_catalog" {
		list = list[1:]
	}
	if len(list) != 1 || !collations[list[0]] {
		w.refuse("uses the collation %.60s, which may compare otherwise on another machine: C, POSIX and "+
			"ucs_basic do not", strings.Join(list, "."))
	}
	return []string{"collname"}
}

var collations = set(`C POSIX ucs_basic default`)

// only returns the one member of an object: a node's name and its fields.
func only(value any) (name string, fields map[string]any) {
	object, _ := value.(map[string]any)
	if len(object) != 1 {
		return "", nil
	}
	for name, value := range object {
		fields, _ = value.(map[string]any)
		return name, fields
	}
	return "", nil
}

// member returns a member of an object, or nil.
func member(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}

// texts returns the texts of a list of nodes; what is no text, such as the star in r.*, is left out.
func texts(value any) []string {
	list, _ := value.([]any)
	found := []string{}
	for _, element := range list {
		name, fields := only(element)
		if text, is := fields["sval"].(string); is && name == "String" {
			found = append(found, text)
		}
	}
	return found
}
