package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds that keep all names within the 63 bytes of PostgreSQL: see PlaceOf of package store.
const (
	nameLengthMax = 30
	versionMax    = 99_999_999
)

// isName reports whether a text can be the name of a projection, table or column: a lower-case letter, then letters,
// digits and single underscores, since a double one separates projection and table where a database has no
// schemas.
func isName(name string) bool {
	if name == "" || len(name) > nameLengthMax || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return !strings.Contains(name, "__") && !strings.HasSuffix(name, "_")
}

const nameRule = "is not a name: use a lower-case letter, then letters, digits and single underscores, 30 at most"

// reservedNames are schemas that a projection must not be called after.
var reservedNames = []string{"public", "information_schema", "pupwasm", "sqlite", "main", "temp"}

// isVersionName reports whether a name is like v1 or v1b2, which is how names of schemas and tables end that
// belong to a version: shop__v1 would be version 1 of projection shop as well as projection v1 beside schema shop.
func isVersionName(name string) bool {
	version, build, built := strings.Cut(strings.TrimPrefix(name, "v"), "b")
	digits := func(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
	return name[0] == 'v' && digits(version) && (!built || digits(build))
}

// Validate checks the declaration by itself, without a database, fills defaults, and reports the first fault as a
// [*CatalogueError].
func (p *Projection) Validate() error {
	if !isName(p.Name) {
		return &CatalogueError{Item: fmt.Sprintf("projection %.60q", p.Name), Reason: nameRule}
	}
	if slices.Contains(reservedNames, p.Name) || strings.HasPrefix(p.Name, "pg_") || isVersionName(p.Name) {
		return &CatalogueError{
			Item:   fmt.Sprintf("projection %.60q", p.Name),
			Reason: "is a reserved name, choose another",
		}
	}
	if p.Version < 1 || p.Version > versionMax {
		return &CatalogueError{Item: "version", Reason: fmt.Sprintf("is %d, must be from 1 to %d", p.Version,
			versionMax)}
	}
	switch p.Order {
	case "":
		p.Order = OrderStream
	case OrderStream, OrderGlobal:
	default:
		return &CatalogueError{Item: "ordering", Reason: fmt.Sprintf("is %.60q, must be %s or %s", p.Order, OrderStream,
			OrderGlobal)}
	}
	if reason := p.validatePartition(); reason != "" {
		return &CatalogueError{Item: "partition", Reason: reason}
	}
	for i := range p.Tables {
		if err := p.validateTable(i); err != nil {
			return err
		}
	}
	for i := range p.Views {
		if reason := p.validateView(i); reason != "" {
			return &CatalogueError{Item: fmt.Sprintf("view %.60q", p.Views[i].Name), Reason: reason}
		}
	}
	for i := range p.Writes {
		if slices.ContainsFunc(p.Writes[:i], func(w Write) bool { return w.Name == p.Writes[i].Name }) {
			return &CatalogueError{Item: fmt.Sprintf("write %.60q", p.Writes[i].Name), Reason: "is declared twice"}
		}
		if reason := p.validateWrite(&p.Writes[i]); reason != "" {
			return &CatalogueError{Item: fmt.Sprintf("write %.60q", p.Writes[i].Name), Reason: reason}
		}
	}
	if err := p.validateLeftOut(); err != nil {
		return err
	}
	for i := range p.Queries {
		if slices.ContainsFunc(p.Queries[:i], func(q Query) bool { return q.Name == p.Queries[i].Name }) {
			return &CatalogueError{Item: fmt.Sprintf("query %.60q", p.Queries[i].Name), Reason: "is declared twice"}
		}
		if reason := p.validateQuery(&p.Queries[i]); reason != "" {
			return &CatalogueError{Item: fmt.Sprintf("query %.60q", p.Queries[i].Name), Reason: reason}
		}
	}
	if err := p.validateMessages(); err != nil {
		return err
	}
	return p.validateOwnership()
}

func (p *Projection) validateTable(index int) error {
	t := &p.Tables[index]
	fault := func(format string, args ...any) error {
		return &CatalogueError{Item: fmt.Sprintf("table %.60q", t.Name), Reason: fmt.Sprintf(format, args...)}
	}
	if !isName(t.Name) {
		return fault("%s", nameRule)
	}
	if slices.ContainsFunc(p.Tables[:index], func(other Table) bool { return other.Name == t.Name }) {
		return fault("is declared twice")
	}
	if len(t.Columns) == 0 {
		return fault("has no columns")
	}
	for i, c := range t.Columns {
		if !isName(c.Name) {
			return fault("column %.60q %s", c.Name, nameRule)
		}
		if slices.ContainsFunc(t.Columns[:i], func(other Column) bool { return other.Name == c.Name }) {
			return fault("column %.60q is declared twice", c.Name)
		}
		if c.Type.Kind == KindNull {
			return fault("column %.60q has no type", c.Name)
		}
		if len(c.Default) > 0 {
			if reason := c.validateDefault(); reason != "" {
				return fault("column %.60q %s", c.Name, reason)
			}
		}
		if c.Generated != nil && (len(c.Default) > 0 || c.mark() != "" || slices.Contains(t.Key, c.Name)) {
			return fault("column %.60q is generated, so that it has no default and is not part of the key", c.Name)
		}
		if reason := t.validateBackfill(&c); reason != "" {
			return fault("column %.60q %s", c.Name, reason)
		}
	}
	for i, name := range t.Key {
		c, ok := t.Column(name)
		if !ok {
			return fault("key column %.60q is not a column", name)
		}
		if slices.Contains(t.Key[:i], name) {
			return fault("key column %.60q is named twice", name)
		}
		if c.Type.Array || c.Type.Kind == KindF64 || c.Type.Kind == KindJSON {
			return fault("key column %.60q is %s, which cannot be a key", name, c.Type)
		}
	}
	for _, index := range t.Indexes {
		for _, name := range index {
			if _, ok := t.Column(name); !ok {
				return fault("index column %.60q is not a column", name)
			}
		}
	}
	for i, check := range t.Checks {
		if !isName(check.Name) {
			return fault("check %.60q %s", check.Name, nameRule)
		}
		if slices.ContainsFunc(t.Checks[:i], func(other Check) bool { return other.Name == check.Name }) {
			return fault("check %.60q is declared twice", check.Name)
		}
		if check.SQL == nil {
			return fault("check %.60q has no sql", check.Name)
		}
	}
	if reason := t.validateMarks(); reason != "" {
		return fault("%s", reason)
	}
	return nil
}

func (p *Projection) validateView(index int) string {
	v := &p.Views[index]
	_, table := p.Table(v.Name)
	switch {
	case !isName(v.Name):
		return nameRule
	case slices.ContainsFunc(p.Views[:index], func(other View) bool { return other.Name == v.Name }):
		return "is declared twice"
	case table:
		return "has the name of a table"
	case v.SQL == nil:
		return "has no sql"
	}
	return ""
}

// validateLeftOut finds columns that need a value and get none.
func (p *Projection) validateLeftOut() error {
	for i := range p.Tables {
		table := &p.Tables[i]
		for _, c := range table.Columns {
			if !c.NotNull || len(c.Default) > 0 || c.Generated != nil {
				continue
			}
			if err := p.checkLeftOut(table, c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Column) validateDefault() string {
	var value any
	if json.Unmarshal(c.Default, &value) != nil {
		return "has a default that is not JSON"
	}
	ok := false
	switch value.(type) {
	case float64:
		switch c.Type.Kind {
		case KindI64:
			_, err := strconv.ParseInt(string(c.Default), 10, 64)
			ok = err == nil
		case KindNumeric:
			_, _, err := ParseNumeric(c.Default)
			ok = err == nil
		case KindF64:
			ok = true
		}
	case string:
		ok = c.Type.Kind == KindText
	case bool:
		ok = c.Type.Kind == KindBool
	}
	if !ok || c.Type.Array {
		return fmt.Sprintf("is %s, its default cannot be %s", c.Type, c.Default)
	}
	return ""
}

func (p *Projection) validateWrite(w *Write) string {
	if w.Name == "" {
		return "has no name"
	}
	if w.SQL != nil {
		if w.Action != "" || w.Table != "" || len(w.Columns) > 0 {
			return "has sql and also action, table or columns: choose one form"
		}
		return validateParameter(w.PartitionParam, w.Params, false)
	}
	if w.PartitionParam != 0 || w.Unordered {
		return "is declared by its action, which the host can check: partition_param and unordered are for sql"
	}
	table, ok := p.Table(w.Table)
	if !ok {
		return fmt.Sprintf("writes table %.60q, the projection has %s: list it in the projection's tables", w.Table,
			p.tableNames())
	}
	for i := range w.Columns {
		c := &w.Columns[i]
		if slices.ContainsFunc(w.Columns[:i], func(other WriteColumn) bool { return other.Name == c.Name }) {
			return fmt.Sprintf("column %.60q is named twice", c.Name)
		}
		column, ok := table.Column(c.Name)
		if !ok {
			return fmt.Sprintf("column %.60q is not a column of table %.60q", c.Name, table.Name)
		}
		if slices.Contains(table.Key, c.Name) {
			return fmt.Sprintf("column %.60q is part of the key, which comes first by itself", c.Name)
		}
		if column.Generated != nil {
			return fmt.Sprintf("column %.60q is generated by the database, no write gives it", c.Name)
		}
		if reason := c.validateAction(w.Action, column.Type); reason != "" {
			return reason
		}
	}
	switch w.Action {
	case Insert:
	case Upsert, InsertIgnore, Delete:
		if len(table.Key) == 0 {
			return fmt.Sprintf("%s needs a key, table %.60q has none", w.Action, table.Name)
		}
		if w.Action == Delete && len(w.Columns) > 0 {
			return "delete takes the key only, it has columns"
		}
	default:
		return fmt.Sprintf("has action %.60q: use %s, %s, %s or %s, or sql", w.Action, Upsert, Insert, InsertIgnore,
			Delete)
	}
	return ""
}

func (c *WriteColumn) validateAction(write Action, columnType Type) string {
	if write != Upsert {
		if c.Action != "" {
			return fmt.Sprintf("column %.60q has an action, which only an upsert has", c.Name)
		}
		return ""
	}
	switch c.Action {
	case "":
		c.Action = ActionSet
	case ActionSet, ActionIfNull:
	case ActionAdd:
		// Adding binary floats gives other sums for other batch boundaries, so that a rebuild would not reproduce them.
		if columnType != (Type{Kind: KindI64}) && columnType != (Type{Kind: KindNumeric}) {
			return fmt.Sprintf("column %.60q is %s: add needs i64 or numeric", c.Name, columnType)
		}
	case ActionMin, ActionMax:
		comparable := columnType.Kind == KindI64 || columnType.Kind == KindNumeric || columnType.Kind == KindTimestamp
		if !comparable || columnType.Array {
			return fmt.Sprintf("column %.60q is %s: %s needs i64, numeric or timestamptz", c.Name, columnType, c.Action)
		}
	default:
		return fmt.Sprintf("column %.60q has action %.60q: use %s, %s, %s, %s or %s", c.Name, c.Action, ActionSet,
			ActionAdd, ActionMin, ActionMax, ActionIfNull)
	}
	return ""
}

func (p *Projection) validateQuery(q *Query) string {
	if q.Name == "" {
		return "has no name"
	}
	if q.SQL != nil {
		if q.Table != "" || len(q.Columns) > 0 {
			return "has sql and also table or columns: choose one form"
		}
		if len(q.Results) == 0 {
			return "has no results"
		}
		return validateParameter(q.PartitionParam, q.Params, true)
	}
	if q.PartitionParam != 0 {
		return "loads by key, which the host can check: partition_param is for sql"
	}
	table, ok := p.Table(q.Table)
	if !ok {
		return fmt.Sprintf("loads from table %.60q, the projection has %s: list it in the projection's tables", q.Table,
			p.tableNames())
	}
	if len(table.Key) == 0 {
		return fmt.Sprintf("loads by key, table %.60q has none", table.Name)
	}
	for _, name := range q.Columns {
		if _, ok := table.Column(name); !ok {
			return fmt.Sprintf("column %.60q is not a column of table %.60q", name, table.Name)
		}
	}
	return ""
}

// validateParameter checks the number of the parameter that holds the partition key. A query may ask for an array
// of keys.
func validateParameter(number int, params []Type, arrays bool) string {
	switch {
	case number == 0:
		return ""
	case number < 0 || number > len(params):
		return fmt.Sprintf("has partition_param %d of %d parameters, which are counted from 1", number, len(params))
	}
	if t := params[number-1]; !slices.Contains(markKinds, t.Kind) || t.Array && !arrays {
		return fmt.Sprintf("has parameter $%d of type %s: a partition key is held by text, i64, uuid, bool or numeric",
			number, t)
	}
	return ""
}

// checkLeftOut refuses a write that inserts rows without a value for a column that needs one.
func (p *Projection) checkLeftOut(table *Table, column string) error {
	for i := range p.Writes {
		w := &p.Writes[i]
		if w.SQL != nil || w.Table != table.Name || w.Action == Delete || slices.Contains(table.Key, column) ||
			slices.ContainsFunc(w.Columns, func(c WriteColumn) bool { return c.Name == column }) {
			continue
		}
		return &CatalogueError{Item: fmt.Sprintf("write %.60q", w.Name), Reason: fmt.Sprintf(
			"leaves out column %q of table %q, which is not null and has no default, so that no row could be "+
				"inserted: write it, or give it a default",
			column, table.Name)}
	}
	return nil
}
