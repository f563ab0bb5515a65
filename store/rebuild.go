package store

import "fmt"

// Builds returns the builds of a version that workers run which have its module: those that the database has, and the
// one that [Versions].Rebuild has asked for. It is the first build where there is none. all has every version of the
// projection.
func Builds(all []ProjectionStatus, projection string, version int) (builds []ProjectionID) {
	for i := range all {
		p := &all[i]
		if p.Name != projection || p.Version != version {
			continue
		}
		builds = append(builds, p.ProjectionID)
		if asked := p.Asked(); asked.Build != 0 {
			builds = append(builds, asked)
		}
	}
	if builds == nil {
		builds = []ProjectionID{{Name: projection, Version: version}}
	}
	return builds
}

// Asked returns the build that [Versions].Rebuild has asked for and that has not begun; its Build is 0 for none.
func (p *ProjectionStatus) Asked() ProjectionID {
	return ProjectionID{Name: p.Name, Version: p.Version, Build: p.Rebuild}
}

// OfVersion returns what a database has of a version: the live build of it, or else the latest; nil for none.
func (v Versioned) OfVersion(version int) (found *Installed) {
	for i := range v {
		if v[i].Version == version && (found == nil || !found.Live) {
			found = &v[i]
		}
	}
	return found
}

// Rebuild returns the build that [Versions].Rebuild returns, and whether it has to be asked for still.
//
// # Errors
//
// [*InputError].
func (v Versioned) Rebuild(projection string) (id ProjectionID, ask bool, err error) {
	live := v.Live()
	switch {
	case live == nil:
		return id, false, UnknownProjection(projection)
	case live.Bare():
		return id, false, &InputError{
			Field:  "projection " + projection,
			Reason: fmt.Sprintf("has no tables of its own: Store.Reset(%q) makes it begin again", projection),
		}
	}
	id = ProjectionID{Name: projection, Version: live.Version, Build: live.Rebuild}
	if id.Build != 0 {
		return id, false, nil
	}
	replaced := map[ProjectionID]bool{}
	for at := v.Find(live.Replaced); at != nil && !replaced[at.ID()]; at = v.Find(at.Replaced) {
		replaced[at.ID()] = true
	}
	id.Build = buildMin
	for i := range v {
		if v[i].Version != live.Version {
			continue
		}
		if !v[i].Live && !replaced[v[i].ID()] {
			return v[i].ID(), false, nil
		}
		id.Build = max(id.Build, v[i].Build+1)
	}
	if id.Build > buildMax {
		for id.Build = buildMin; v.Find(id) != nil; id.Build++ { // there are a few builds at most
		}
	}
	return id, true, nil
}

// AskedFor reports that a build is asked for and has not begun.
func (v Versioned) AskedFor(id ProjectionID) bool {
	live := v.Live()
	return live != nil && id.Build != 0 && id == ProjectionID{Name: live.Name, Version: live.Version, Build: live.Rebuild}
}

// Beside checks that a version that is not installed may be built beside the live one, or that a build may be installed.
//
// # Errors
//
// [*CatalogueError] when it is older, when it is there in another build, or one of them has no tables of its own. Of a
// build, when nobody has asked for it, or it declares other tables than the live one.
func (v Versioned) Beside(p *Projection, dialect Dialect) error {
	live, there := v.Live(), v.OfVersion(p.Version)
	item := fmt.Sprintf("projection %q", p.Name)
	switch {
	case p.Build != 0 && !v.AskedFor(p.ID()):
		return &CatalogueError{Item: item, Reason: fmt.Sprintf("has no version %s, and nobody has asked for it",
			p.ID().VersionText())}
	case p.Build != 0:
		return p.CheckDeclaration(dialect, live.Declared)
	case p.Version < live.Version, p.Bare(), live.Bare():
		return versionMismatch(p, live)
	case there != nil:
		return &CatalogueError{Item: item, Reason: fmt.Sprintf("has version %d as %s", p.Version, there.ID().VersionText())}
	}
	return nil
}

// FindVersion returns the version that a user names, or nil: with Version 0 the live one. Without a build it is the
// first, or where that is gone what took its place: the live build of the version, or else the latest. all has no other
// projection.
func FindVersion(all []ProjectionStatus, id ProjectionID) (found *ProjectionStatus) {
	if id.Version == 0 {
		return LiveOf(all)
	}
	for i := range all {
		switch p := &all[i]; {
		case p.ProjectionID == id:
			return p
		case p.Version == id.Version && id.Build == 0 && (found == nil || !found.Live):
			found = p
		}
	}
	return found
}
