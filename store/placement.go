package store

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultSchema is the schema of a store's own tables, for events, checkpoints and leases, unless another is given.
const DefaultSchema = "pupwasm"

// TablesSchema names the place of a projection's tables in a database: their schema where a database has schemas,
// and the prefix of their names elsewhere. It is the projection's name beside the default schema. Beside another
// schema it begins with that schema's name, so that several stores in one database can run the same projection.
//
// Neither name has two underscores, and each has 30 characters at most: different pairs have different places, and
// a place fits into the 63 bytes of a name in PostgreSQL.
func TablesSchema(schema, projection string) string {
	if schema == DefaultSchema {
		return projection
	}
	return schema + "__" + projection
}

var schemaRule = regexp.MustCompile(`^[a-z][a-z0-9_]{0,29}$`)

// CheckSchema reports whether a name can be that of a schema, as an error that says what is wrong with it. Package
// migrations, which makes the schema, has the same rule.
func CheckSchema(schema string) error {
	if !schemaRule.MatchString(schema) || strings.HasPrefix(schema, "pg_") || strings.Contains(schema, "__") {
		return fmt.Errorf("schema %q: use a lower-case letter, then letters, digits and single underscores, 30 at "+
			"most, and no pg_ in front", schema)
	}
	return nil
}
