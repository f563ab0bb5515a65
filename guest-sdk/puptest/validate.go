package puptest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The kinds of values that rules speak of, with the numbers that they have in the ABI.
const (
	kindBool      = 1
	kindI64       = 2
	kindF64       = 3
	kindNumeric   = 4
	kindText      = 5
	kindJSON      = 7
	kindTimestamp = 8
	kindUUID      = 9
)

const nameRule = "is not a name: use a lower-case letter, then letters, digits and single underscores, 30 at most"

func isName(name string) bool {
	if name == "" || len(name) > 30 || name[0] < 'a' || name[0] > 'z' {
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

// reservedNames are schemas that a projection must not be called after.
var reservedNames = []string{"public", "information_schema", "pupwasm", "sqlite", "main", "temp"}

// validate checks what the host refuses when it loads a module, in the host's words, so that an author learns of it in a test. A
// corpus of descriptions that both are tested with keeps the two the same.
func (d *description) validate() error {
	if !isName(d.Name) {
		return fmt.Errorf("projection %.60q: %s", d.Name, nameRule)
	}
	if slices.Contains(reservedNames, d.Name) || strings.HasPrefix(d.Name, "pg_") {
		return fmt.Errorf("projection %.60q: is a reserved name, choose another", d.Name)
	}
	if d.Version < 1 {
		return fmt.Errorf("version: is %d, must be 1 or more", d.Version)
	}
	switch d.Ordering {
	case "":
		d.Ordering = "stream"
	case "stream", "global":
	default:
		return fmt.Errorf("ordering: is %.60q, must be stream or global", d.Ordering)
	}
	for i := range d.Tables {
		if reason := d.validateTable(i); reason != "" {
			return fmt.Errorf("table %.60q: %s", d.Tables[i].Name, reason)
		}
	}
	for i := range d.Writes {
		w := &d.Writes[i]
		reason := d.validateWrite(w)
		if slices.ContainsFunc(d.Writes[:i], func(other writeDecl) bool { return other.Name == w.Name }) {
			reason = "is declared twice"
		}
		if reason != "" {
			return fmt.Errorf("write %.60q: %s", w.Name, reason)
		}
	}
	for i := range d.Queries {
		q := &d.Queries[i]
		reason := d.validateQuery(q)
		if slices.ContainsFunc(d.Queries[:i], func(other queryDecl) bool { return other.Name == q.Name }) {
			reason = "is declared twice"
		}
		if reason != "" {
			return fmt.Errorf("query %.60q: %s", q.Name, reason)
		}
	}
	return nil
}

func (d *description) validateTable(index int) string {
	t := &d.Tables[index]
	if !isName(t.Name) {
		return nameRule
	}
	if slices.ContainsFunc(d.Tables[:index], func(other tableDecl) bool { return other.Name == t.Name }) {
		return "is declared twice"
	}
	if len(t.Columns) == 0 {
		return "has no columns"
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		reason := c.validate()
		if reason == nameRule {
			return fmt.Sprintf("column %.60q %s", c.Name, nameRule)
		}
		if t.column(c.Name) < i {
			reason = "is declared twice"
		}
		if reason != "" {
			return fmt.Sprintf("column %.60q %s", c.Name, reason)
		}
	}
	for i, name := range t.Key {
		if t.column(name) < 0 {
			return fmt.Sprintf("key column %.60q is not a column", name)
		}
		if slices.Contains(t.Key[:i], name) {
			return fmt.Sprintf("key column %.60q is named twice", name)
		}
		if kind := t.kind(name); kind&arrayBit != 0 || kind == kindF64 || kind == kindJSON {
			return fmt.Sprintf("key column %.60q is %s, which cannot be a key", name, t.Columns[t.column(name)].Type)
		}
	}
	for _, index := range t.Indexes {
		for _, name := range index {
			if t.column(name) < 0 {
				return fmt.Sprintf("index column %.60q is not a column", name)
			}
		}
	}
	return ""
}

func (c *columnDecl) validate() string {
	if !isName(c.Name) {
		return nameRule
	}
	if _, known := typeNumber(c.Type); !known {
		return fmt.Sprintf("has the unknown type %.60q", c.Type)
	}
	if len(c.Default) > 0 {
		return c.validateDefault()
	}
	return ""
}

func (c *columnDecl) validateDefault() string {
	var value any
	if json.Unmarshal(c.Default, &value) != nil {
		return "has a default that is not JSON"
	}
	kind, _ := typeNumber(c.Type)
	ok := false
	switch value.(type) {
	case float64:
		switch kind {
		case kindI64:
			_, err := strconv.ParseInt(string(c.Default), 10, 64)
			ok = err == nil
		case kindNumeric:
			ok = isNumeric(string(c.Default))
		case kindF64:
			ok = true
		}
	case string:
		ok = kind == kindText
	case bool:
		ok = kind == kindBool
	}
	if !ok {
		return fmt.Sprintf("is %s, its default cannot be %s", c.Type, c.Default)
	}
	return ""
}

func (d *description) validateWrite(w *writeDecl) string {
	if w.Name == "" {
		return "has no name"
	}
	if w.SQL != nil {
		if w.Action != "" || w.Table != "" || len(w.Columns) > 0 {
			return "has sql and also action, table or columns: choose one form"
		}
		return ""
	}
	t := d.table(w.Table)
	if t == nil {
		return fmt.Sprintf("writes table %.60q, the projection has %s", w.Table, d.tableNames())
	}
	for i := range w.Columns {
		c := &w.Columns[i]
		switch {
		case slices.ContainsFunc(w.Columns[:i], func(other assignment) bool { return other.Name == c.Name }):
			return fmt.Sprintf("column %.60q is named twice", c.Name)
		case t.column(c.Name) < 0:
			return fmt.Sprintf("column %.60q is not a column of table %.60q", c.Name, t.Name)
		case slices.Contains(t.Key, c.Name):
			return fmt.Sprintf("column %.60q is part of the key, which comes first by itself", c.Name)
		}
		if reason := c.validate(w.Action, t); reason != "" {
			return fmt.Sprintf("column %.60q %s", c.Name, reason)
		}
	}
	switch w.Action {
	case "insert":
	case "upsert", "insert-ignore", "delete":
		if len(t.Key) == 0 {
			return fmt.Sprintf("%s needs a key, table %.60q has none", w.Action, t.Name)
		}
		if w.Action == "delete" && len(w.Columns) > 0 {
			return "delete takes the key only, it has columns"
		}
	default:
		return fmt.Sprintf("has action %.60q: use upsert, insert, insert-ignore or delete, or sql", w.Action)
	}
	return ""
}

func (c *assignment) validate(write string, t *tableDecl) string {
	if write != "upsert" {
		if c.Action != "" {
			return "has an action, which only an upsert has"
		}
		return ""
	}
	kind, typeName := t.kind(c.Name), t.Columns[t.column(c.Name)].Type
	switch c.Action {
	case "":
		c.Action = "set"
	case "set", "if-null":
	case "add":
		if kind != kindI64 && kind != kindNumeric {
			return fmt.Sprintf("is %s: add needs i64 or numeric", typeName)
		}
	case "min", "max":
		if kind != kindI64 && kind != kindNumeric && kind != kindTimestamp {
			return fmt.Sprintf("is %s: %s needs i64, numeric or timestamptz", typeName, c.Action)
		}
	default:
		return fmt.Sprintf("has action %.60q: use set, add, min, max or if-null", c.Action)
	}
	return ""
}

func (d *description) validateQuery(q *queryDecl) string {
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
		return ""
	}
	t := d.table(q.Table)
	if t == nil {
		return fmt.Sprintf("loads from table %.60q, the projection has %s", q.Table, d.tableNames())
	}
	if len(t.Key) == 0 {
		return fmt.Sprintf("loads by key, table %.60q has none", t.Name)
	}
	for _, name := range q.Columns {
		if t.column(name) < 0 {
			return fmt.Sprintf("column %.60q is not a column of table %.60q", name, t.Name)
		}
	}
	return ""
}

func (d *description) tableNames() string {
	names := make([]string, len(d.Tables))
	for i := range d.Tables {
		names[i] = d.Tables[i].Name
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
