package mysql

// installQueries are those of installed projections.
type installQueries struct {
	insertProjection string
	alterProjection  string
	declare          string
	fenceAll         string
	hold             string
	applied          string
	unfinished       string
	begin            string
	finish           string
}

func installQueriesFor(in func(string) string) installQueries {
	return installQueries{
		// What is paused is paused in all versions.
		insertProjection: in(`INSERT INTO {schema}__projections (name, version, whole, segments, next_segment,
			declaration, shapes, installed_at, live, promoted_at, paused_at)
			SELECT $1, $2, $3, 0, 0, $4, $5, {now}, $6, IF($6, {now}, NULL),
				(SELECT MAX(p.paused_at) FROM {schema}__projections AS p WHERE p.name = $1)`),
		alterProjection: in(`UPDATE {schema}__projections SET version = $3, whole = $4, declaration = $5,
			shapes = $6, rebuild = 0, installed_at = {now} WHERE name = $1 AND version = $2`),
		declare: in(`UPDATE {schema}__projections SET declaration = $3, shapes = $4 WHERE name = $1 AND version = $2
			AND (declaration <> $3 OR shapes <> $4)`),
		fenceAll: in(`UPDATE {schema}__segments SET owner = NULL, epoch = epoch + 1, failure = NULL,
			updated_at = {now} WHERE projection = $1 AND version = $2`),
		// Nobody claims what has failed.
		hold: in(`UPDATE {schema}__segments SET owner = NULL, epoch = epoch + 1, failure = $3, updated_at = {now}
			WHERE projection = $1 AND version = $2`),
		applied:    in(`SELECT COALESCE(MAX(position), 0) > 0 FROM {schema}__segments WHERE projection = $1 AND version = $2`),
		unfinished: in(`SELECT place, additions FROM {schema}__unfinished WHERE projection = $1 ORDER BY place`),
		begin: in(`INSERT INTO {schema}__unfinished (place, projection, additions) VALUES ($1, $2, $3)
			ON DUPLICATE KEY UPDATE additions = VALUES(additions)`),
		finish: in(`DELETE FROM {schema}__unfinished WHERE place = $1`),
	}
}
