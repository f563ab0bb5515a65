package main

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestRebuild_givesWayToALaterVersion has somebody promote version 2 while build 2 of version 1 is waited for: readers must
// not go back to version 1.
func TestRebuild_givesWayToALaterVersion(t *testing.T) {
	t.Parallel()
	status := func(version, build int, live bool) store.ProjectionStatus {
		return store.ProjectionStatus{ProjectionID: store.ProjectionID{Name: "fines", Version: version, Build: build}, Live: live}
	}
	all := []store.ProjectionStatus{status(1, 0, false), status(1, 2, false), status(2, 0, true)}
	left, err := buildLeft(all, all[1].ProjectionID)
	if err == nil || !strings.Contains(err.Error(), "version 2 of fines was promoted meanwhile") ||
		!strings.Contains(err.Error(), "'pupwasm retire fines 1b2'") {
		t.Errorf("%d positions are left, %v", left, err)
	}
}
