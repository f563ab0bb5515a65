package cases

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/pupwasm/pupwasm/internal/plainfile"
	"github.com/pupwasm/pupwasm/internal/settings"
)

// Updatable reports that an update writes what came of the case: it fails, all runs gave the same, and no given event
// failed, which "then" has no words for.
func (r *Result) Updatable() bool {
	return !r.Passed() && r.same && !slices.ContainsFunc(r.first.faults, func(f fault) bool { return f.at < r.Case.Given })
}

// Update writes what came of cases that are updatable into their file, in the place of "then". The rest of the file stays
// as it is, to the byte. A table that had rows keeps the columns that these named. It returns how many cases it has
// written. Before it writes the file, it reads the new text and checks that no other case has changed.
//
// # Errors
//
// Those of the file, one for a file that has changed since [Read]; those of cases that are written in a way that cannot be
// updated, while others are.
func Update(path string, results []*Result) (updated int, err error) {
	results = slices.DeleteFunc(slices.Clone(results), func(r *Result) bool { return !r.Updatable() })
	if len(results) == 0 {
		return 0, nil
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0, err
	}
	text, err := plainfile.Read(target, int64(bounds.Bytes))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	digest := sha256.Sum256(text)
	if slices.ContainsFunc(results, func(r *Result) bool { return r.Case.digest != digest }) {
		return 0, fmt.Errorf("%s: the file has changed since its cases were read: run the update again", path)
	}
	u := &update{path: path, text: string(text)}
	if u.before, err = parse(path, text); err != nil {
		return 0, err
	}
	edits, errs := u.edits(results)
	if !u.safe(edits) {
		edits, errs = u.safeOnes(edits, errs)
	}
	if len(edits) == 0 {
		return 0, errors.Join(errs...)
	}
	if err := replaceFile(target, []byte(u.apply(edits))); err != nil {
		return 0, err
	}
	return len(edits), errors.Join(errs...)
}

// update is one update of a file.
type update struct {
	path   string
	text   string
	before []*Case
}

// edit puts text in the place of bytes of the file.
type edit struct {
	result   *Result
	from, to int
	text     string
}

// edits are those of the cases that can be updated, from the start of the file, and the errors of the others.
func (u *update) edits(results []*Result) (all []edit, errs []error) {
	var l *layout // nil for JSON lines
	if !strings.HasSuffix(u.path, ".jsonl") {
		l = layoutOf(u.text)
	}
	for _, r := range results {
		var e edit
		var err error
		if l == nil {
			e, err = r.line(u.text)
		} else {
			e, err = r.block(l)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Case.Place, err))
			continue
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b edit) int { return a.from - b.from })
	return all, errs
}

// apply is the text after edits.
func (u *update) apply(edits []edit) string {
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(u.text[at:max(e.from, at)])
		b.WriteString(e.text)
		at = max(e.to, at)
	}
	b.WriteString(u.text[at:])
	return b.String()
}

// safeOnes are the edits that are safe one after the other.
func (u *update) safeOnes(edits []edit, errs []error) (safe []edit, all []error) {
	for _, e := range edits {
		if with := append(slices.Clone(safe), e); u.safe(with) {
			safe = with
		} else {
			errs = append(errs, fmt.Errorf("%s: %w", e.result.Case.Place, errUnsafe))
		}
	}
	return safe, errs
}

// safe reports that the text after edits has the same cases, which say the same except for those that were edited; these
// say what came of them.
func (u *update) safe(edits []edit) bool {
	text := u.apply(edits)
	if len(text) > bounds.Bytes {
		return false
	}
	after, err := parse(u.path, []byte(text))
	if err != nil || len(after) != len(u.before) {
		return false
	}
	edited := map[string]*Result{}
	for _, e := range edits {
		edited[e.result.Case.Name] = e.result
	}
	for i, is := range after {
		was := u.before[i]
		if !sameEvents(was, is) {
			return false
		}
		want, of := said(was.Then), edited[is.Name]
		if of != nil {
			if want = of.said(); want == "" || !sameEvents(of.Case, is) {
				return false
			}
		}
		if said(is.Then) != want {
			return false
		}
	}
	return true
}

// sameEvents reports that two cases have the same name and events.
func sameEvents(a, b *Case) bool {
	return a.Name == b.Name && a.Given == b.Given && reflect.DeepEqual(a.Events, b.Events)
}

// said is what must come of a case, without places, and however it was written.
func said(t *Then) string {
	if t == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("then")
	for _, table := range t.Tables {
		fmt.Fprintf(&b, " %q", table.Name)
		for _, row := range table.Rows {
			b.Write(appendJSON(nil, &settings.Member{Kind: settings.Section, Map: &settings.Map{Members: row.Members}}))
		}
	}
	if t.Messages != nil {
		b.WriteString(" messages")
		for _, m := range t.Messages.All {
			b.Write(appendJSON(nil, &settings.Member{Kind: settings.Section, Map: &settings.Map{Members: m.Members}}))
		}
	}
	for _, f := range t.Faults {
		fmt.Fprintf(&b, " %d %q", f.Event, f.Error)
	}
	return b.String()
}

// said is what an update makes the case say; "" where it has no words for it.
func (r *Result) said() string {
	m, err := memberOf(r.Case.Place, []byte(r.json()))
	if err != nil {
		return ""
	}
	reader := &reader{}
	then := reader.then(&m, len(r.Case.Events)-r.Case.Given)
	if len(reader.faults) > 0 {
		return ""
	}
	return said(then)
}

// block replaces "then" in YAML, or adds it at the end of the case.
func (r *Result) block(l *layout) (edit, error) {
	from, to, err := l.then(r.Case)
	if err != nil {
		return edit{}, err
	}
	indent := strings.Repeat(" ", r.Case.Place.Column-1)
	text := r.yaml(indent)
	if from < to { // its first line is there up to the name
		text = strings.TrimPrefix(text, indent)
	} else if !slices.Contains(l.lines, from) {
		text = "\n" + text
	}
	if begin := l.offset(r.Case.Place); strings.HasSuffix(l.text[begin:l.next(begin)], "\r\n") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return edit{result: r, from: from, to: to, text: text}, nil
}

// line replaces "then" in a JSON line, or adds it.
func (r *Result) line(file string) (edit, error) {
	begin, number := 0, 1
	for line := range strings.Lines(file) {
		if number == r.Case.Place.Line {
			break
		}
		begin, number = begin+len(line), number+1
	}
	line, _, _ := strings.Cut(file[begin:], "\n")
	line = strings.TrimRightFunc(line, unicode.IsSpace)
	begin += len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
	text := []byte(strings.TrimLeftFunc(line, unicode.IsSpace))
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return edit{}, err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return edit{}, err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return edit{}, err
		}
		if to := begin + int(decoder.InputOffset()); name == "then" {
			return edit{result: r, from: to - len(raw), to: to, text: r.json()}, nil
		}
	}
	end := begin + len(text) - 1 // the brace
	return edit{result: r, from: end, to: end, text: `, "then": ` + r.json()}, nil
}

// replaceFile writes a file that is complete when it appears.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if err := errors.Join(err, file.Chmod(info.Mode().Perm()), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
