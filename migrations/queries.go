package migrations

import "strings"

type query int

const (
	queryBegin      query = iota // starts the transaction and takes the lock
	queryPrepare                 // creates schema and version table
	queryExists                  // tells whether the version table is there
	queryVersion                 // reads the version
	queryEncoding                // tells in which encoding the database keeps text
	querySetVersion              // the new version follows the text
)

var queries = map[Dialect]map[query]string{
	Postgres: {
		// The lock's key is "pupw" in ASCII. The search path must not decide where a script's objects go. A host
		// that is stopped, or cut off, in the middle must not keep others waiting until it comes back. The scripts
		// are in UTF-8.
		queryBegin: `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = pg_catalog; SET LOCAL client_encoding = 'UTF8';
			SET LOCAL client_min_messages = warning;
			SET LOCAL idle_in_transaction_session_timeout = '30s'; SELECT pg_advisory_xact_lock(1886744695)`,
		// CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where the schema is there.
		queryPrepare: `DO $$ BEGIN IF pg_catalog.to_regnamespace('{schema}') IS NULL
			THEN CREATE SCHEMA {schema}; END IF; END $$;
			CREATE TABLE IF NOT EXISTS {schema}.migration (one boolean PRIMARY KEY DEFAULT true CHECK (one),
			version integer NOT NULL);
			INSERT INTO {schema}.migration (version) VALUES (0) ON CONFLICT DO NOTHING`,
		queryExists:     `SELECT to_regclass('{schema}.migration') IS NOT NULL`,
		queryVersion:    `SELECT version FROM {schema}.migration`,
		queryEncoding:   `SHOW server_encoding`,
		querySetVersion: `UPDATE {schema}.migration SET version = `,
	},
	SQLite: {
		queryBegin: `BEGIN IMMEDIATE`,
		queryPrepare: `CREATE TABLE IF NOT EXISTS {schema}__migration (one INTEGER PRIMARY KEY CHECK (one = 1),
			version INTEGER NOT NULL);
			INSERT INTO {schema}__migration (one, version) VALUES (1, 0) ON CONFLICT DO NOTHING`,
		queryExists: `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table'
			AND name = '{schema}__migration')`,
		queryVersion:    `SELECT version FROM {schema}__migration`,
		queryEncoding:   `PRAGMA encoding`,
		querySetVersion: `UPDATE {schema}__migration SET version = `,
	},
}

func (m *Migrator) query(q query) string {
	return strings.ReplaceAll(queries[m.dialect][q], "{schema}", placeholder(m.dialect, m.schema))
}
