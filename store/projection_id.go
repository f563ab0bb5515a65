package store

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ProjectionID identifies what builds rows: a projection in one version, and in one build of it. What users type is the
// name alone.
type ProjectionID struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	// Build tells builds of one version apart, each of which has tables of its own. It is 0 for the first, and 2, 3 and
	// so on for those that [Versions].Rebuild has asked for.
	Build int `json:"build,omitempty"`
}

// ID returns the identity of the projection.
func (p *Projection) ID() ProjectionID {
	return ProjectionID{Name: p.Name, Version: p.Version, Build: p.Build}
}

// CompareProjectionIDs orders by name, by version within a name, and by build within a version.
func CompareProjectionIDs(a, b ProjectionID) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Build, b.Build))
}

// VersionText is the version as users read and type it: "1", and "1b2" for build 2 of version 1.
func (id ProjectionID) VersionText() string {
	if id.Build == 0 {
		return strconv.Itoa(id.Version)
	}
	return fmt.Sprintf("%db%d", id.Version, id.Build)
}

// InVersion is the identity of the first build of a version: that of a module, which knows no builds.
func (id ProjectionID) InVersion() ProjectionID {
	return ProjectionID{Name: id.Name, Version: id.Version}
}

const (
	// buildFactor is above every version: see Number.
	buildFactor = versionMax + 1
	// buildMin is the first build that is a rebuild. buildMax keeps names within the 63 bytes of PostgreSQL.
	buildMin, buildMax = 2, 999
)

// ParseVersion reads what [ProjectionID.VersionText] writes, of a projection. ok is false for everything else.
func ParseVersion(projection, text string) (id ProjectionID, ok bool) {
	version, build, built := strings.Cut(text, "b")
	id.Name = projection
	if id.Version, ok = parseNumber(version, 1, versionMax); ok && built {
		id.Build, ok = parseNumber(build, buildMin, buildMax)
	}
	return id, ok
}

// parseNumber reads decimal digits and nothing else, without zeros in front.
func parseNumber(text string, least, most int) (int, bool) {
	if text == "" || text[0] == '0' || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= least && n <= most
}

// Number is version and build as the one number that databases have: version + build * 100,000,000. It is the version
// itself for the first build, and 0 for no version.
func (id ProjectionID) Number() int64 { return int64(id.Version) + int64(id.Build)*buildFactor }

// NumberedID is the identity with a [ProjectionID.Number], and the zero value for number 0.
func NumberedID(projection string, number int64) ProjectionID {
	if number == 0 {
		return ProjectionID{}
	}
	return ProjectionID{Name: projection, Version: int(number % buildFactor), Build: int(number / buildFactor)}
}

// Sort orders the versions as [CompareProjectionIDs] does.
func (v Versioned) Sort() {
	slices.SortFunc(v, func(a, b Installed) int { return CompareProjectionIDs(a.ID(), b.ID()) })
}

// SortStatus orders projections as [CompareProjectionIDs] does.
func SortStatus(all []ProjectionStatus) {
	slices.SortFunc(all, func(a, b ProjectionStatus) int { return CompareProjectionIDs(a.ProjectionID, b.ProjectionID) })
}
