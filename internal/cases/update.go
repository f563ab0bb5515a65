package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/store"
)

// Update writes what came of cases that do not pass into their file, in the place of "then". The rest of the file stays
// as it is, to the byte. A table that had rows keeps the columns that these named. A case whose rows depend on more than
// the events is left as it is. It returns how many cases it has written.
//
// # Errors
//
// Those of the file; one for a case that is written within braces.
func Update(path string, results []*Result) (updated int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	lines := strings.SplitAfter(string(text), "\n")
	// From the end, so that the lines of the others stay where they are.
	for _, r := range slices.Backward(results) {
		if r.Passed() || !r.same {
			continue
		}
		if strings.HasSuffix(path, ".jsonl") {
			lines[r.Case.Place.Line-1], err = r.line(lines[r.Case.Place.Line-1])
		} else {
			lines, err = r.block(lines)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", r.Case.Place, err)
		}
		updated++
	}
	if updated == 0 {
		return 0, nil
	}
	return updated, replaceFile(path, []byte(strings.Join(lines, "")))
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

// shown are the columns of a table that are written.
func (r *Result) shown(table *store.Table) (columns []int) {
	named := map[string]bool{}
	if r.Case.Then != nil {
		for _, of := range r.Case.Then.Tables {
			for _, row := range of.Rows {
				for i := range row.Members {
					named[row.Members[i].Name] = of.Name == table.Name || named[row.Members[i].Name]
				}
			}
		}
	}
	some := slices.ContainsFunc(table.Columns, func(c store.Column) bool { return named[c.Name] })
	for i := range table.Columns {
		name := table.Columns[i].Name
		if !some || named[name] || slices.Contains(table.Key, name) {
			columns = append(columns, i)
		}
	}
	return columns
}

// tables are those that are written: those of the case, or all that are no views.
func (r *Result) tables() (all []*tableRows) {
	for i := range r.first.tables {
		t := &r.first.tables[i]
		if r.Case.Then == nil || len(r.Case.Then.Tables) == 0 {
			if !t.view {
				all = append(all, t)
			}
			continue
		}
		if slices.ContainsFunc(r.Case.Then.Tables, func(of Table) bool { return of.Name == t.table.Name }) {
			all = append(all, t)
		}
	}
	return all
}

// faultsText is the JSON of "fault", or "".
func (r *Result) faultsText() string {
	var all []string
	for _, f := range r.first.faults {
		event := ""
		if f.at >= r.Case.Given {
			event = fmt.Sprintf(`"event": %d, `, f.at-r.Case.Given+1)
		}
		all = append(all, fmt.Sprintf(`{%s"error": %s}`, event, eventline.AppendText(nil, f.error)))
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// block replaces "then" in lines of YAML, or adds it at the end of the case.
func (r *Result) block(lines []string) ([]string, error) {
	first := r.Case.Place.Line - 1
	column := r.Case.Place.Column - 1
	if first >= len(lines) || strings.HasPrefix(strings.TrimSpace(lines[first][min(column, len(lines[first])):]), "{") {
		return nil, errors.New("the case is within braces: write each of its members in a line, so that it can be updated")
	}
	// The members of a case begin in one column; what is within them, behind it.
	indent := strings.Repeat(" ", column)
	from, to := -1, first+1
	for n := first; n < len(lines); n++ {
		line := lines[n]
		at := len(line) - len(strings.TrimLeft(line, " "))
		blank := strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#")
		switch {
		case n > first && !blank && at < column:
			n = len(lines)
		case n > first && !blank && at == column && from >= 0 && to > from:
			n = len(lines)
		case n == first && strings.HasPrefix(line[column:], "then:"), n > first && at == column && strings.HasPrefix(line[at:], "then:"):
			from, to = n, n+1
		case !blank:
			to = n + 1
		}
	}
	if from < 0 {
		from = to
	}
	text := r.yaml(indent)
	if from == first { // "- then:"
		text = lines[first][:column] + strings.TrimPrefix(text, indent)
	}
	if from > 0 && !strings.HasSuffix(lines[from-1], "\n") {
		lines[from-1] += "\n"
	}
	return slices.Concat(lines[:from], strings.SplitAfter(text, "\n"), lines[to:]), nil
}

// yaml is "then" in YAML.
func (r *Result) yaml(indent string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sthen:\n", indent)
	if tables := r.tables(); len(tables) > 0 {
		fmt.Fprintf(&b, "%s  rows:\n", indent)
		for _, t := range tables {
			if len(t.rows) == 0 {
				fmt.Fprintf(&b, "%s    %s: []\n", indent, t.table.Name)
				continue
			}
			fmt.Fprintf(&b, "%s    %s:\n", indent, t.table.Name)
			for _, row := range t.rows {
				var parts []string
				for _, i := range r.shown(&t.table) {
					parts = append(parts, t.table.Columns[i].Name+": "+yamlValue(row[i]))
				}
				fmt.Fprintf(&b, "%s      - {%s}\n", indent, strings.Join(parts, ", "))
			}
		}
	}
	if text := r.faultsText(); text != "" {
		fmt.Fprintf(&b, "%s  fault: %s\n", indent, text)
	}
	return b.String()
}

// plainYAML is a text that needs no quotes within braces.
var plainYAML = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)

// yamlValue is a value in YAML.
func yamlValue(v store.Value) string {
	if v.Kind == store.KindText && !v.Array && plainYAML.Match(v.Bytes()) {
		switch text := string(v.Bytes()); strings.ToLower(text) {
		case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		default:
			return text
		}
	}
	return strings.ReplaceAll(valueJSON(v), "\u2028", `\u2028`)
}

// valueJSON is a value as cases have it.
func valueJSON(v store.Value) string {
	object := rowtext.AppendJSON(nil, []store.Column{{Name: ""}}, []store.Value{v})
	return string(object[len(`{"":`) : len(object)-1])
}

// line replaces "then" in a JSON line, or adds it.
func (r *Result) line(line string) (string, error) {
	text := []byte(strings.TrimRight(line, " \t\r\n"))
	end := line[len(text):]
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return "", err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return "", err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return "", err
		}
		if to := int(decoder.InputOffset()); name == "then" {
			return string(text[:to-len(raw)]) + r.json() + string(text[to:]) + end, nil
		}
	}
	return string(bytes.TrimSuffix(text, []byte("}"))) + `, "then": ` + r.json() + "}" + end, nil
}

// json is "then" in JSON.
func (r *Result) json() string {
	var members []string
	if tables := r.tables(); len(tables) > 0 {
		var all []string
		for _, t := range tables {
			var rows []string
			for _, row := range t.rows {
				var columns []store.Column
				var values []store.Value
				for _, i := range r.shown(&t.table) {
					columns, values = append(columns, t.table.Columns[i]), append(values, row[i])
				}
				rows = append(rows, string(rowtext.AppendJSON(nil, columns, values)))
			}
			all = append(all, fmt.Sprintf("%s: [%s]", eventline.AppendText(nil, t.table.Name), strings.Join(rows, ", ")))
		}
		members = append(members, `"rows": {`+strings.Join(all, ", ")+"}")
	}
	if text := r.faultsText(); text != "" {
		members = append(members, `"fault": `+text)
	}
	return "{" + strings.Join(members, ", ") + "}"
}
