// Package status reports how far projections are and what state their segments are in, for every front end.
package status

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// Report is the status of a log and of its projections, also as JSON.
type Report struct {
	Head          int64        `json:"head"`                       // the last position of the log
	Horizon       int64        `json:"horizon"`                    // projections apply events up to there
	HorizonHolder int          `json:"horizon_holder,omitempty"`   // the process that holds the horizon back
	Prepared      string       `json:"horizon_prepared,omitempty"` // the prepared transaction that does, which has no process
	LogFaults     []LogFault   `json:"log_faults,omitempty"`       // what may make the log lose events, with what fixes it
	Workers       int          `json:"workers"`                    // how many work
	Projections   []Projection `json:"projections"`                // in order of their names and versions
	Outbox        []Outbox     `json:"outbox,omitempty"`           // of projections that send messages, in order of their names

	Hosts []store.Worker `json:"-"` // those that work
}

// Label is what people call a projection of the report: see [Label].
func (r *Report) Label(p *Projection) string {
	return Label(p.ID(), slices.ContainsFunc(r.Projections, func(other Projection) bool {
		return other.Name == p.Name && other.ID() != p.ID()
	}))
}

// Label is what people call a projection: its name, with the version where several are there.
func Label(id store.ProjectionID, several bool) string {
	if several {
		return id.Name + " version " + id.VersionText()
	}
	return id.Name
}

// LogFault is a fault of the log, in JSON one text with its remedy.
type LogFault struct{ store.LogFault }

// MarshalText returns the fault and its remedy.
func (f LogFault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Projection is the status of a projection that is installed, or that a running worker refuses.
type Projection struct {
	Name      string      `json:"name"`
	Version   int         `json:"version"`         // the one installed, or that of a module that was refused
	Build     int         `json:"build,omitempty"` // of the version, see [store.ProjectionID]
	Installed bool        `json:"installed"`       // at some time
	Position  int64       `json:"position"`        // of the segment that is furthest behind
	Stage     store.Stage `json:"stage,omitempty"` // what the version is to readers; none where it is not installed
	Paused    bool        `json:"paused"`          // by somebody
	Parked    int         `json:"parked"`          // how many keys are parked
	// ParkedEvents is how many events wait for parked keys. ParkedExhausted is how many of the keys are not tried again
	// by themselves.
	ParkedEvents    int64 `json:"parked_events"`
	ParkedExhausted int   `json:"parked_exhausted"`

	// Rebuild is the build of the version that somebody has asked for and that no host has begun.
	Rebuild int `json:"rebuild,omitempty"`

	Code        string     `json:"code,omitempty"` // the digest of what ran the version last, where that is known
	InstalledAt *time.Time `json:"installed_at,omitempty"`
	PromotedAt  *time.Time `json:"promoted_at,omitempty"` // when readers saw it first, the last time that they did

	// Rate is how many positions of the log it passes a second, and LeftSeconds how long the rest takes at that speed;
	// none where it is at the head, or that is not known (see [Speeds]).
	Rate        *float64 `json:"positions_per_second,omitempty"`
	LeftSeconds *float64 `json:"left_seconds,omitempty"`

	Segments []Segment `json:"segments"`
	Refused  []Refusal `json:"refused,omitempty"`
}

// ID is the identity of the projection.
func (p *Projection) ID() store.ProjectionID {
	return store.ProjectionID{Name: p.Name, Version: p.Version, Build: p.Build}
}

// Age is for how long the segment that is furthest behind in time has been behind. It is not known where no segment's
// is.
func (p *Projection) Age() (age time.Duration, known bool) {
	for i := range p.Segments {
		if seconds := p.Segments[i].AgeSeconds; seconds != nil {
			age, known = max(age, time.Duration(*seconds*float64(time.Second))), true
		}
	}
	return age, known
}

// Refusal is a module that a running worker refuses.
type Refusal struct {
	Worker  string `json:"worker"`  // its name
	Version int    `json:"version"` // of the module
	Build   int    `json:"build,omitempty"`
	Reason  string `json:"reason"` // one line
}

// VersionText is the version as people read it.
func (r *Refusal) VersionText() string {
	return store.ProjectionID{Version: r.Version, Build: r.Build}.VersionText()
}

// Segment is the status of a segment.
type Segment struct {
	Number     int        `json:"segment"`
	FirstHash  uint32     `json:"first_hash"` // of its range of spread partition hashes
	LastHash   uint32     `json:"last_hash"`
	Position   int64      `json:"position"`    // the checkpoint
	Behind     *int64     `json:"behind"`      // null when the log is another one
	AgeSeconds *float64   `json:"age_seconds"` // null when it is not known
	State      State      `json:"state"`
	Owner      string     `json:"owner,omitempty"`      // the worker that has it
	Failure    string     `json:"failure,omitempty"`    // why it failed
	Trouble    string     `json:"trouble,omitempty"`    // why it makes no progress
	LogFault   string     `json:"log_fault,omitempty"`  // why the checkpoint does not belong to the log
	Epoch      int64      `json:"epoch"`                // of the last claim
	UpdatedAt  *time.Time `json:"updated_at,omitempty"` // when the checkpoint moved last
}

// Read reads the status of all projections of tables, or only of those named, against the log, which one database
// may be both. A projection that is not known is left out. It asks the databases six times, however many projections
// and segments there are, and reads no events.
func Read(ctx context.Context, log store.Log, tables store.Tables, only ...string) (*Report, error) {
	// Checkpoints first: none of them can then be above the head.
	projections, err := tables.Status(ctx, only...)
	if err != nil {
		return nil, err
	}
	workers, err := tables.Workers(ctx)
	if err != nil {
		return nil, err
	}
	var checkpoints []store.Checkpoint
	for i := range projections {
		checkpoints = append(checkpoints, projections[i].Checkpoints()...)
	}
	state, faults, err := store.LocateCheckpoints(ctx, log, checkpoints...)
	if err != nil {
		return nil, err
	}
	report := &Report{
		Head: state.Head, Horizon: state.Position, HorizonHolder: state.Holder, Prepared: state.Prepared,
		Workers: len(workers), Hosts: workers, Projections: []Projection{},
	}
	if report.LogFaults, err = logFaults(ctx, log); err != nil {
		return nil, err
	}
	now, stages := clock.Now(), store.Stages(projections)
	for at := 0; len(projections) > 0; projections = projections[1:] {
		end := at + len(projections[0].Segments)
		report.Projections = append(report.Projections,
			reportProjection(&projections[0], state.Head, faults[at:end], state.Next[at:end], now))
		report.Projections[len(report.Projections)-1].Stage = stages[projections[0].ProjectionID]
		at = end
	}
	report.addTroubles(workers)
	report.addRefusals(workers, only)
	outbox, err := tables.OutboxStatus(ctx, only...)
	if err != nil {
		return nil, err
	}
	for i := range outbox {
		report.Outbox = append(report.Outbox, ReportOutbox(&outbox[i], now))
	}
	return report, nil
}

// reportProjection reports a projection. Of each segment it takes the fault of its checkpoint, and when the event
// behind the checkpoint was created.
func reportProjection(of *store.ProjectionStatus, head int64, faults []error, next []time.Time, now time.Time) Projection {
	p := Projection{
		Name: of.Name, Version: of.Version, Build: of.Build, Rebuild: of.Rebuild, Installed: true, Position: head, Paused: of.Paused(),
		Parked: of.Parked, ParkedEvents: of.ParkedEvents, ParkedExhausted: of.ParkedExhausted,
		Code: of.Code, InstalledAt: timeOrNil(of.InstalledAt), PromotedAt: timeOrNil(of.PromotedAt),
		Segments: make([]Segment, len(of.Segments)),
	}
	for i := range of.Segments {
		p.Segments[i] = reportSegment(of, &of.Segments[i], head, faults[i])
		if s := &p.Segments[i]; s.Behind != nil {
			s.AgeSeconds = age(&of.Segments[i], *s.Behind, next[i], now)
		}
		p.Position = min(p.Position, p.Segments[i].Position)
	}
	return p
}

func timeOrNil(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// addTroubles adds why segments make no progress. Their owner releases them between two tries.
func (r *Report) addTroubles(workers []store.Worker) {
	for i := range workers {
		for _, trouble := range workers[i].Troubles {
			at := r.find(trouble.Projection)
			if at < 0 {
				continue
			}
			for j := range r.Projections[at].Segments {
				s := &r.Projections[at].Segments[j]
				if s.Number == trouble.Segment && (s.State == Waiting || s.State == Running && s.Owner == workers[i].Name) {
					s.State, s.Owner, s.Trouble = Stalled, workers[i].Name, trouble.Reason
				}
			}
		}
	}
}

// find returns where a projection is in the report, or -1.
func (r *Report) find(id store.ProjectionID) int {
	return slices.IndexFunc(r.Projections, func(p Projection) bool { return p.ID() == id })
}

// addRefusals adds the modules that workers refuse, also of projections that were never installed. What is refused in a
// version that is not installed is told with another one that is.
func (r *Report) addRefusals(workers []store.Worker, only []string) {
	run := map[store.ProjectionID]bool{}
	for i := range workers {
		for _, member := range workers[i].Projections {
			run[member.ProjectionID] = true
		}
		for _, refusal := range workers[i].Refused {
			if len(only) > 0 && !slices.Contains(only, refusal.Projection.Name) {
				continue
			}
			at := r.find(refusal.Projection)
			if at < 0 {
				at = slices.IndexFunc(r.Projections, func(p Projection) bool { return p.Name == refusal.Projection.Name })
			}
			if at < 0 {
				at = len(r.Projections)
				r.Projections = append(r.Projections, Projection{
					Name: refusal.Projection.Name, Version: refusal.Projection.Version, Build: refusal.Projection.Build, Segments: []Segment{},
				})
			}
			r.Projections[at].Refused = append(r.Projections[at].Refused, Refusal{
				Worker: workers[i].Name, Version: refusal.Projection.Version, Build: refusal.Projection.Build, Reason: refusal.Reason,
			})
		}
	}
	for i := range r.Projections {
		p := &r.Projections[i]
		for i := range p.Segments {
			if s := &p.Segments[i]; s.State == Waiting && len(p.Refused) > 0 && !run[p.ID()] {
				s.State = Refused
			}
		}
	}
	slices.SortFunc(r.Projections, func(a, b Projection) int { return store.CompareProjectionIDs(a.ID(), b.ID()) })
}

// logFaults returns what a check of the log finds.
func logFaults(ctx context.Context, log store.Log) (faults []LogFault, err error) {
	err = log.CheckLog(ctx)
	var unsafe *store.UnsafeLogError
	if !errors.As(err, &unsafe) {
		return nil, err
	}
	for _, fault := range unsafe.Faults {
		faults = append(faults, LogFault{fault})
	}
	return faults, nil
}

func reportSegment(p *store.ProjectionStatus, s *store.SegmentStatus, head int64, fault error) Segment {
	report := Segment{
		Number: s.Segment, FirstHash: s.Range.First, LastHash: s.Range.Last, Position: s.Position,
		State: StateOf(p, s), Owner: s.Owner, Failure: s.Failure, Epoch: s.Epoch,
	}
	if !s.UpdatedAt.IsZero() {
		report.UpdatedAt = &s.UpdatedAt
	}
	if fault != nil {
		report.State, report.LogFault = OtherLog, fault.Error()
		return report
	}
	behind := max(head-s.Position, 0)
	report.Behind = &behind
	return report
}

// State is what a segment is doing.
type State string

// The states of a segment.
const (
	Running   State = "running"   // a worker has it
	Waiting   State = "waiting"   // no worker has it
	Refused   State = "refused"   // no worker has it, and none can run the projection
	Stalled   State = "stalled"   // a worker tries it again and again
	Abandoned State = "abandoned" // its worker's lease has ended
	Paused    State = "paused"    // no worker has it, since the projection is paused
	Merging   State = "merging"   // it waits for the segments that it is merged with
	Held      State = "held"      // it stands at a position for a moment, while versions are compared
	Failed    State = "failed"    // it continues after Recover, or when the projection is installed again
	OtherLog  State = "other log" // its rows were built from another log
)

// States are all states of a segment.
var States = []State{Running, Waiting, Refused, Stalled, Abandoned, Paused, Merging, Held, Failed, OtherLog}

// Label is the state as a label of metrics, in one word.
func (s State) Label() string { return strings.ReplaceAll(string(s), " ", "_") }

// StateOf returns what the rows of a segment and its projection say about its state. [Refused], [Stalled] and
// [OtherLog] need more and come from [Read].
func StateOf(p *store.ProjectionStatus, s *store.SegmentStatus) State {
	switch {
	case s.Failure != "":
		return Failed
	case s.Waits() && s.Merge.Held():
		return Held
	case s.Waits():
		return Merging
	case p.Paused() && !s.Live:
		return Paused
	case s.Owner == "":
		return Waiting
	case s.Live:
		return Running
	}
	return Abandoned
}

// age returns for how many seconds the segment has been behind, or nil when that is not known: for as long as there is
// an event to apply. The time of the append is not stored: it is after the event was created, in most cases, and after
// the segment was last at the end of the log.
func age(s *store.SegmentStatus, behind int64, created, now time.Time) *float64 {
	if behind == 0 {
		return new(float64)
	}
	if created.IsZero() {
		return nil
	}
	since := s.BehindSince
	if since.IsZero() {
		since = s.UpdatedAt // it was at the end then, or made
	}
	if created.After(since) {
		since = created
	}
	seconds := max(now.Sub(since).Seconds(), 0)
	return &seconds
}
