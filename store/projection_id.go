package store

import (
	"cmp"
	"strings"
)

// ProjectionID identifies what builds rows: a projection in one version. What users type is the name alone.
type ProjectionID struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
}

// ID returns the identity of the projection.
func (p *Projection) ID() ProjectionID { return ProjectionID{Name: p.Name, Version: p.Version} }

// CompareProjectionIDs orders by name, and by version within a name.
func CompareProjectionIDs(a, b ProjectionID) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}
