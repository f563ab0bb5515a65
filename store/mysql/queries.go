package mysql

import "strings"

// now is the database's time in microseconds since 1970-01-01 UTC, which goes on within a transaction. The session is in
// UTC, see the connector.
const now = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"

// queries are the fixed statements, with the prefix and the time filled in: each part is beside what runs it.
type queries struct {
	ready string
	now   string

	append   appendQueries
	streams  streamQueries
	commit   commitQueries
	horizon  horizonQueries
	log      logIDQueries
	check    checkQueries
	diagnose diagnoseQueries

	install  installQueries
	versions versionQueries
	lease    leaseQueries
	layout   layoutQueries
	parking  parkingQueries
	outbox   outboxQueries
	status   statusQueries
}

// queriesFor fills in the statements. {log} is the schema with the database in front, for statements that run in
// transactions of callers.
func queriesFor(database, schema, now string) queries {
	leased := "expires_at > " + now + " AND expires_at <= " + now + " + 2 * ttl"
	alive := "w.expires_at > " + now + " AND w.expires_at <= " + now + " + 2 * w.ttl"
	in := strings.NewReplacer("{schema}", schema, "{log}", quote(database)+"."+schema, "{now}", now, "{alive}", alive, "{leased}", leased).Replace
	return queries{
		ready: in(`SELECT count(*) = 4 FROM information_schema.tables WHERE table_schema = database()
			AND table_name IN ('{schema}__events', '{schema}__segments', '{schema}__snapshots', '{schema}__outbox')`),
		now: in(`SELECT {now}`),

		append:   appendQueriesFor(in),
		streams:  streamQueriesFor(in),
		commit:   commitQueriesFor(in),
		horizon:  horizonQueriesFor(in),
		log:      logIDQueriesFor(in),
		check:    checkQueriesFor(in),
		diagnose: newDiagnoseQueries(),

		install:  installQueriesFor(in),
		versions: versionQueriesFor(in),
		lease:    leaseQueriesFor(in),
		layout:   layoutQueriesFor(in),
		parking:  parkingQueriesFor(in),
		outbox:   outboxQueriesFor(in),
		status:   statusQueriesFor(in),
	}
}
