package storetest

import (
	"maps"

	"github.com/pupwasm/pupwasm/store"
)

// byHand are changes that somebody makes to the tables of declared past the store, with what is said of them.
func (f *fixture) byHand() map[string][]string {
	changes := map[string][]string{
		"DROP TABLE {total}":                              {`table "total": was dropped or renamed since it was installed`},
		"DROP TABLE {log}":                                {`table "log": was dropped or renamed since it was installed`},
		"ALTER TABLE {total} RENAME TO moved":             {`table "total": was dropped or renamed`},
		"ALTER TABLE {total} DROP COLUMN exact":           {`table "total": column "exact" was dropped or renamed since it was installed`},
		"ALTER TABLE {total} RENAME COLUMN note TO note2": {`table "total": column "note" was dropped or renamed`},
	}
	switch f.dialect {
	case store.DialectMySQL:
		maps.Copy(changes, byHandMySQL())
		return changes
	case store.DialectSQLite:
		maps.Copy(changes, byHandSQLite())
		return changes
	}
	changes["DROP SCHEMA {schema} CASCADE"] = []string{`table "total": was dropped or renamed`}
	changes["ALTER SCHEMA {schema} RENAME TO moved"] = []string{`table "total": was dropped or renamed`}
	for statement, words := range map[string][]string{
		"ALTER COLUMN n TYPE numeric":                 {`column "n" was changed to the type numeric since it was installed`},
		"ALTER COLUMN n TYPE integer":                 {`column "n" was changed to the type integer`},
		"ALTER COLUMN note TYPE varchar(10)":          {`column "note" was changed to the type character varying(10)`},
		"ALTER COLUMN exact TYPE numeric(10,2)":       {`column "exact" was changed to the type numeric(10,2)`},
		`ALTER COLUMN name TYPE text COLLATE "POSIX"`: {`column "name" was changed to the type text COLLATE POSIX`},
		"ALTER COLUMN n DROP NOT NULL": {
			`column "n" was changed`,
			"it was not null, and takes null now",
		},
		"ALTER COLUMN f SET NOT NULL": {
			`column "f" was changed`,
			"it took null, and is not null now",
		},
		"ALTER COLUMN n SET DEFAULT 7": {
			`column "n" was changed`,
			"its default is another",
		},
		"ALTER COLUMN note SET DEFAULT 'other'": {
			`column "note" was changed`,
			"its default is another",
		},
		"ALTER COLUMN note SET DEFAULT NULL": {
			`column "note" was changed`,
			"its default is another",
		},
		"ALTER COLUMN exact SET DEFAULT 1.5": {
			`column "exact" was changed`,
			"its default is another",
		},
		"ALTER COLUMN note DROP DEFAULT": {
			`column "note" was changed`,
			"its default is another",
		},
		"DROP CONSTRAINT total_pkey":                                     {`table "total": its key (name, kind) was dropped or changed since it was installed`},
		"DROP CONSTRAINT total_pkey, ADD PRIMARY KEY (name, kind, n)":    {`its key (name, kind) was dropped or changed`},
		"DROP CONSTRAINT total_pkey, ADD UNIQUE (name)":                  {`its key (name, kind) was dropped or changed`},
		"DROP CONSTRAINT total_pkey, ADD UNIQUE (name, kind) DEFERRABLE": {`its key (name, kind) was dropped or changed`},
		"ADD COLUMN mine integer NOT NULL DEFAULT 1; ALTER TABLE {total} ALTER mine DROP DEFAULT": {
			`write "put": leaves out column "mine" of table "total", which is not null and has no default`,
		},
	} {
		changes["ALTER TABLE {total} "+statement] = words
	}
	return changes
}

func byHandSQLite() map[string][]string {
	const made = `DROP TABLE {total}; CREATE TABLE {total} ("name" TEXT NOT NULL, "kind" INTEGER NOT NULL,
		"n" INTEGER NOT NULL DEFAULT 0,
		"f" REAL DEFAULT 1.5, "exact" TEXT DEFAULT '1.50', "note" `
	return map[string][]string{
		made + `TEXT DEFAULT 'none') STRICT`:                          {`table "total": its key (name, kind) was dropped or changed`},
		made + `TEXT DEFAULT 'none', PRIMARY KEY (name)) STRICT`:      {`table "total": its key (name, kind) was dropped or changed`},
		made + `ANY DEFAULT 'none', PRIMARY KEY (name, kind)) STRICT`: {`column "note" was changed to the type ANY`},
		made + `TEXT DEFAULT 'other', PRIMARY KEY (name, kind)) STRICT`: {
			`column "note" was changed`,
			"its default is another",
		},
		made + `TEXT NOT NULL DEFAULT 'none', PRIMARY KEY (name, kind)) STRICT`: {`column "note" was changed`, "it took null, and is not null now"},
	}
}

func byHandMySQL() map[string][]string {
	changes := map[string][]string{
		"DROP DATABASE {database}": {`table "total": was dropped or renamed`},
	}
	for statement, words := range map[string][]string{
		"MODIFY n DECIMAL(65,30) NOT NULL DEFAULT 0": {`column "n" was changed to the type decimal(65,30) since it was installed`},
		"MODIFY n INT NOT NULL DEFAULT 0":            {`column "n" was changed to the type int(11)`},
		"MODIFY note VARCHAR(10) DEFAULT 'none'":     {`column "note" was changed to the type varchar(10) COLLATE utf8mb4_nopad_bin`},
		"MODIFY exact DECIMAL(10,2) DEFAULT 1.5":     {`column "exact" was changed to the type decimal(10,2)`},
		"MODIFY name VARCHAR(700) NOT NULL":          {`column "name" was changed to the type varchar(700)`},
		"MODIFY note LONGTEXT COLLATE utf8mb4_bin DEFAULT 'none'": {
			`column "note" was changed to the type longtext COLLATE utf8mb4_bin`,
		},
		"MODIFY n BIGINT DEFAULT 0":                                    {`column "n" was changed`, "it was not null, and takes null now"},
		"MODIFY f DOUBLE NOT NULL DEFAULT 1.5":                         {`column "f" was changed`, "it took null, and is not null now"},
		"ALTER n SET DEFAULT 7":                                        {`column "n" was changed`, "its default is another"},
		"ALTER note SET DEFAULT 'other'":                               {`column "note" was changed`, "its default is another"},
		"ALTER note SET DEFAULT NULL":                                  {`column "note" was changed`, "its default is another"},
		"ALTER note DROP DEFAULT":                                      {`column "note" was changed`, "its default is another"},
		"ALTER exact SET DEFAULT 1.6":                                  {`column "exact" was changed`, "its default is another"},
		"DROP PRIMARY KEY":                                             {`table "total": its key (name, kind) was dropped or changed since it was installed`},
		"DROP PRIMARY KEY, ADD PRIMARY KEY (name(9), kind)":            {`its key (name, kind) was dropped or changed`},
		"DROP PRIMARY KEY, ADD UNIQUE (name)":                          {`its key (name, kind) was dropped or changed`},
		"DROP PRIMARY KEY, ADD UNIQUE (kind, n), ADD KEY (name, kind)": {`its key (name, kind) was dropped or changed`},
		"ADD COLUMN mine INT NOT NULL DEFAULT 1, ALTER mine DROP DEFAULT": {
			`write "put": leaves out column "mine" of table "total", which is not null and has no default`,
		},
	} {
		changes["ALTER TABLE {total} "+statement] = words
	}
	return changes
}
