package doctor

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// hosts looks at whether they agree, and share the work.
func (e *examiner) hosts() {
	before := len(e.findings)
	e.versions()
	e.division()
	e.shares()
	if len(e.findings) == before && len(e.report.Hosts) > 0 {
		e.ok("hosts", "%s at work", oneline.Count(int64(len(e.report.Hosts)), "host"))
	}
}

// versions tells of hosts that run different versions of a projection. Several may run beside each other, on the same
// hosts.
func (e *examiner) versions() {
	run := map[string]map[int][]string{}
	for i := range e.report.Hosts {
		for _, id := range e.report.Hosts[i].Projections {
			if run[id.Name] == nil {
				run[id.Name] = map[int][]string{}
			}
			if host := e.report.Hosts[i].Name; !slices.Contains(run[id.Name][id.Version], host) { // which may run several builds
				run[id.Name][id.Version] = append(run[id.Name][id.Version], host)
			}
		}
	}
	for _, name := range sorted(run) {
		versions, text := sorted(run[name]), ""
		first := run[name][versions[0]]
		if !slices.ContainsFunc(versions, func(v int) bool { return !slices.Equal(run[name][v], first) }) {
			continue
		}
		for _, version := range versions {
			text += fmt.Sprintf("; version %d runs on %s", version, names(run[name][version]))
		}
		e.add(store.SeverityWarning, "hosts disagree", "about "+name+": "+text[2:], "give all hosts the same modules")
	}
}

// division tells of projections for which hosts ask for different numbers of segments: then they are not divided again.
func (e *examiner) division() {
	disputed := map[string][]string{} // projections by who asks for what
	for i := range e.report.Projections {
		p := &e.report.Projections[i]
		asked := map[int][]string{}
		for w := range e.report.Hosts {
			if n := e.report.Hosts[w].Asks(p.ID()); n != 0 {
				asked[n] = append(asked[n], e.report.Hosts[w].Name)
			}
		}
		if len(asked) < 2 {
			continue
		}
		text := ""
		for _, n := range sorted(asked) {
			text += "; " + strconv.Itoa(n) + " by " + names(asked[n])
		}
		disputed[text[2:]] = append(disputed[text[2:]], e.report.Label(p))
	}
	for _, text := range sorted(disputed) {
		e.add(store.SeverityWarning, "hosts disagree", "about the number of segments of "+names(disputed[text])+": "+text,
			"start all hosts with the same --segments, and the same segments in NAME.yaml: until then it stays divided as it is")
	}
}

// shares tells of projections whose segments are not shared evenly by the hosts that run them.
func (e *examiner) shares() {
	for i := range e.report.Projections {
		p := &e.report.Projections[i]
		have, owned := map[string]int{}, 0
		for w := range e.report.Hosts {
			if e.report.Hosts[w].Runs(p.ID()) {
				have[e.report.Hosts[w].Name] = 0
			}
		}
		for s := range p.Segments {
			if owner := p.Segments[s].Owner; owner != "" {
				have[owner]++
				owned++
			}
		}
		if len(have) < 2 || owned == 0 {
			continue
		}
		least, most := owned, 0
		for _, n := range have {
			least, most = min(least, n), max(most, n)
		}
		if most-least > 1 {
			e.add(store.SeverityWarning, "uneven", fmt.Sprintf("of %d segments of %s one host has %d and another %d",
				len(p.Segments), e.report.Label(p), most, least),
				"wait some seconds: hosts share segments by themselves; if it stays, look at the log of the host with more")
		}
	}
}

// sorted are the keys of a map in order.
func sorted[K int | string, V any](of map[K]V) []K {
	keys := make([]K, 0, len(of))
	for k := range of {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
