package pipeline

import (
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// commitGroup is what becomes one commit: one batch or several in a row, folded.
type commitGroup struct {
	pipeline *Pipeline
	folder   *store.Folder
	tx       store.Tx // begun already, for a transactional program

	filled      bool
	batches     int
	events      int
	first, last int64 // positions of its events
	parking     parking
	lastEvent   store.UUID
	messages    []store.Message
	messageSize int       // bytes of messages
	through     int64     // where the checkpoint goes
	reaches     bool      // up to the horizon as it was known when they were read: nothing waits behind
	since       time.Time // when it was begun
	before      time.Time // when the group before it was submitted
	held        int       // of the memory budget

	read, applied Stage
	traces        []store.TraceParent
}

func newCommitGroup(p *Pipeline) *commitGroup {
	g := &commitGroup{pipeline: p, folder: store.NewFolder(p.Projection)}
	if p.keys != nil {
		g.folder.Follow(p.keys)
	}
	return g
}

// add folds what came of a batch, which goes on where the one before it ended, and notes the events of it that
// were withheld. It may have no events: then only the checkpoint moves.
func (g *commitGroup) add(b batch, output store.Output, passed parking) {
	if !g.filled {
		g.filled, g.since = true, clock.Now()
	}
	if len(b.events) > 0 {
		if g.batches == 0 {
			g.first = b.events[0].Position
		}
		last := &b.events[len(b.events)-1]
		g.last, g.lastEvent = last.Position, last.ID
		g.batches++
		g.events += len(b.events)
	}
	g.through = b.through
	g.parking.parked = append(g.parking.parked, passed.parked...)
	g.parking.noted = append(g.parking.noted, passed.noted...)
	g.parking.skipped = append(g.parking.skipped, passed.skipped...)
	g.folder.Add(output.Mutations)
	g.send(output.Messages)
	g.hold(g.bytes())
	g.traces = AppendTraces(g.traces, b.events, g.pipeline.Traces)
}

// send adds the messages of a batch.
func (g *commitGroup) send(messages []store.Message) {
	g.messages = append(g.messages, messages...)
	for i := range messages {
		g.messageSize += messages[i].Size()
	}
}

// bytes is about how much memory the group takes.
func (g *commitGroup) bytes() int { return g.folder.Bytes() + g.messageSize }

// AppendTraces appends the spans that caused events, each once, until there are as many as somebody wants to know.
func AppendTraces(traces []store.TraceParent, events []store.RecordedEvent, most int) []store.TraceParent {
	for i := 0; i < len(events) && len(traces) < most; i++ {
		if parent, valid := events[i].TraceParent(); valid && !slices.Contains(traces, parent) {
			traces = append(traces, parent)
		}
	}
	return traces
}

// hold counts so many bytes in the memory budget.
func (g *commitGroup) hold(bytes int) {
	g.pipeline.shared.Memory.Add(bytes - g.held)
	g.held = bytes
}

func (g *commitGroup) reset() {
	g.hold(0)
	if g.reaches && g.bytes() > restingBytesMax {
		*g = *newCommitGroup(g.pipeline)
		return
	}
	g.folder.Reset()
	clear(g.messages) // what they have is not to be kept
	*g = commitGroup{pipeline: g.pipeline, folder: g.folder, messages: g.messages[:0]}
}

// full reports that no further batch may be added.
func (g *commitGroup) full() bool {
	p := g.pipeline
	alone := p.Transactional || p.options.BatchPause > 0 || g.through <= p.IsolateThrough
	bounds := p.bounds()
	return g.filled && alone || g.events > 0 && g.events+p.options.BatchEvents > bounds.events ||
		g.parking.events() >= p.options.CommitEvents ||
		g.folder.Rows()+len(g.messages) >= bounds.rows || g.bytes() >= groupBytesMax ||
		g.bytes() >= groupBytesScarce && p.shared.Memory.Scarce()
}

// due reports that the group should be committed as soon as may be.
func (g *commitGroup) due() bool {
	return g.filled && (g.reaches && !g.mayLag() || g.full() || g.left() <= 0)
}

// mayLag reports that the group only moves a checkpoint, for which nobody waits.
//
// Each event at the horizon passes all segments and concerns one: if each of them committed at once that it has
// passed, their transactions would compete with the one that matters, and make its event wait. A checkpoint
// that is behind is always right. It goes along with the next batch that has events, or by itself soon.
func (g *commitGroup) mayLag() bool {
	p := g.pipeline
	return g.events == 0 && p.Claim.MergeAt == 0 && !p.options.Once
}

// left is how long the group may wait for more.
func (g *commitGroup) left() time.Duration {
	now := clock.Now()
	if !g.mayLag() {
		return g.pipeline.bounds().age - now.Sub(g.since)
	}
	return max(lagMin-now.Sub(g.since), lagMax-now.Sub(g.before))
}
