package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// parseProjection reads how users name a projection: NAME, or NAME@VERSION for one version of it, or NAME@1b2 for build 2
// of version 1. Without one, the version is 0.
func parseProjection(text string) (store.ProjectionID, error) {
	name, version, versioned := strings.Cut(text, "@")
	if !versioned {
		return store.ProjectionID{Name: name}, nil
	}
	id, ok := store.ParseVersion(name, version)
	if !ok {
		return store.ProjectionID{}, usagef("%s: behind the @ there must be the number of a version, such as %s@2",
			printable(text), printable(name))
	}
	return id, nil
}

// known returns the status of the version of a projection that is named, or that readers see. It refuses one that is not
// installed.
func known(ctx context.Context, from store.Tables, projection string) (*store.ProjectionStatus, error) {
	id, err := parseProjection(projection)
	if err != nil {
		return nil, err
	}
	all, err := allVersions(ctx, from, id.Name)
	if err != nil {
		return nil, err
	}
	if found := store.FindVersion(all, id); found != nil {
		return found, nil
	}
	return nil, unknownVersion(id)
}

// allVersions returns the installed versions of a projection. It refuses a name that was never installed.
func allVersions(ctx context.Context, from store.Tables, name string) ([]store.ProjectionStatus, error) {
	all, err := from.Status(ctx, name)
	if err == nil && len(all) == 0 {
		err = unknownProjection(ctx, from, name)
	}
	return all, err
}

// knownName refuses a projection that is not installed, and a version, where all versions are meant.
func knownName(ctx context.Context, from store.Tables, projection string) (*store.ProjectionStatus, error) {
	if strings.Contains(projection, "@") {
		return nil, usagef("%s: name the projection without a version: this is for all of them", printable(projection))
	}
	return known(ctx, from, projection)
}

// unknownProjection is the error for a name that was never installed. It names the one that is near.
func unknownProjection(ctx context.Context, from store.Tables, name string) error {
	hint := "'pupwasm status' lists those that are"
	if near := nearProjection(ctx, from, name); near != "" {
		hint = fmt.Sprintf("did you mean %s?", printable(near))
	}
	return usagef("projection %s is not known: %s", printable(name), hint)
}

// nearProjection returns the projection that somebody meant who has misspelt it, or "".
func nearProjection(ctx context.Context, from store.Tables, name string) string {
	all, err := from.Status(ctx)
	if err != nil {
		return "" // there is an error already
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return settings.Nearest(name, names)
}

func unknownVersion(id store.ProjectionID) error {
	return usagef("projection %s has no version %s: 'pupwasm versions %[1]s' lists those that it has", printable(id.Name),
		id.VersionText())
}

// argumentOf is how users name a version: the live one by its name alone.
func argumentOf(p *store.ProjectionStatus) string {
	if p.Live {
		return p.Name
	}
	return p.Name + "@" + p.VersionText()
}
