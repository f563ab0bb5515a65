package migrations

import "strings"

type query int

const (
	queryBegin      query = iota // starts the transaction and takes the lock
	queryEnd                     // commits, and gives the lock back
	queryUndo                    // does so after a failure
	queryPrepare                 // creates schema and version table
	queryExists                  // tells whether the version table is there
	queryVersion                 // reads the version
	queryEncoding                // tells in which encoding the database keeps text
	querySetVersion              // the new version follows the text
	queryBegun                   // reads how far the tables may be there, where the version may be behind
	querySetBegun                // the new number follows the text
	queryInstalled               // tells whether projections are installed
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
		queryEnd:        `COMMIT`,
		queryUndo:       `ROLLBACK`,
		queryExists:     `SELECT to_regclass('{schema}.migration') IS NOT NULL`,
		queryVersion:    `SELECT version FROM {schema}.migration`,
		queryEncoding:   `SHOW server_encoding`,
		querySetVersion: `UPDATE {schema}.migration SET version = `,
	},
	// DDL commits by itself here. So the lock is the connection's, each statement of a script can be run again, and begun
	// tells of a script that has not ended.
	MySQL: {
		queryBegin: `SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin;
			SET SESSION sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES', time_zone = '+00:00',
				foreign_key_checks = 1, unique_checks = 1, autocommit = 1, lock_wait_timeout = 5;
			BEGIN NOT ATOMIC
				IF NOT COALESCE(GET_LOCK({lock}, 60), 0) THEN
					SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'another migration has gone on for a minute: wait for its end';
				END IF;
			END`,
		queryEnd:  `DO RELEASE_LOCK({lock})`,
		queryUndo: `DO RELEASE_LOCK({lock})`,
		queryPrepare: `CREATE TABLE IF NOT EXISTS {schema}__migration (one INT NOT NULL PRIMARY KEY CHECK (one = 1),
			version INT NOT NULL, begun INT NOT NULL DEFAULT 0) ENGINE=InnoDB;
			INSERT INTO {schema}__migration (one, version) VALUES (1, 0) ON DUPLICATE KEY UPDATE one = 1`,
		queryExists: `SELECT COUNT(*) > 0 FROM information_schema.tables WHERE table_schema = DATABASE()
			AND table_name = '{schema}__migration'`,
		// The row comes after its table.
		queryVersion:    `SELECT COALESCE(MAX(version), 0) FROM {schema}__migration`,
		querySetVersion: `UPDATE {schema}__migration SET version = `,
		queryBegun:      `SELECT GREATEST(begun, version) FROM {schema}__migration`,
		queryInstalled:  `SELECT COUNT(*) > 0 FROM {schema}__projections`,
		querySetBegun:   `UPDATE {schema}__migration SET begun = `,
	},
	SQLite: {
		queryBegin: `BEGIN IMMEDIATE`,
		queryEnd:   `COMMIT`,
		queryUndo:  `ROLLBACK`,
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
	return strings.NewReplacer(
		"{schema}", placeholder(m.dialect, m.schema),
		// Its name is of the whole server, and has 64 characters at most.
		"{lock}", "CONCAT('pupwasm.migration.', MD5(CONCAT(DATABASE(), '.', '"+m.schema+"')))",
	).Replace(queries[m.dialect][q])
}
