package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// versionMin is the oldest server that is supported.
const versionMin = 14

// Encode makes connections send and receive text in UTF-8, whatever the URL, the database and the role say.
func Encode(config *pgx.ConnConfig) { config.RuntimeParams["client_encoding"] = "UTF8" }

// CheckConnection refuses servers that pupwasm does not run on, and connections on which text would not be stored
// as it is given. It is for what a pool does after it has connected, and costs nothing: the server has told all of
// it.
func CheckConnection(_ context.Context, conn *pgx.Conn) error {
	if err := checkServer(conn.PgConn().ParameterStatus); err != nil {
		return err
	}
	return checkEncodings(conn.PgConn())
}

// checkServer refuses a server by what it says of itself when a client connects. A pooler may keep that to itself.
func checkServer(status func(name string) string) error {
	if version := status("crdb_version"); version != "" {
		return fmt.Errorf("the server is CockroachDB (%s), whose advisory locks hold nothing: events could be "+
			"skipped. Use PostgreSQL %d or later",
			version, versionMin)
	}
	version := status("server_version")
	var major int // "15.14 (Debian 15.14-0+deb12u1)", "17beta1"
	if _, err := fmt.Sscanf(version, "%d", &major); err == nil && major < versionMin {
		return fmt.Errorf("the server is PostgreSQL %s, pupwasm needs %d or later", version, versionMin)
	}
	return nil
}

// checkEncodings refuses a connection on which text would not be stored as it is given. It costs nothing: the
// server has told both encodings, and tells changes. A pooler may keep them to itself.
func checkEncodings(conn *pgconn.PgConn) error {
	if encoding := conn.ParameterStatus("server_encoding"); encoding != "" && encoding != "UTF8" {
		return fmt.Errorf("the database has the encoding %s, pupwasm needs UTF8: use one that was made by CREATE "+
			"DATABASE … ENCODING 'UTF8' TEMPLATE template0",
			encoding)
	}
	return checkClientEncoding(conn.ParameterStatus("client_encoding"))
}

func checkClientEncoding(encoding string) error {
	if encoding != "" && encoding != "UTF8" {
		return fmt.Errorf("the connection has the client_encoding %s, with which text is not stored as it is given: SET client_encoding = 'UTF8'", encoding)
	}
	return nil
}
