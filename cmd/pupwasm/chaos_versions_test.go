package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// buildLater gives all hosts version 2 of tally, once version 1 has rows: until then it would take its place.
func (c *chaos) buildLater() {
	testwait.Until(c.t, "version 1 of tally has rows", func() (has bool) {
		c.db.one(c.t, `SELECT EXISTS (SELECT 1 FROM {tally}streams)`, &has)
		return has
	})
	writeModule(c.t, c.folder, "tally_2.wasm", tallyModule(c.t, 2))
	c.later = []string{"tally@2"}
	for _, h := range c.hosts {
		h.awaitCount(c.t, "projection installed", c.installs())
	}
}

// exchangeFlags keep both versions, and end a command that cannot succeed, as while the projection is paused.
var exchangeFlags = []string{"--timeout", "2s"}

func (c *chaos) promoteVersion() string { return c.exchange(c.startPromotion()) }

// startPromotion promotes one of the versions, which may be live.
func (c *chaos) startPromotion() *process {
	args := append([]string{"promote", "tally", fmt.Sprint(1 + c.random.IntN(2)), "--keep-versions", "-1"}, exchangeFlags...)
	return start(c.t, c.db.DSN, args...)
}

func (c *chaos) rollback() string {
	return c.exchange(start(c.t, c.db.DSN, append([]string{"rollback", "tally"}, exchangeFlags...)...))
}

// exchange waits for a command that gives readers another version. It may come too late, or too early.
func (c *chaos) exchange(command *process) string {
	code := command.wait(c.t)
	said := strings.TrimSpace(command.output.String())
	if code == 0 {
		return said
	}
	for _, known := range []string{
		"positions behind version", "the same version as before, after 2s", "has replaced none", "database is not available",
	} {
		if strings.Contains(said, known) {
			return said
		}
	}
	c.t.Errorf("%v exits with %d: %s", command.cmd.Args[1:], code, said)
	return said
}

// killPromotion kills the command at some moment, mostly while it talks to the server.
func (c *chaos) killPromotion() string {
	command := c.startPromotion()
	c.pause(time.Duration(c.random.IntN(150)) * time.Millisecond)
	command.signal(syscall.SIGKILL)
	<-command.exited
	return fmt.Sprintf("%q", strings.TrimSpace(command.output.String()))
}

// promoteInCrash crashes the server while a version is promoted, which is tried again.
func (c *chaos) promoteInCrash() string {
	command := c.startPromotion()
	c.pause(time.Duration(c.random.IntN(150)) * time.Millisecond)
	return c.crashServer() + ", " + c.exchange(command)
}

// checkVersions has each version be live once more, in a short run for the first time, and demands that the reader has
// read. The rows of both versions are compared with the others.
func (c *chaos) checkVersions(reader *tallyReader) {
	for range 2 {
		before := liveTally(c.t, c.db)
		id := store.ProjectionID{Name: "tally", Version: 3 - before}
		promotion, err := segments.Promote(c.t.Context(), c.store, id)
		if err != nil || promotion.From.Version != before || liveTally(c.t, c.db) != id.Version {
			c.t.Errorf("the promotion is %+v, %v; version %d was live", promotion, err, before)
		}
	}
	reader.finish()
	c.note("reader", fmt.Sprintf("has read %d times from %d lives of servers", reader.reads, reader.lives))
	if reader.reads == 0 {
		c.t.Error("the reader has seen no rows")
	}
}
