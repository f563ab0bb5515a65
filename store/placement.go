package store

// DefaultSchema is the schema of a store's own tables, for events, checkpoints and leases, unless another is given.
const DefaultSchema = "pupwasm"

// TablesSchema names the place of a projection's tables in a database: their schema where a database has schemas, and the prefix
// of their names elsewhere. It is the projection's name beside the default schema. Beside another schema it begins with that
// schema's name, so that several stores in one database can run the same projection.
//
// Neither name has two underscores, and each has 30 characters at most: different pairs have different places, and a place fits
// into the 63 bytes of a name in PostgreSQL.
func TablesSchema(schema, projection string) string {
	if schema == DefaultSchema {
		return projection
	}
	return schema + "__" + projection
}
