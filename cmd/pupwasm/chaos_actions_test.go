package main_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// The chaos keeps between so many hosts.
const (
	chaosHostsMin = 2
	chaosHostsMax = 5
)

// chaosAction is something that happens to a system in production.
type chaosAction struct {
	name   string
	weight int
	do     func(*chaos) string // returns what it did, "" when there was nothing to do
}

var chaosActions = []chaosAction{
	{"add", 5, (*chaos).addSome},
	{"kill -9", 4, (*chaos).kill},
	{"stop", 4, (*chaos).freeze},
	{"remove", 3, (*chaos).remove},
	{"cut connections", 3, (*chaos).cutConnections},
	{"crash the server", 2, (*chaos).crashServer},
	{"crash the server while a host leaves", 1, (*chaos).leaveInCrash},
	{"read-only", 1, (*chaos).readOnly},
	{"switch over", 1, (*chaos).switchOver},
	{"lose the server", 1, (*chaos).loseServer},
	{"split", 4, (*chaos).split},
	{"merge", 4, (*chaos).merge},
	{"redeploy with another --segments", 1, (*chaos).redeploy},
	{"deploy a module", 4, (*chaos).deploy},
	{"refuse or take rows", 2, (*chaos).switchRows},
	{"parked retry", 4, (*chaos).retryParked},
	{"parked skip", 3, (*chaos).skipParked},
	{"pause or resume", 4, (*chaos).switchPause},
	{"promote", 5, (*chaos).promoteVersion},
	{"rollback", 3, (*chaos).rollback},
	{"kill -9 a promotion", 3, (*chaos).killPromotion},
	{"crash the server while a version is promoted", 1, (*chaos).promoteInCrash},
}

// act does one thing.
func (c *chaos) act() {
	total := 0
	for _, a := range chaosActions {
		total += a.weight
	}
	chosen := c.random.IntN(total)
	action := chaosActions[slices.IndexFunc(chaosActions, func(a chaosAction) bool {
		chosen -= a.weight
		return chosen < 0
	})]
	if len(c.hosts) < chaosHostsMin {
		action = chaosActions[0]
	}
	c.note(action.name, "…")
	if what := action.do(c); what != "" {
		c.note(action.name, what)
	}
	c.checkAlive()
}

// addSome adds a host. Now and then one has its own idea of the number of segments, or none.
func (c *chaos) addSome() string {
	if len(c.hosts) >= chaosHostsMax {
		return ""
	}
	segments := c.segments
	switch c.random.IntN(6) {
	case 0:
		segments = 1 + c.random.IntN(8)
	case 1:
		segments = 0
	}
	return fmt.Sprintf("%s with --segments %d", c.add(segments).name, segments)
}

func (c *chaos) kill() string {
	h := c.hosts[c.random.IntN(len(c.hosts))]
	h.signal(syscall.SIGKILL)
	<-h.exited
	c.forget(h)
	return h.name
}

// freeze stops a host for longer than its lease: others take over, and it comes back late.
func (c *chaos) freeze() string {
	h := c.some()
	if h == nil {
		return ""
	}
	pause := hostLease + 200*time.Millisecond + time.Duration(c.random.IntN(1500))*time.Millisecond
	h.signal(syscall.SIGSTOP)
	h.thaw = time.Now().Add(pause)
	time.AfterFunc(pause, func() { h.signal(syscall.SIGCONT) }) // whatever the test is waiting for then
	return fmt.Sprintf("%s for %s", h.name, pause)
}

// remove stops a host, sometimes in the moment in which it has lost all of its connections.
func (c *chaos) remove() string {
	h := c.some()
	if h == nil {
		return ""
	}
	if c.random.IntN(3) == 0 {
		c.cut("2")
	}
	return c.terminate(h)
}

// some returns a host that has begun to work and is not stopped, or nil.
func (c *chaos) some() *host {
	ready := slices.DeleteFunc(slices.Clone(c.hosts), func(h *host) bool { return !h.running() })
	if len(ready) == 0 {
		return nil
	}
	return ready[c.random.IntN(len(ready))]
}

func (c *chaos) cutConnections() string {
	share := []string{"0.2", "0.5", "2"}[c.random.IntN(3)]
	return fmt.Sprintf("%d, by chance below %s", c.cut(share), share)
}

func (c *chaos) cut(share string) (count int) {
	side := c.side()
	if side.maria != nil {
		return cutMariaDB(c.t, side.db, share)
	}
	query(c.t, side.db.Database, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < `+share, &count)
	return count
}

func (c *chaos) crashServer() string {
	side := c.side()
	side.kill()
	down := time.Duration(c.random.IntN(800)) * time.Millisecond
	c.pause(down)
	side.restart(c.t)
	return fmt.Sprintf("away for %s", down)
}

// leaveInCrash stops a host while the server is away for a moment. It must give everything back all the same.
func (c *chaos) leaveInCrash() string {
	h := c.some()
	if h == nil {
		return ""
	}
	side := c.side()
	side.kill()
	h.signal(syscall.SIGTERM)
	c.pause(time.Duration(c.random.IntN(500)) * time.Millisecond)
	side.restart(c.t)
	took := c.awaitEnd(h)
	owned, known := c.left(h)
	if said := strings.Contains(h.output.String(), "segments stay owned"); !said && (owned > 0 || known > 0) {
		c.t.Errorf("%s has ended by SIGTERM, still owns %d segments, %d lease, and does not say so", h.name, owned, known)
	}
	return fmt.Sprintf("%s, which took %s and left %d segments", h.name, took.Round(time.Millisecond), owned)
}

// switchOver moves to the standby in good order: it has everything.
func (c *chaos) switchOver() string {
	side := c.side()
	if side.standby == nil {
		return ""
	}
	side.server.Retire(c.t)
	c.promote(side)
	return "everything is there"
}

// loseServer moves to a standby that lags behind: what writers and hosts have of its last moments is gone. A log
// elsewhere must not lose events that are in rows: only the tables do.
func (c *chaos) loseServer() string {
	side := c.sides[len(c.sides)-1]
	if side.standby == nil {
		return ""
	}
	side.standby.CaughtUp(c.t, side.server)
	side.standby.CutOff(c.t)
	c.pause(time.Duration(c.random.IntN(300)) * time.Millisecond)
	side.server.Lose()
	c.promote(side)
	return fmt.Sprintf("%d events are lost", c.writers.forgetLost())
}

// promote makes the standby the primary, and a new one follow it in the place of the server that is gone.
func (c *chaos) promote(side *side) {
	side.standby.Promote(c.t)
	gone := side.server
	side.server = side.standby
	var err error
	if side.standby, err = side.server.StandbyInPlaceOf(gone); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(side.standby.Stop)
}

// readOnly simulates the middle of a failover.
func (c *chaos) readOnly() string {
	side := c.side()
	side.readOnly(c.t, true)
	c.pause(time.Duration(c.random.IntN(500)) * time.Millisecond)
	side.readOnly(c.t, false)
	return "over"
}

// chaosSegmentsMax bounds what splits make.
const chaosSegmentsMax = 12

func (c *chaos) split() string {
	projection, parts := c.layout()
	if len(parts) == 0 || len(parts) >= chaosSegmentsMax {
		return ""
	}
	return c.reshard("split", projection, fmt.Sprint(parts[c.random.IntN(len(parts))].Segment), "--parts",
		fmt.Sprint(2+c.random.IntN(2)))
}

func (c *chaos) merge() string {
	projection, parts := c.layout()
	if len(parts) < 2 {
		return ""
	}
	first := c.random.IntN(len(parts) - 1)
	return c.reshard("merge", projection, fmt.Sprint(parts[first].Segment), fmt.Sprint(parts[first+1].Segment))
}

// layout returns the segments of a version of a projection.
func (c *chaos) layout() (string, []store.LayoutSegment) {
	projection := c.projections[c.random.IntN(len(c.projections))]
	err := store.ErrTransient
	var known []store.ProjectionStatus       // its versions
	for errors.Is(err, store.ErrTransient) { // connections may have been cut
		known, err = c.store.Status(c.t.Context(), projection)
	}
	if err != nil {
		c.t.Errorf("status: %v", err)
	}
	if len(known) == 0 {
		return projection, nil
	}
	one := &known[c.random.IntN(len(known))]
	return fmt.Sprint(one.Name, "@", one.Version), one.Layout().Segments
}

// reshard changes a layout by the command line. A host may have changed it first, and a merge may be under way.
func (c *chaos) reshard(args ...string) string {
	command := start(c.t, c.db.DSN, append([]string{"segments"}, args...)...)
	code := command.wait(c.t)
	what := strings.Join(args, " ")
	said := strings.TrimSpace(command.output.String())
	refused := code == exitCodeRefused && strings.HasPrefix(said, "pupwasm: segment ")
	switch {
	case code == 0:
		c.checkCoverage()
		return what
	case !refused:
		c.t.Errorf("segments %s exits with %d: %s", what, code, said)
	}
	return what + ": " + said
}

// exitCodeRefused is that of a command whose input does not fit what is stored.
const exitCodeRefused = 1

// redeploy replaces all hosts, one after the other, by some that want another number of segments.
func (c *chaos) redeploy() string {
	c.segments = 1 + c.random.IntN(8)
	for _, h := range slices.Clone(c.hosts) {
		c.add(c.segments)
		if h.running() {
			c.note("remove", c.terminate(h))
		} else {
			h.signal(syscall.SIGKILL)
			<-h.exited
			c.forget(h)
		}
	}
	return fmt.Sprint(c.segments)
}
