package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// The SQL of a module runs with the rights of its projection's user, which are on the databases of the projection's
// versions and nowhere else. That user is a role: nobody can log in as it. It is made when a projection has SQL of a
// module for the first time, and dropped with the projection.
//
// MariaDB lets an account define something with the rights of a role that the session has, without the right SET USER, by
// which an account could define something with the rights of anybody.

// OwnerName is the role with whose rights the SQL of a projection's module runs. Roles are of the whole server.
func OwnerName(database, schema, projection string) string {
	sum := sha256.Sum256([]byte(database + "\x00" + schema + "\x00" + projection))
	return "pup_" + hex.EncodeToString(sum[:12])
}

func (p placed) owner() string { return OwnerName(p.home.database, p.home.schema, p.Name) }

// patternOf is the name of a database in GRANT, where _ and % stand for any characters unless there is a \ in front. A
// pattern has 64 characters too: where there is no room for it, the first _ stay without.
func patternOf(name, more string) string {
	room := nameMax - len(name) - len(more)
	pattern := ""
	for at := len(name) - 1; at >= 0; at-- {
		pattern = name[at:at+1] + pattern
		if (name[at] == '_' || name[at] == '%') && room > 0 {
			pattern = `\` + pattern
			room--
		}
	}
	return quote(pattern + more)
}

// ownerRights are those of the role on the databases of the projection's versions.
func ownerRights(readers, owner string) string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON %s.* TO %s", patternOf(readers+"__v", "%"),
		quote(owner))
}

// asOwner runs fn while the session has the role of the projection besides the rights of the host, for what it defines.
func (c *conn) asOwner(p placed, fn func() error) error {
	before := "NONE"
	err := c.query("SELECT CURRENT_ROLE()", func(r *row) error {
		if !r.null(0) {
			before = quote(r.text(0))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.becomeOwner(p); err != nil {
		return err
	}
	err = fn()
	if _, back := c.session.exec(context.WithoutCancel(c.ctx), "SET ROLE "+before); back != nil {
		c.broken = true
	}
	return err
}

// becomeOwner gives the role to the session, and makes it if there is none. An account that has the right SET USER needs
// not have the role.
func (c *conn) becomeOwner(p placed) error {
	_, err := c.exec("SET ROLE " + quote(p.owner()))
	if !isNumber(err, erInvalidRole) {
		return err
	}
	if err := c.makeOwner(p); err != nil {
		return err
	}
	if _, err = c.exec("SET ROLE " + quote(p.owner())); isNumber(err, erInvalidRole) {
		return nil
	}
	return err
}

// makeOwner makes the role of the projection, if it is not there, and gives it its rights.
func (c *conn) makeOwner(p placed) error {
	for _, text := range []string{"CREATE ROLE IF NOT EXISTS " + quote(p.owner()), ownerRights(p.readers, p.owner())} {
		if _, err := c.exec(text); err != nil {
			return p.withoutRights(err)
		}
	}
	return nil
}

// withoutRights is the error of a host that may not do something, which an administrator can do for it.
func (p placed) withoutRights(err error) error {
	if !isNumber(err, erDatabaseDenied, erTableDenied, erPrivilegeMissing, erRoutineDenied, erDeniedByPlugin, erInvalidRole) {
		return err
	}
	return &store.CatalogueError{Item: fmt.Sprintf("projection %q", p.Name), Reason: fmt.Sprintf(
		"cannot have a role of its own, %s: %s: have the SQL of GrantSQL(%q) run", p.owner(), oneline.Text(refusal(err)), p.Name)}
}

// dropOwner drops the role of a projection that is gone, where the host may. One that an administrator has made stays.
func (c *conn) dropOwner(p placed) error {
	_, err := c.exec("DROP ROLE IF EXISTS " + quote(p.owner()))
	if isNumber(err, erPrivilegeMissing, erCannotUser) {
		return nil
	}
	return err
}

// hostRights are what a host needs on the databases of a projection.
const hostRights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, EXECUTE, CREATE ROUTINE, ALTER ROUTINE, " +
	"CREATE VIEW, SHOW VIEW, LOCK TABLES"

// GrantSQL returns the SQL that gives a projection a role of its own, for hosts that may not make one, and that gives the
// hosts what they need for the projection. account is that of hosts, as user or user@host. The SQL is to be run by an
// administrator, again and again if need be.
func GrantSQL(database, schema, projection, account string) string {
	readers := database + "__" + store.PlaceOf(schema, store.ProjectionID{Name: projection}).Readers
	host, owner := quoteAccount(account), OwnerName(database, schema, projection)
	return strings.NewReplacer(
		"{role}", quote(owner), "{owner}", ownerRights(readers, owner), "{host}", host, "{rights}", hostRights,
		"{database}", patternOf(database, ""), "{readers}", patternOf(readers, ""), "{versions}", patternOf(readers+"__v", "%"),
	).Replace(`-- The role with whose rights the SQL of the module runs. Nobody can log in as it.
CREATE ROLE IF NOT EXISTS {role};
{owner};
GRANT {role} TO {host};
-- What hosts need for the log, and for the databases of the projection.
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON {database}.* TO {host};
GRANT {rights} ON {readers}.* TO {host};
GRANT {rights} ON {versions}.* TO {host};
`)
}

// quoteAccount writes user@host, where % is any host.
func quoteAccount(account string) string {
	user, host := account, "%"
	if at := strings.LastIndexByte(account, '@'); at >= 0 {
		user, host = account[:at], account[at+1:]
	}
	return quote(user) + "@" + quote(host)
}
