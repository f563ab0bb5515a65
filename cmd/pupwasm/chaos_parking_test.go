package main_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

// poisoned names for some projections the module that fails at events of type Poison: one is divided by stream, the
// other by a field of the payload.
var poisoned = map[string]string{"order_check": "order_poisoned", "customer_fold": "customer_poisoned"}

// chaosModule is a projection that can be deployed with a fault and without.
type chaosModule struct {
	fixed  []byte
	faulty [][]byte // several that do the same, of which each counts as other code
}

// loadModules deploys those with the fault.
func (c *chaos) loadModules() {
	c.modules = map[string]*chaosModule{}
	for _, name := range c.projections {
		source, is := poisoned[name]
		if !is {
			continue
		}
		faulty := guestbuild.Example(c.t, guestbuild.Go, filepath.Join("testdata", source))
		c.modules[name] = &chaosModule{
			fixed:  guestbuild.Example(c.t, guestbuild.Go, filepath.Join("testdata", name)),
			faulty: [][]byte{faulty, guestbuild.Variant(faulty, "2")},
		}
		writeModule(c.t, c.folder, name+".wasm", faulty)
	}
}

// deploy replaces a module in the folder of all hosts, each of which loads it in its own time.
func (c *chaos) deploy() string {
	names := slices.Sorted(maps.Keys(c.modules))
	name := names[c.random.IntN(len(names))]
	module, what := c.modules[name].fixed, "fixed"
	if n := c.random.IntN(2 * len(c.modules[name].faulty)); n < len(c.modules[name].faulty) {
		module, what = c.modules[name].faulty[n], fmt.Sprint("faulty ", n)
	}
	writeModule(c.t, c.folder, name+".wasm", module)
	return name + ", " + what
}

// switchRows has the database refuse the rows of odd events, or take them again: the cause of a fault that is not the
// module's.
func (c *chaos) switchRows() string {
	if c.random.IntN(2) == 0 {
		if c.db.kind == onMariaDB {
			c.db.exec(c.t, `CREATE OR REPLACE TRIGGER {order_check__v1}none BEFORE INSERT ON {order_check__v1}odd FOR EACH ROW
				SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no odd rows'`)
		} else {
			c.db.exec(c.t, `ALTER TABLE {order_check__v1}odd DROP CONSTRAINT IF EXISTS none, ADD CONSTRAINT none CHECK (false) NOT VALID`)
		}
		return "refused"
	}
	c.takeOdd()
	return "taken"
}

// takeOdd has the database take all rows.
func (c *chaos) takeOdd() {
	if c.db.kind == onMariaDB {
		c.db.exec(c.t, "DROP TRIGGER IF EXISTS {order_check__v1}none")
		return
	}
	c.db.exec(c.t, "ALTER TABLE {order_check__v1}odd DROP CONSTRAINT IF EXISTS none")
}

// fixAll removes every cause of faults, and of rest.
func (c *chaos) fixAll() {
	c.takeOdd()
	for _, projection := range c.projections {
		c.setPaused(projection, false)
	}
	for name, module := range c.modules {
		writeModule(c.t, c.folder, name+".wasm", module.fixed)
	}
}

func (c *chaos) retryParked() string {
	key, any := c.parkedKey()
	switch {
	case !any:
		return ""
	case c.random.IntN(2) == 0:
		return c.orderParked("retry", key.Projection.Name, "--all")
	}
	return c.orderParked("retry", key.Projection.Name, string(key.Key))
}

func (c *chaos) skipParked() string {
	key, any := c.parkedKey()
	if !any {
		return ""
	}
	return c.orderParked("skip", key.Projection.Name, string(key.Key), "--yes")
}

// parkedKey chooses one that is parked.
func (c *chaos) parkedKey() (store.ParkedKey, bool) {
	err := store.ErrTransient
	var parked []store.ParkedKey
	for errors.Is(err, store.ErrTransient) { // connections may have been cut
		parked, err = c.store.Parked(c.t.Context(), store.ParkedRequest{Range: store.FullRange()})
	}
	if err != nil {
		c.t.Errorf("parked: %v", err)
	}
	if len(parked) == 0 {
		return store.ParkedKey{}, false
	}
	return parked[c.random.IntN(len(parked))], true
}

// orderParked gives an order by the command line. A host may have unparked the key first.
func (c *chaos) orderParked(args ...string) string {
	command := start(c.t, c.db.DSN, append([]string{"parked"}, args...)...)
	code := command.wait(c.t)
	said := strings.TrimSpace(command.output.String())
	if gone := strings.Contains(said, "is not parked"); code != 0 && !gone {
		c.t.Errorf("parked %s exits with %d: %s", strings.Join(args, " "), code, said)
	}
	return said
}

// checkParked demands that faults were among what happened.
func (c *chaos) checkParked() {
	count := func(text string) (n int) {
		for _, h := range c.gone {
			n += strings.Count(h.output.String(), text)
		}
		return n
	}
	parked, again, unparked := count("its key is parked"), count("parked key failed again"), count("key is parked no longer")
	left := 0
	for name := range c.modules {
		left += len(skipped(c.t, c.db, name))
	}
	c.note("parking", fmt.Sprintf("keys are parked %d times, fail again %d times, are unparked %d times; %d events are skipped",
		parked, again, unparked, left))
	if parked == 0 || unparked == 0 {
		c.t.Error("no key was parked, or none unparked")
	}
}
