package cases_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

const (
	eventOfAnn = "{stream: Shop/User/ann, event_type: E}"
	anotherOne = "when: [" + eventOfAnn + "]"
)

// layouts are files with « and » around what an update may change.
var layouts = map[string]string{
	"brackets that end at the column of then": "cases:\n  - name: a\n    " + anotherOne + "\n    «then: {rows: {users: [\n      # { it's\n    ]}}\n»  - name: b\n    " + anotherOne + "\n    then: {rows: {users: [{user_id: ann}]}}\n",
	"brackets that end before it":             "cases:\n  - name: a\n    " + anotherOne + "\n    «then: {rows: {users: [\n{user_id: 'b''}', last_seen:\n\"2024-01-01T00:00:00Z\"},\n]}} # {\n»    # of name\n",
	"then in quotes":                          "cases:\n  - name: a\n    «\"then\": {rows: {users: []}}\n»    " + anotherOne + "\n",
	"a space before the colon":                "cases:\n  - name: a\n    «then : {rows: {users: []}}\n»    " + anotherOne + "\n",
	"a question mark":                         "cases:\n  - name: a\n    «? then\n    : rows: {users: []}\n»    " + anotherOne + "\n",
	"question marks":                          "cases:\n  - ? name\n    : a\n    «? 'then'\n    : rows:\n        users: []\n»    # end\n    ? when\n    : [" + eventOfAnn + "]\n",
	"a block that ends like a comment":        "cases:\n  - name: a\n    when:\n    - stream: Shop/User/ann\n      event_type: E\n      payload:\n        text: |\n          one\n          # two\n«»    # end\n  - name: b\n    " + anotherOne + "\n    then: {rows: {users: [{user_id: ann}]}}\n",
	"a block that keeps its blank lines":      "cases:\n  - when: [" + eventOfAnn + "]\n    name: |+\n      a\n\n\n«»# end\n",
	"a fault that ends like a comment":        "cases:\n  - name: a\n    " + anotherOne + "\n    «then:\n      fault: >-\n        one\n\n        # two\n»\n    # end\n",
	"a name of several lines":                 "cases:\n  - " + anotherOne + "\n    name: a\n\n      b\n       c # d\n«»\n    # end\n",
	"a name in quotes of several lines":       "cases:\n  - " + anotherOne + "\n    name: \"a\n# b \\\" c\n\n    d\" # e\n«»\n    # end\n",
	"column 0":                                "# ä\ncases:\n- name: a\n  " + anotherOne + "\n«»\n# of b\n- name: b\n  " + anotherOne + "\n  then: {rows: {users: [{user_id: ann}]}}\n",
	"then as the first member":                "cases:\n- «then:\n    rows:\n      users: []\n»\n  # of name\n  name: a\n  " + anotherOne + "\n",
	"then as the first member, in CRLF":       "cases:\r\n  - «then:\r\n      rows: {users: []}\r\n»    name: a\r\n    " + anotherOne + "\r\n",
	"CRLF without then":                       "cases:\r\n  - name: a\r\n    " + anotherOne + "\r\n«»\r\n# end\r\n",
	"a dash of its own line":                  "cases:\n  -\n    name: a\n    " + anotherOne + "\n«»  -\n    name: b\n    " + anotherOne + "\n    then: {rows: {users: [{user_id: ann}]}}\n",
	"comments between and after":              "cases:\n  # 1\n  - name: a # 2\n    # 3\n    «then: # 4\n      # 5\n      rows: # 6\n        users: [] # 7\n»      # 8\n\n    # 9\n    " + anotherOne + " # 10\n  # 11\n",
	"other characters":                        "\ufeffdefaults: {payload: {ä: \"ö\u2028ü\"}} # \u2028\ncases:\n  - name: äöü\u00a0…\n    " + anotherOne + "\n    «then: {rows: {users: [{user_id: ö}]}}\n»\n  - name: 日本\n    " + anotherOne + "\n    then: {rows: {users: [{user_id: ann}]}}\n",
	"tabs":                                    "cases:\n  - name:\ta\t# b\n    " + anotherOne + "\t\n    «then:\t{rows:\t{users:\t[]}}\t# c\n»\t\n    \t# d\n",
	"nothing in then":                         "cases:\n  - name: a\n    «then: ~\n»    " + anotherOne + "\n",
	"the end of the document":                 "---\ncases:\n  - name: a\n    " + anotherOne + "\n«»...\n",
	"another member behind":                   "cases:\n- name: a\n  " + anotherOne + "\n  «then:\n    rows:\n      users:\n      - user_id: bob\n        last_seen:\n»defaults: {bounded_context: Shop}\n",
	"no end of the last line":                 "cases:\n- name: a\n  " + anotherOne + "\n  «then: {rows: {users: []}}»",
	"JSON lines":                              "\n  {\"name\": \"a\", \"th\\u0065n\" : «{\"rows\": {\"users\": [ ]}}» , \"when\": [{\"stream\": \"Shop/User/ann\", \"event_type\": \"E\"}]}\t\r\n\n",
	"a JSON line without then":                "{\"name\": \"a\", \"when\": [{\"stream\": \"Shop/User/ann\", \"event_type\": \"E\"}] «»} \u0085\n",
}

// TestUpdate_changesNothingElse updates files of all layouts: each byte that is not of "then" stays, and a second run
// passes.
func TestUpdate_changesNothingElse(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	for name, marked := range layouts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changesNothingElse(t, m, strings.HasPrefix(strings.TrimSpace(marked), "{"), marked)
		})
	}
}

func changesNothingElse(t *testing.T, m *cases.Module, lines bool, marked string) {
	t.Helper()
	head, rest, _ := strings.Cut(marked, "«")
	old, tail, _ := strings.Cut(rest, "»")
	file := "case.yaml"
	if lines {
		file = "case.jsonl"
	}
	path := write(t, file, head+old+tail)
	if updated, err := cases.Update(path, runRounds(t, m, path, 0)); err != nil || updated != 1 {
		t.Fatalf("updated %d cases: %v", updated, err)
	}
	text, err := os.ReadFile(path)
	after := string(text)
	if err != nil || !strings.HasPrefix(after, head) || !strings.HasSuffix(after, tail) {
		t.Errorf("is\n%s\n%v", after, err)
	}
	if !lines && strings.Count(after, "then") != strings.Count(head+tail, "then")+1 {
		t.Errorf("has not one \"then\" more:\n%s", after)
	}
	if !lines && strings.Contains(marked, "\r\n") && strings.Count(after, "\r\n") != strings.Count(after, "\n") {
		t.Errorf("has ends of lines of two kinds: %q", after)
	}
	for _, r := range runRounds(t, m, path, 0) {
		if !r.Passed() {
			t.Errorf("after the update case %s fails: %s\n%s", r.Case.Name, failures(path, r), after)
		}
	}
}

// TestUpdate_refusesWhatIsNotSafe leaves a case as it is that is written in a way of its own, and updates the others.
func TestUpdate_refusesWhatIsNotSafe(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	const b = "  - name: b\n    " + anotherOne + "\n"
	for text, want := range map[string]string{
		"cases: [{name: äöüäöüäöü, " + anotherOne + ", then: {rows: {users: []}}}, {name: b, " + anotherOne + "}]\n": ":1:9: the case is within braces",
		"cases:\n  - {name: a, " + anotherOne + "}\n" + b:                                                            ":2:5: the case is within braces",
		"cases:\n  - name: a\n    " + anotherOne + "\n    ? then\n    :\n" + b:                                       `:2:5: the file cannot be updated safely here: write "then" as a block of its own lines`,
	} {
		path := write(t, "case.yaml", text)
		updated, err := cases.Update(path, runRounds(t, m, path, 0))
		after, _ := os.ReadFile(path)
		if others := strings.HasSuffix(text, b); err == nil || !strings.Contains(err.Error(), want) || updated == 1 != others ||
			!strings.HasPrefix(string(after), text) || string(after) == text == others {
			t.Errorf("%q: updated %d cases, now %q; %v", text, updated, after, err)
		}
	}
}

func TestUpdate_leavesAFileThatHasChanged(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	path := write(t, "case.yaml", "cases:\n  - name: a\n    "+anotherOne+"\n")
	results := runRounds(t, m, path, 0)
	const saved = "cases:\n  - name: a\n    " + anotherOne + " # saved\n"
	if err := os.WriteFile(path, []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	}
	updated, err := cases.Update(path, results)
	if err == nil || !strings.HasSuffix(err.Error(), "case.yaml: the file has changed since its cases were read: run the update again") || updated != 0 {
		t.Error(updated, err)
	}
	if after, err := os.ReadFile(path); string(after) != saved {
		t.Errorf("the file is %q, %v", after, err)
	}
}

func TestUpdate_keepsALink(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	target := write(t, "case.yaml", "cases:\n  - name: a\n    "+anotherOne+"\n")
	path := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(target, path); err != nil {
		t.Skip(err)
	}
	if updated, err := cases.Update(path, runRounds(t, m, path, 0)); err != nil || updated != 1 {
		t.Fatal(updated, err)
	}
	if to, err := os.Readlink(path); to != target {
		t.Error("it is no link any more:", err)
	}
	if after, err := os.ReadFile(target); !strings.Contains(string(after), "then:") {
		t.Errorf("the file is %q, %v", after, err)
	}
}

// TestUpdate_writesAnyText has texts with characters and words that mean something in YAML.
func TestUpdate_writesAnyText(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	var events []string
	for _, text := range []string{
		"a\u0085b", "a\u2028b\u2029", "\ufeff", "\u007f\u009f", "\ufffe\uffff", "a\nb\r\n", "\t", " a ", "a: b", "a #b", "#", "null", "~",
		"true", "12", "1e3", "0x1f", "it's", `"`, `\`, "{a}", "[", "- a", "? a", "&a", "*a", "!a", "%", "@", "`", "<<", "=", "😀", "\b\f\x01", "yes", "NULL",
	} {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, `{"bounded_context":"Shop","aggregate_type":"Order","aggregate_id":"o","event_type":"E","payload":{"user_id":`+string(quoted)+"}}")
	}
	folder := t.TempDir()
	for file, text := range map[string]string{
		"events.jsonl": strings.Join(events, "\n"),
		"case.jsonl":   `{"name": "a", "when": [` + strings.Join(events, ", ") + `]}`,
		"case.yaml":    "cases:\n- name: a\n  when: events.jsonl\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"case.jsonl", "case.yaml"} {
		path := filepath.Join(folder, file)
		if updated, err := cases.Update(path, runRounds(t, m, path, 0)); err != nil || updated != 1 {
			t.Errorf("%s: updated %d cases: %v", file, updated, err)
			continue
		}
		if r := runRounds(t, m, path, 0)[0]; !r.Passed() {
			t.Errorf("%s: after the update: %s", file, failures(path, r))
		}
	}
}

// TestUpdate_writesFaults has several faults, in lines of their own, without the name of the module; and one of a given
// event, for which there is nothing to write.
func TestUpdate_writesFaults(t *testing.T) {
	t.Parallel()
	m := module(t, "user_counter")
	m.Settings = host.Settings{Beside: segments.ProjectionOptions{OnError: store.ErrorSkip}}
	const wrong = "{stream: Shop/Order/o, event_type: E, payload: {user_id: 1}}"
	const text = "cases:\n  - name: a\n    when: [" + wrong + ", " + eventOfAnn + ", " + wrong + "]\n" +
		"  - name: b\n    given: [" + wrong + "]\n    when: [" + eventOfAnn + "]\n"
	path := write(t, "case.yaml", text)
	results := runRounds(t, m, path, 0)
	if !results[0].Updatable() || results[1].Updatable() {
		t.Error("updatable:", results[0].Updatable(), results[1].Updatable())
	}
	if updated, err := cases.Update(path, results); err != nil || updated != 1 {
		t.Fatal(updated, err)
	}
	after, _ := os.ReadFile(path)
	for _, want := range []string{"      fault:\n        - {event: 1, error: \"at event 1 of ", "\n        - {event: 3, error: \"at event 3 of "} {
		if !strings.Contains(string(after), want) {
			t.Errorf("no %q in\n%s", want, after)
		}
	}
	if _, b, _ := strings.Cut(text, "  - name: b"); !strings.HasSuffix(string(after), b) {
		t.Errorf("the case whose given event fails has changed:\n%s", after)
	}
	m.File = "renamed.wasm"
	if r := runRounds(t, m, path, 0)[0]; !r.Passed() || r.Updatable() {
		t.Errorf("after the update: %s", failures(path, r))
	}
}
