package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// SetCode notes what runs a version. See [store.Versions].
func (s backend) SetCode(
	ctx context.Context, projection store.ProjectionID, code store.Code,
) (before string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, s.queries.digest, projection.Name, projection.Number()).Scan(&before)
	if err != nil || before == code.Digest {
		return before, notInstalled(projection, err)
	}
	_, err = s.pool.Exec(ctx, s.queries.setCode, projection.Name, projection.Number(), code.Digest, code.Module)
	return before, translate(err)
}

// Code returns what ran a version last. See [store.Versions].
func (s backend) Code(ctx context.Context, projection store.ProjectionID) (code store.Code, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, s.queries.code, projection.Name, projection.Number()).Scan(&code.Digest, &code.Module)
	return code, notInstalled(projection, err)
}

func notInstalled(projection store.ProjectionID, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.UnknownVersion(projection)
	}
	return translate(err)
}
