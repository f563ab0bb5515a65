package main_test

import (
	"errors"

	"github.com/pupwasm/pupwasm/store"
)

// switchPause pauses a projection, or resumes one that is paused.
func (c *chaos) switchPause() string {
	projection := c.projections[c.random.IntN(len(c.projections))]
	if c.setPaused(projection, true) {
		return projection + " is paused"
	}
	c.setPaused(projection, false)
	return projection + " is resumed"
}

// setPaused reports whether that is a change. A projection may not be installed yet.
func (c *chaos) setPaused(projection string, paused bool) (changed bool) {
	err := store.ErrTransient
	for errors.Is(err, store.ErrTransient) { // connections may have been cut
		changed, err = c.store.SetPaused(c.t.Context(), projection, paused)
	}
	var unknown *store.InputError
	if err != nil && !errors.As(err, &unknown) {
		c.t.Errorf("paused %t: %v", paused, err)
	}
	return changed
}
