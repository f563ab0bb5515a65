package main_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

// chaosTime is how long TestChaos breaks things. PUPWASM_CHAOS sets another time, as 'make chaos' does, and
// PUPWASM_CHAOS_SEED repeats the choices of an earlier run.
const chaosTime = 10 * time.Second

// TestChaos kills, stops, adds and removes hosts, cuts their connections, crashes the server, moves to a second
// one, changes the layouts, and deploys modules that fail at some events, at random and all the time, and then
// compares every row with what the writers counted. One projection is there in two versions, which take turns at being the
// one that a reader sees, who reads all the time.
func TestChaos(t *testing.T) {
	t.Parallel()
	runChaos(startChaos(t, startSide(t)))
}

// TestChaos_apart has the log and the tables on two servers, and breaks each of them alone.
func TestChaos_apart(t *testing.T) {
	t.Parallel()
	runChaos(startChaos(t, startSide(t), startSide(t)))
}

// TestChaos_onMariaDB is TestChaos without a second server.
func TestChaos_onMariaDB(t *testing.T) {
	t.Parallel()
	runChaos(startChaos(t, startMariaDBSide(t)))
}

// chaosProjections are those that run in it.
var chaosProjections = slices.Concat(allProjections, byCustomer, []string{"tally"})

func runChaos(c *chaos) {
	t := c.t
	for range 3 {
		c.add(c.segments)
	}
	for _, h := range c.hosts {
		h.awaitCount(t, "projection installed", len(c.projections))
	}
	c.writers = startWriters(t, c.sides[0].db, c.seed)
	c.buildLater()
	reader := startTallyReader(t, c.db)
	c.began = time.Now()
	for time.Since(c.began) < c.duration && !t.Failed() {
		c.act()
		c.pause(time.Duration(50+c.random.IntN(400)) * time.Millisecond)
	}
	if c.sides[0].standby != nil {
		c.note("lose the server", c.loseServer()) // in a short run too
	} else {
		c.note("crash the server", c.crashServer())
	}
	c.pause(500 * time.Millisecond)
	c.note("chaos", "ends")
	c.writers.finish()
	c.fixAll()
	c.complete(c.writers)
	c.checkParked()
	c.checkVersions(reader)
}

// chaos is one run.
type chaos struct {
	*fleet

	duration time.Duration
	seed     uint64
	random   *rand.Rand
	sides    []*side // the first has the log, the last one the tables
	store    store.Store
	writers  *writers
	segments int // what hosts are started with
	modules  map[string]*chaosModule
}

// side is a server, which fails over to another on PostgreSQL.
type side struct {
	server, standby *pgtest.Server // server is the primary
	maria           *mariadbserver.Server
	db              database
}

// side returns one by chance.
func (c *chaos) side() *side { return c.sides[c.random.IntN(len(c.sides))] }

func startSide(t *testing.T) *side {
	t.Helper()
	s := &side{}
	var err error
	if s.server, err = pgtest.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.Stop)
	s.db = postgresDatabase(s.server.New(t))
	if s.standby, err = s.server.Standby(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.standby.Stop)
	s.db.DSN = s.db.Either(s.standby)
	return s
}

func startChaos(t *testing.T, sides ...*side) *chaos {
	t.Helper()
	c := &chaos{duration: chaosTime, seed: rand.Uint64(), segments: 4, sides: sides}
	var err error
	if text := os.Getenv("PUPWASM_CHAOS"); text != "" {
		if c.duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("PUPWASM_CHAOS: %v", err)
		}
	}
	if text := os.Getenv("PUPWASM_CHAOS_SEED"); text != "" {
		if c.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("PUPWASM_CHAOS_SEED: %v", err)
		}
	}
	t.Logf("%s of chaos, PUPWASM_CHAOS_SEED=%d makes the same choices", c.duration, c.seed)
	c.random = rand.New(rand.NewPCG(c.seed, 0))
	db := sides[len(sides)-1].db
	c.store = db.open(t).Backend()
	c.fleet = newFleet(t, db, chaosProjections...)
	c.flags = []string{"--watch"}
	c.loadModules()
	if len(sides) > 1 {
		c.fleet.log = []string{"--events", c.sides[0].db.DSN}
	}
	return c
}

// pause lets things happen.
func (c *chaos) pause(d time.Duration) { <-time.After(d) }
