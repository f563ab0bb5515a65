package cases

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/internal/plainfile"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/internal/trial"
)

// bounds are those of a file of cases.
var bounds = settings.Bounds{Bytes: 16 << 20, Depth: 64}

// Patterns are the names of files of cases.
var Patterns = []string{"*.yaml", "*.yml", "*.jsonl"}

// Find returns the files of cases in a folder, in order. A folder that is not there has none.
//
// # Errors
//
// Those of reading the folder.
func Find(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var files []string
	for _, entry := range entries {
		if matches := slices.ContainsFunc(Patterns, func(pattern string) bool {
			match, _ := filepath.Match(pattern, entry.Name())
			return match
		}); matches && !entry.IsDir() {
			files = append(files, filepath.Join(folder, entry.Name()))
		}
	}
	return files, err
}

// Read reads a file of cases.
//
// # Errors
//
// [settings.Faults], which have all mistakes of the file, also for a file that cannot be read.
func Read(path string) ([]*Case, error) {
	text, err := plainfile.Read(path, int64(bounds.Bytes))
	if err != nil {
		return nil, settings.Faults{settings.Place{File: path}.Fault("cannot be read: %s", reasonOf(err))}
	}
	return parse(path, text)
}

// parse reads the text of a file of cases.
func parse(path string, text []byte) ([]*Case, error) {
	r := &reader{path: path, digest: sha256.Sum256(text)}
	if strings.HasSuffix(path, ".jsonl") {
		r.lines(text)
	} else {
		r.document(text)
	}
	if len(r.faults) > 0 {
		return nil, r.faults.Sorted()
	}
	if len(r.cases) == 0 {
		return nil, settings.Faults{settings.Place{File: path}.Fault("has no cases")}
	}
	return r.cases, nil
}

// reader reads one file.
type reader struct {
	path   string
	digest [sha256.Size]byte
	cases  []*Case
	names  map[string]int // lines of cases
	faults settings.Faults
}

func (r *reader) fail(place settings.Place, format string, args ...any) {
	r.faults = append(r.faults, place.Fault(format, args...))
}

// document reads YAML: members "defaults", which all events have, and "cases".
func (r *reader) document(text []byte) {
	top, err := settings.ParseWithin(r.path, text, bounds)
	if err != nil {
		r.faults = faultsOf(r.path, err)
		return
	}
	var defaults *settings.Map
	for i := range top.Members {
		switch m := &top.Members[i]; {
		case m.Name == "defaults" && m.Kind == settings.Section:
			defaults = m.Map
		case m.Name == "cases" && m.Kind == settings.List:
		case m.Name == "defaults":
			r.fail(m.Value, "defaults must be a section with members of events, it is %s", m.Shown())
		case m.Name == "cases":
			r.fail(m.Value, "cases must be a list, it is %s", m.Shown())
		default:
			r.unknown(m, "defaults", "cases")
		}
	}
	for i := range top.Members {
		if m := &top.Members[i]; m.Name == "cases" {
			for n := range m.List {
				r.add(&m.List[n], defaults)
			}
		}
	}
}

// caseMembers are the members of a case.
var caseMembers = []string{"name", "given", "when", "then"}

// add reads a case.
func (r *reader) add(m *settings.Member, defaults *settings.Map) {
	if m.Kind != settings.Section {
		r.fail(m.Value, "a case must have members such as \"name: value\", it is %s", m.Shown())
		return
	}
	c, before := &Case{Place: m.Value, members: m.Map.Members, digest: r.digest}, len(r.faults)
	members := map[string]*settings.Member{}
	for i := range m.Map.Members {
		member := &m.Map.Members[i]
		if !slices.Contains(caseMembers, member.Name) {
			r.unknown(member, caseMembers...)
		}
		members[member.Name] = member
	}
	r.name(c, members["name"])
	events := &events{reader: r, defaults: defaults, log: &trial.Recorder{}}
	events.read(members["given"])
	c.Given = len(events.all)
	events.read(members["when"])
	c.Events = events.all
	if len(c.Events) == c.Given && len(r.faults) == before {
		r.fail(c.Place, "case %s has no events in \"when\"", settings.Show(c.Name))
	}
	if then := members["then"]; then != nil && then.Kind != settings.Empty {
		c.Then = r.then(then, len(c.Events)-c.Given)
	}
	r.cases = append(r.cases, c)
}

func (r *reader) name(c *Case, m *settings.Member) {
	switch {
	case m == nil || m.Kind != settings.Scalar || strings.TrimSpace(m.Text) == "":
		r.fail(c.Place, "the case has no name")
		return
	case r.names == nil:
		r.names = map[string]int{}
	}
	c.Name = m.Text
	if first, again := r.names[c.Name]; again {
		r.fail(m.Value, "there is a case %s in line %d", settings.Show(c.Name), first)
	}
	r.names[c.Name] = c.Place.Line
}

// then reads what must come of so many events of "when".
func (r *reader) then(m *settings.Member, when int) *Then {
	then := &Then{}
	if m.Kind != settings.Section {
		r.fail(m.Value, "then must have the members rows, messages or fault, it is %s", m.Shown())
		return then
	}
	for i := range m.Map.Members {
		switch member := &m.Map.Members[i]; member.Name {
		case "rows":
			r.rows(then, member)
		case "messages":
			r.messages(then, member)
		case "fault":
			r.fault(then, member, when)
		default:
			r.unknown(member, "rows", "messages", "fault")
		}
	}
	return then
}

func (r *reader) rows(then *Then, m *settings.Member) {
	if m.Kind != settings.Section {
		r.fail(m.Value, "rows must have a list of rows for each table, it is %s", m.Shown())
		return
	}
	for i := range m.Map.Members {
		of := &m.Map.Members[i]
		table := Table{Place: of.Place, Name: of.Name}
		if of.Kind != settings.List {
			r.fail(of.Value, "the rows of %s must be a list ([] for none), it is %s", settings.Show(of.Name), of.Shown())
		}
		for n := range of.List {
			row := &of.List[n]
			if row.Kind != settings.Section {
				r.fail(row.Value, "a row must be columns with values, such as {id: a, total: 3}, it is %s", row.Shown())
				continue
			}
			table.Rows = append(table.Rows, Row{Place: row.Value, Members: row.Map.Members})
		}
		then.Tables = append(then.Tables, table)
	}
}

// fault reads a part of the error, or the members event and error, or a list of such.
func (r *reader) fault(then *Then, m *settings.Member, when int) {
	f := Fault{Place: m.Value}
	switch m.Kind {
	case settings.List:
		for i := range m.List {
			r.fault(then, &m.List[i], when)
		}
		return
	case settings.Scalar:
		f.Error = m.Text
	case settings.Section:
		for i := range m.Map.Members {
			switch member := &m.Map.Members[i]; member.Name {
			case "error":
				f.Error = member.Text
			case "event":
				n, err := strconv.Atoi(member.Text)
				if err != nil || n < 1 || n > when {
					r.fail(member.Value, "event must be the number of an event in \"when\", from 1 to %d, it is %s", when, member.Shown())
				}
				f.Event = n
			default:
				r.unknown(member, "event", "error")
			}
		}
	default:
		r.fail(m.Value, "fault must be a part of the error, it is %s", m.Shown())
	}
	then.Faults = append(then.Faults, f)
}

// unknown is the fault of a member that nobody knows.
func (r *reader) unknown(m *settings.Member, known ...string) {
	r.fail(m.Place, "%s is not known here: there may be %s%s", settings.Show(m.Name), strings.Join(known, ", "),
		settings.DidYouMean(m.Name, known))
}

// faultsOf makes an error of reading the faults of a file.
func faultsOf(path string, err error) settings.Faults {
	if faults, is := err.(settings.Faults); is { //nolint:errorlint // it is never wrapped
		return faults
	}
	return settings.Faults{settings.Place{File: path}.Fault("%s", fmt.Sprint(err))}
}
