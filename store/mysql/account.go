package mysql

import "context"

// isSuperuser is true for an account that may do everything on the server.
const isSuperuser = `EXISTS (SELECT 1 FROM information_schema.user_privileges
	WHERE privilege_type = 'SUPER' AND REPLACE(grantee, '''', '') = CURRENT_USER())`

// Role returns the account that the store's connections have, and whether it may do everything on the server.
func (s backend) Role(ctx context.Context) (name string, superuser bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query("SELECT CURRENT_USER(), "+isSuperuser, func(r *row) error {
			name, superuser = r.text(0), r.bool(1)
			return nil
		})
	})
	return name, superuser, err
}
