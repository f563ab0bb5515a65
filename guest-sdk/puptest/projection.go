package puptest

import (
	"slices"
	"strings"
	"sync"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/internal/entry"
	"github.com/pupwasm/pupwasm/guest-sdk/internal/host"
)

// Projection runs the registered projection against tables in memory. Tests may run in parallel, each with its own.
type Projection struct {
	t           testing.TB
	handle      func(block []byte) []byte
	description *description
	tables      *tables
	log         log
	texts       encoding
	answers     map[string]func(args []any) [][]any
	mutations   []mutation
	sent        []message // in the order in which batches were applied
	running     *batch    // what the guest is handling
	logged      []string
}

// guest is held while a guest runs: there is one, as in a module.
var guest sync.Mutex

// New returns the projection that the package under test has registered, with empty tables. It fails the test
// when there is none, or when a host would refuse its description.
func New(t testing.TB) *Projection {
	t.Helper()
	if entry.Describe == nil {
		t.Fatal("no projection is registered: pup.Register is called from an init function")
	}
	guest.Lock()
	d, err := parseDescription(entry.Describe())
	guest.Unlock()
	if err == nil {
		err = d.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	return newProjection(t, d)
}

func newProjection(t testing.TB, d *description) *Projection {
	return &Projection{
		t: t, handle: entry.Apply, description: d, tables: newTables(d),
		log: log{versions: map[stream]int64{}}, answers: map[string]func([]any) [][]any{},
	}
}

// Apply hands the events that the projection subscribes to over as one batch, and applies its mutations. It
// fails the test when the projection returns an error or a database would.
func (p *Projection) Apply(events ...Event) {
	p.t.Helper()
	p.commit(p.begin(p.subscribed(events)))
}

// ApplyEach hands events to the projection in batches of a size.
func (p *Projection) ApplyEach(size int, events ...Event) {
	p.t.Helper()
	for batch := range slices.Chunk(events, size) {
		p.Apply(batch...)
	}
}

// ApplyError hands events to the projection as one batch, which must fail, and returns the error.
// Nothing is applied. The event of the error is its index among those that the projection is subscribed to.
func (p *Projection) ApplyError(events ...Event) *pup.Error {
	p.t.Helper()
	_, problem := p.run(p.subscribed(events))
	p.mutations = nil
	if problem == nil {
		p.t.Fatal("the projection returned no error")
	}
	return problem
}

// Answer sets what a SQL query returns: rows of values, which are nil, bool, int64, float64, string, []byte,
// json.RawMessage, []any for arrays, or a type of this package. The arguments have the same types.
func (p *Projection) Answer(query string, answer func(args []any) [][]any) { p.answers[query] = answer }

// Mutations returns what the last batch changed and sent, in order, as lines of event index, write or message, and
// values:
//
//	0 count user_id=u1 events=1
func (p *Projection) Mutations() []string {
	lines := make([]string, len(p.mutations))
	for i := range p.mutations {
		lines[i] = p.mutations[i].format(p.description)
	}
	return lines
}

// Logged returns the lines that were logged, each with its level in front: "info: …".
func (p *Projection) Logged() []string { return p.logged }

// Rows returns the rows of a table, sorted by key, as lines of column=value. Text has quotes if it contains
// other than plain characters; NULL is null.
func (p *Projection) Rows(table string) []string {
	p.t.Helper()
	stored, ok := p.tables.rows[table]
	if !ok {
		p.t.Fatalf("the projection has no table %q", table)
	}
	return stored.formatted()
}

// WantRows fails the test when the rows of a table are not these, in order of the key.
func (p *Projection) WantRows(table string, want ...string) {
	p.t.Helper()
	p.want("rows of "+table, p.Rows(table), want)
}

// WantMutations fails the test when the last batch did not change exactly this, in order.
func (p *Projection) WantMutations(want ...string) {
	p.t.Helper()
	p.want("mutations", p.Mutations(), want)
}

func (p *Projection) want(what string, got, want []string) {
	p.t.Helper()
	if !slices.Equal(got, want) {
		p.t.Errorf("%s are\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// batch is some events and what the projection makes of them.
type batch struct {
	events    []event
	mutations []mutation
	messages  []message
}

// run hands events to the projection and returns its mutations, which are not applied yet, or its error.
func (p *Projection) run(events []event) (*batch, *pup.Error) {
	p.t.Helper()
	b := &batch{events: events}
	if len(events) == 0 {
		return b, nil
	}
	for i := range events {
		if err := events[i].keyFault; err != nil {
			p.t.Fatal(events[i].fault(err.Error()))
		}
	}
	p.running = b
	mutations, problem, err := decodeReply(p.description, p.call(p.layOut(events)), events)
	if err == nil {
		b.mutations = mutations
		b.messages, err = p.description.messages(mutations, events)
	}
	if err != nil {
		p.t.Fatalf("the reply is wrong: %v", err)
	}
	return b, problem
}

// begin is run for events that the projection must take.
func (p *Projection) begin(events []event) *batch {
	p.t.Helper()
	b, problem := p.run(events)
	if problem != nil {
		p.t.Fatalf("the projection returned an error at event %d, code %d: %s", problem.Event, problem.Code, problem.Message)
	}
	return b
}

// commit applies the mutations of a batch, and sends its messages.
func (p *Projection) commit(b *batch) {
	p.t.Helper()
	p.mutations = b.mutations
	p.sent = append(p.sent, b.messages...)
	for i := range b.mutations {
		if err := p.tables.apply(&b.mutations[i]); err != nil {
			p.t.Fatal(err)
		}
	}
}

// subscribed gives events their places in the log and returns those that the projection is subscribed to.
func (p *Projection) subscribed(events []Event) []event {
	p.t.Helper()
	var wanted []event
	for _, given := range events {
		e, err := p.log.complete(given)
		if err != nil {
			p.t.Fatal(err)
		}
		if p.description.wants(&e.Event) {
			p.description.setKey(&e)
			wanted = append(wanted, e)
		}
	}
	return wanted
}

func (p *Projection) layOut(events []event) []byte {
	p.t.Helper()
	block, err := encodeBatch(events, p.description.Columns, p.texts)
	if err != nil {
		p.t.Fatal(err)
	}
	return block
}

// call enters the guest and returns a copy of its reply. It fails the test when the projection has used
// goroutines to write rows, or has left some behind: in a guest, what they do is lost.
func (p *Projection) call(block []byte) []byte {
	p.t.Helper()
	guest.Lock()
	defer guest.Unlock()
	defer p.connect()()
	var reply []byte
	if problem := inOneGoroutine(func() { reply = slices.Clone(p.handle(block)) }); problem != "" {
		p.t.Fatal(problem)
	}
	clear(block) // what the projection kept of the batch is garbage from now on, as it is in a guest
	return reply
}

// connect makes p the host of the guest, until the returned function is called.
func (p *Projection) connect() (disconnect func()) {
	levels := []string{"debug", "info", "warn", "error"}
	host.OnLog = func(level uint32, line string) {
		p.logged = append(p.logged, levels[min(int(level), 3)]+": "+strings.Clone(line))
	}
	host.OnQuery = p.answer
	return func() { host.OnLog, host.OnQuery = nil, nil }
}

// prepare lays events out as one batch, which is handled again and again.
func (p *Projection) prepare(events []Event) []byte {
	p.t.Helper()
	p.running = &batch{events: p.subscribed(events)}
	return p.layOut(p.running.events)
}
