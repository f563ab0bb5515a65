package cases

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

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

// tables are those that are written: those of the case, or all that are no views. A case that compares messages only has
// none.
func (r *Result) tables() (all []*tableRows) {
	then := r.Case.Then
	for i := range r.first.tables {
		t := &r.first.tables[i]
		if then == nil || len(then.Tables) == 0 && then.Messages == nil {
			if !t.view {
				all = append(all, t)
			}
			continue
		}
		if slices.ContainsFunc(then.Tables, func(of Table) bool { return of.Name == t.table.Name }) {
			all = append(all, t)
		}
	}
	return all
}

// yaml is "then" in YAML.
func (r *Result) yaml(indent string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sthen:\n", indent)
	begun := b.Len()
	if tables := r.tables(); len(tables) > 0 {
		fmt.Fprintf(&b, "%s  rows:\n", indent)
		for _, t := range tables {
			if len(t.rows) == 0 {
				fmt.Fprintf(&b, "%s    %s: []\n", indent, t.table.Name)
				continue
			}
			fmt.Fprintf(&b, "%s    %s:\n", indent, t.table.Name)
			columns := r.shown(&t.table)
			for _, row := range t.rows {
				var parts []string
				for _, i := range columns {
					parts = append(parts, t.table.Columns[i].Name+": "+yamlValue(row[i]))
				}
				fmt.Fprintf(&b, "%s      - {%s}\n", indent, strings.Join(parts, ", "))
			}
		}
	}
	if r.writesMessages() {
		messages := r.messagesText(func(name string) string { return name }, yamlValue)
		if len(messages) == 0 {
			fmt.Fprintf(&b, "%s  messages: []\n", indent)
		} else {
			fmt.Fprintf(&b, "%[1]s  messages:\n%[1]s    - %[2]s\n", indent, strings.Join(messages, "\n"+indent+"    - "))
		}
	}
	switch faults := r.faultsText("event", "error"); len(faults) {
	case 0:
	case 1:
		fmt.Fprintf(&b, "%s  fault: %s\n", indent, faults[0])
	default:
		fmt.Fprintf(&b, "%s  fault:\n", indent)
		for _, fault := range faults {
			fmt.Fprintf(&b, "%s    - %s\n", indent, fault)
		}
	}
	if b.Len() == begun {
		return indent + "then: {}\n"
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
	return valueJSON(v)
}

// valueJSON is a value as cases have it, in JSON that is YAML too.
func valueJSON(v store.Value) string {
	object := rowtext.AppendJSON(nil, []store.Column{{Name: ""}}, []store.Value{v})
	text := object[len(`{"":`) : len(object)-1]
	if m, err := memberOf(settings.Place{}, text); err == nil {
		text = appendJSON(nil, &m) // without escapes that YAML does not know
	}
	return escaped(string(text))
}

// json is "then" in JSON.
func (r *Result) json() string {
	var members []string
	if tables := r.tables(); len(tables) > 0 {
		var all []string
		for _, t := range tables {
			var columns []store.Column
			shown := r.shown(&t.table)
			for _, i := range shown {
				columns = append(columns, t.table.Columns[i])
			}
			var rows []string
			for _, row := range t.rows {
				var values []store.Value
				for _, i := range shown {
					values = append(values, row[i])
				}
				rows = append(rows, string(rowtext.AppendJSON(nil, columns, values)))
			}
			all = append(all, fmt.Sprintf("%s: [%s]", eventline.AppendText(nil, t.table.Name), strings.Join(rows, ", ")))
		}
		members = append(members, `"rows": {`+strings.Join(all, ", ")+"}")
	}
	if r.writesMessages() {
		members = append(members, `"messages": [`+strings.Join(r.messagesText(quoted, valueJSON), ", ")+"]")
	}
	switch faults := r.faultsText(`"event"`, `"error"`); len(faults) {
	case 0:
	case 1:
		members = append(members, `"fault": `+faults[0])
	default:
		members = append(members, `"fault": [`+strings.Join(faults, ", ")+"]")
	}
	return escaped("{" + strings.Join(members, ", ") + "}")
}

// faultsText are the faults, each in braces: its members have names in quotes, or without.
func (r *Result) faultsText(event, reason string) (all []string) {
	for _, f := range r.first.faults {
		all = append(all, fmt.Sprintf(`{%s: %d, %s: %s}`, event, f.at-r.Case.Given+1, reason, quoted(withoutModule(f.error))))
	}
	return all
}

// withoutModule is an error without the name of the module, which may change.
func withoutModule(text string) string {
	const at = " at event "
	if _, behind, is := strings.Cut(text, at); is && strings.HasPrefix(text, "module ") {
		return strings.TrimPrefix(at, " ") + behind
	}
	return text
}

// quoted is a text in quotes, for JSON and for YAML.
func quoted(text string) string { return escaped(string(eventline.AppendText(nil, text))) }

// escaped is a JSON text without the characters that YAML takes for the end of a line, or does not take.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c >= 0x7f && c <= 0x9f, c == '\u2028', c == '\u2029', c == '\ufeff', c == '\ufffe', c == '\uffff':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
