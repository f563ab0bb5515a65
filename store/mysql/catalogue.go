package mysql

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// catalogue is an installed projection. See [store.Catalogue].
type catalogue struct {
	store   *Store
	of      placed
	writes  []statement
	queries []statement
	apart   bool // the log is in another database
}

// Install makes a projection ready to run. See [store.Projections].
func (s backend) Install(ctx context.Context, projection *store.Projection, segments int) (store.Catalogue, error) {
	return s.install(ctx, projection, installation{segments: segments})
}

// InstallBeside makes a projection ready to run beside an earlier version. See [store.Projections].
func (s backend) InstallBeside(
	ctx context.Context, projection *store.Projection, segments int,
) (store.Catalogue, error) {
	return s.install(ctx, projection, installation{segments: segments, beside: true})
}

// installation is how a projection is installed.
type installation struct {
	segments int  // of a version that is new
	apart    bool // the log is in another database
	beside   bool // the host runs an earlier version too
}

func (s *Store) install(
	ctx context.Context, projection *store.Projection, how installation,
) (store.Catalogue, error) {
	if err := projection.Validate(); err != nil {
		return nil, err
	}
	of := s.placed(projection)
	if err := s.checkNames(of); err != nil {
		return nil, err
	}
	c := &catalogue{store: s, of: of, apart: how.apart}
	if err := c.read(of); err != nil {
		return nil, err
	}
	err := s.alone(ctx, projection.Name, func(conn *conn) error {
		i := installer{
			store: s, conn: conn, queries: &s.queries, projection: of, catalogue: c, beside: how.beside,
		}
		return i.install(how.segments)
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// read reads the statements of a projection for its tables at a place.
func (c *catalogue) read(of placed) error {
	plan := of.Plan()
	for i := range plan {
		statement, err := writeStatement(of, &plan[i])
		if err != nil {
			return err
		}
		c.writes = append(c.writes, statement)
	}
	for i := range of.Queries {
		statement, err := queryStatement(of, &of.Queries[i])
		if err != nil {
			return err
		}
		c.queries = append(c.queries, statement)
	}
	return nil
}
