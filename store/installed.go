package store

import (
	"encoding/json"
	"fmt"
)

// Installed is what a database has of a projection: its declaration as [Projection.Declaration] keeps it, with the
// version, and the texts that were stored.
type Installed struct {
	Projection
	Declared string
	Shapes   string
	Live     bool // readers see this version
	// Replaced is the version that they saw before it; zero for none.
	Replaced ProjectionID
	Rebuild  int // see [ProjectionStatus]

	// Found are the tables as the database has them now, where [Projections.Installed] has returned it.
	Found []TableShape
}

// ReadInstalled reads what Install has stored of a version.
func ReadInstalled(id ProjectionID, declared, shapes string) (*Installed, error) {
	var d declaration
	if err := json.Unmarshal([]byte(declared), &d); err != nil {
		return nil, fmt.Errorf("reading the stored declaration: %w", err)
	}
	d.Name, d.Version, d.Build = id.Name, id.Version, id.Build
	return &Installed{Projection: d.Projection, Declared: declared, Shapes: shapes}, nil
}

// Shown returns the names of the tables and views, which readers have views of under the plain name.
func (p *Projection) Shown() []string {
	names := make([]string, 0, len(p.Tables)+len(p.Views))
	for i := range p.Tables {
		names = append(names, p.Tables[i].Name)
	}
	for i := range p.Views {
		names = append(names, p.Views[i].Name)
	}
	return names
}
