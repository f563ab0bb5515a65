package mysql

import (
	"bytes"
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// SetCode notes what runs a version. See [store.Versions].
func (s backend) SetCode(
	ctx context.Context, projection store.ProjectionID, code store.Code,
) (before string, err error) {
	err = s.read(ctx, func(c *conn) error {
		err := c.code(s.queries.versions.digest, projection, func(r *row) { before = r.text(0) })
		if err != nil || before == code.Digest {
			return err
		}
		_, err = c.exec(s.queries.versions.setCode, projection.Name, projection.Number(), code.Digest,
			append([]byte{}, code.Module...))
		return err
	})
	return before, err
}

// Code returns what ran a version last. See [store.Versions].
func (s backend) Code(ctx context.Context, projection store.ProjectionID) (code store.Code, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.code(s.queries.versions.code, projection, func(r *row) {
			code = store.Code{Digest: r.text(0), Module: bytes.Clone(r.bytes(1))}
		})
	})
	return code, err
}

// code runs a query for the row of a version.
func (c *conn) code(query string, of store.ProjectionID, read func(r *row)) error {
	known := false
	err := c.query(query, func(r *row) error {
		known = true
		read(r)
		return nil
	}, of.Name, of.Number())
	if err == nil && !known {
		err = store.UnknownVersion(of)
	}
	return err
}
