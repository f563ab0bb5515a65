package store

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultSchema is the schema of a store's own tables, for events, checkpoints and leases, unless another is given.
const DefaultSchema = "pupwasm"

// Place is where a projection is in a database: names of schemas where a database has schemas, and elsewhere what
// names of tables begin with, before two underscores.
type Place struct {
	Tables  string // tables and views of one version, for good: fine_balance__v1, and of its build 2 fine_balance__v1b2
	Readers string // views of them under the plain name, for those who read: fine_balance
}

// PlaceOf makes the names. Both begin with the projection's name beside the default schema. Beside another schema
// they begin with that schema's name, so that several stores in one database can run the same projection.
//
// No part of a name has two underscores, and no projection has the name of a version: what differs has different
// names. All fit into the 63 bytes of a name in PostgreSQL. A schema's name has 16 at most, a projection's 30, a
// version 8 digits, and a build 3:
//
//	schema 16 + "__" 2 + projection 30 + "__v" 3 + version 8 + "b" 1 + build 3 = 63
func PlaceOf(schema string, id ProjectionID) Place {
	plain := id.Name
	if schema != DefaultSchema {
		plain = schema + "__" + plain
	}
	return Place{Tables: plain + "__v" + id.VersionText(), Readers: plain}
}

// CheckSchema's bound is part of what [PlaceOf] adds up.
var schemaRule = regexp.MustCompile(`^[a-z][a-z0-9_]{0,15}$`)

// CheckSchema reports whether a name can be that of a schema, as an error that says what is wrong with it. Package
// migrations, which makes the schema, has the same rule.
func CheckSchema(schema string) error {
	if !schemaRule.MatchString(schema) || strings.HasPrefix(schema, "pg_") || strings.Contains(schema, "__") {
		return fmt.Errorf("schema %q: use a lower-case letter, then letters, digits and single underscores, 16 at "+
			"most, and no pg_ in front", schema)
	}
	return nil
}
