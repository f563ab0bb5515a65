package mysql

// versionQueries are the fixed statements about versions of a projection.
type versionQueries struct {
	versions         string
	demote           string
	promote          string
	forgetReplaced   string
	deleteVersion    string
	deleteProjection string
	askRebuild       string
	runBy            string
	liveOwner        string
	digest           string
	code             string
	setCode          string
	countParked      string
}

func versionQueriesFor(in func(string) string) versionQueries {
	return versionQueries{
		versions: in(`SELECT version, declaration, shapes, live, replaced, rebuild FROM {schema}__projections
			WHERE name = $1`),
		// One after the other, since only one version may be live at a time.
		demote: in(`UPDATE {schema}__projections SET live = 0, rebuild = 0 WHERE name = $1 AND live`),
		promote: in(`UPDATE {schema}__projections SET live = 1, replaced = $3, promoted_at = {now}
			WHERE name = $1 AND version = $2`),
		// What the version had replaced is what a rollback goes back to then.
		forgetReplaced: in(`UPDATE {schema}__projections AS p JOIN {schema}__projections AS g
			ON g.name = p.name AND g.version = $2
			SET p.replaced = g.replaced WHERE p.name = $1 AND p.replaced = $2`),
		deleteVersion:    in(`DELETE FROM {schema}__projections WHERE name = $1 AND version = $2`),
		deleteProjection: in(`DELETE FROM {schema}__projections WHERE name = $1`),
		askRebuild:       in(`UPDATE {schema}__projections SET rebuild = $2 WHERE name = $1 AND live`),
		runBy: in(`SELECT w.worker FROM {schema}__workers AS w, JSON_TABLE(w.projections, '$[*]' COLUMNS (
				name VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PATH '$.name',
				version BIGINT PATH '$.version', build BIGINT PATH '$.build' DEFAULT '0' ON EMPTY)) AS p
			WHERE {alive} AND p.name = $1 AND p.version = $2 AND p.build = $3 LIMIT 1`),
		liveOwner: in(`SELECT s.owner FROM {schema}__segments AS s JOIN {schema}__workers AS w ON w.worker = s.owner
			WHERE s.projection = $1 AND ($2 = 0 OR s.version = $2) AND {alive} LIMIT 1`),
		digest:  in(`SELECT code FROM {schema}__projections WHERE name = $1 AND version = $2`),
		code:    in(`SELECT code, module FROM {schema}__projections WHERE name = $1 AND version = $2`),
		setCode: in(`UPDATE {schema}__projections SET code = $3, module = nullif($4, x'') WHERE name = $1 AND version = $2`),
		countParked: in(`SELECT (SELECT count(*) FROM {schema}__parked WHERE projection = $1 AND version = $2),
			(SELECT count(*) FROM {schema}__parked WHERE projection = $1 AND version = $3)`),
	}
}
