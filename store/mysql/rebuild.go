package mysql

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// Rebuild asks for another build of the live version. See [store.Versions].
func (s backend) Rebuild(ctx context.Context, projection string) (id store.ProjectionID, err error) {
	err = s.alone(ctx, projection, func(c *conn) error {
		versions, err := c.versions(&s.queries.versions, projection)
		if err != nil {
			return err
		}
		var ask bool
		if id, ask, err = versions.Rebuild(projection); err != nil || !ask {
			return err
		}
		return c.askRebuild(&s.queries.versions, projection, id.Build)
	})
	if err != nil {
		return store.ProjectionID{}, err
	}
	return id, nil
}

// askRebuild notes which build of the live version is asked for; 0 for none.
func (c *conn) askRebuild(q *versionQueries, projection string, build int) error {
	if _, err := c.exec(q.askRebuild, projection, build); err != nil {
		return fmt.Errorf("asking for a build: %w", err)
	}
	return nil
}
