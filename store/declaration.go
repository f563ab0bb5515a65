package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// declaration is the part of a projection that must not change under one version, since rows and checkpoints were
// made by it: all members of [Projection], whatever they are, except for those that Declaration takes out.
type declaration struct {
	SpreadFactor uint32 `json:"spread_factor"`
	Projection
}

// Declaration returns, as JSON, the part of the projection that must not change under one version. Install stores
// it beside the checkpoints, and compares the next declaration with it by CheckDeclaration.
//
// The subscription, the writes, the queries and the messages are not part of it. They are the program of the projection: by
// keeping the version, its author promises that the rows stay right with another program. What is kept to be known,
// and not compared: Backfill of a column, which is a promise too; indexes, which change no row; views, so that Install
// knows which are the projection's. The projection must be valid.
func (p *Projection) Declaration(dialect Dialect) string {
	d := declaration{SpreadFactor: SpreadFactor, Projection: *p}
	d.Version, d.Subscription, d.Writes, d.Queries, d.Messages = 0, Subscription{}, nil, nil, nil
	if d.Partition != nil && d.Partition.ByStream() {
		d.Partition = nil // as if it were left out
	}
	d.Tables = slices.Clone(p.Tables)
	for i := range d.Tables {
		t := &d.Tables[i]
		t.Columns, t.Checks = slices.Clone(t.Columns), slices.Clone(t.Checks)
		for j := range t.Columns {
			c := &t.Columns[j]
			c.NotNull = c.NotNull || slices.Contains(t.Key, c.Name)
			c.Default = c.canonicalDefault()
			c.Generated = c.Generated.only(dialect)
		}
		for j := range t.Checks {
			t.Checks[j].SQL = t.Checks[j].SQL.only(dialect)
		}
	}
	d.Views = slices.Clone(p.Views)
	for i := range d.Views {
		d.Views[i].SQL = d.Views[i].SQL.only(dialect)
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("a valid declaration cannot be written as JSON: %v", err))
	}
	return string(text)
}

// canonicalDefault spells equal defaults equally.
func (c *Column) canonicalDefault() json.RawMessage {
	if len(c.Default) == 0 {
		return nil
	}
	switch c.Type.Kind { // validated with the table
	case KindI64:
		n, _ := strconv.ParseInt(string(c.Default), 10, 64)
		return strconv.AppendInt(nil, n, 10)
	case KindNumeric:
		n, _ := CanonicalNumeric(c.Default)
		return n
	}
	var value any
	if json.Unmarshal(c.Default, &value) != nil {
		return c.Default
	}
	text, _ := json.Marshal(value) // it was JSON
	return text
}
