package settings_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/settings"
)

// faultsOf are the lines of what is wrong with a text, and nil when nothing is.
func faultsOf(t *testing.T, err error) (lines []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	var faults settings.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("%v is no settings.Faults", err)
	}
	for _, fault := range faults {
		lines = append(lines, fault.Error())
	}
	return lines
}

func TestParse_refusesWhatIsNoPlainMap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"no map", "hello", `f:1:1: is hello, must be lines such as "name: value"`},
		{"a list", "- a", `f:1:1: is a list, must be lines such as "name: value"`},
		{"a second document", "a: 1\n---\nb: 2\n", "f:2:1: begins a second document, a file has one"},
		{"an empty second document", "a: 1\n---\n", "f:2:1: begins a second document, a file has one"},
		{"a duplicate", "a: 1\nb: 2\na: 3\n", "f:3:1: a is there twice, first in line 1"},
		{"a duplicate below", "run:\n  a: 1\n  a: 1\n", "f:3:3: a is there twice, first in line 2"},
		{"an anchor", "a: &x 1\n", "f:1:4: has an anchor or an alias"},
		{"an alias", "a: &x 1\nb: *x\n", "f:1:4: has an anchor or an alias"},
		{"an alias of nothing", "a: *secret\n", "f:1:4: has an anchor or an alias"},
		{"an alias as a name", "a: &x b\n*x : 1\n", "f:1:4: has an anchor or an alias"},
		{"a tag", "a: !!int 3\n", "f:1:4: has a tag (!)"},
		{"a tag of a name", "!!str a: 3\n", "f:1:1: is not a name"},
		{"a list as a name", "? [a]\n: 1\n", "f:1:3: is not a name"},
		{"depth", "a: " + strings.Repeat("[", 8) + strings.Repeat("]", 8), "f:1:11: is nested deeper than 8 levels"},
		{"great depth", "a: " + strings.Repeat("[", 30_000), "f:"},
		{"a tab", "a: 1\n\tb: 2\n", "f:2:1: is not YAML: found a tab character that violates indentation"},
		{"an open quote", "a: 1\nb: \"x\n\n\n", "f:2:4: has a text in quotes that does not end"},
		{"an open list", "a: [1,\n", "f:2:1: is not YAML: "},
		{"a member below a value", "a: 1\n b: 2\n", "f:2:3: is not YAML: "},
		{"a NUL", "a: 1\x00", "f: is not YAML: control characters are not allowed"},
		{"bytes", "a: \xff", "f: is not UTF-8"},
		{"size", "a: " + strings.Repeat("x", 64<<10), "f: has more than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := settings.Parse("f", []byte(c.text))
			lines := faultsOf(t, err)
			if len(lines) == 0 || !strings.HasPrefix(lines[0], c.want) {
				t.Fatalf("%q, want %q", lines, c.want)
			}
			if strings.Contains(strings.Join(lines, ""), "secret") {
				t.Errorf("%q quotes the file", lines)
			}
		})
	}
}

// TestParse_expandsNothing has the famous text that becomes gigabytes where aliases are expanded.
func TestParse_expandsNothing(t *testing.T) {
	t.Parallel()
	text := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for name := 'b'; name <= 'j'; name++ {
		before := strings.Repeat("*"+string(name-1)+", ", 9)
		text += string(name) + ": &" + string(name) + " [" + before[:len(before)-2] + "]\n"
	}
	_, err := settings.Parse("f", []byte(text))
	if lines := faultsOf(t, err); len(lines) == 0 {
		t.Error("it is taken")
	}
}

func TestParse_takesTexts(t *testing.T) {
	t.Parallel()
	file, err := settings.Parse("f", []byte("\ufeff# settings\na: 1 # one\n'b b': \"true\"\nc: [x, 'y']\nd:\n  e: ~\n  f:\n"))
	if err != nil {
		t.Fatal(err)
	}
	a, b, c, d := file.Members[0], file.Members[1], file.Members[2], file.Members[3]
	if a.Name != "a" || a.Text != "1" || !a.Plain || a.String() != "f:2:1" || a.Value.String() != "f:2:4" {
		t.Errorf("a is %+v", a)
	}
	if b.Name != "b b" || b.Text != "true" || b.Plain {
		t.Errorf("b is %+v", b)
	}
	if c.Kind != settings.List || len(c.List) != 2 || c.List[1].Text != "y" {
		t.Errorf("c is %+v", c)
	}
	if d.Kind != settings.Section || len(d.Map.Members) != 2 || d.Map.Members[0].Kind != settings.Empty ||
		d.Map.Members[1].Kind != settings.Empty {
		t.Errorf("d is %+v", d)
	}
}

func TestParse_anEmptyFileHasNoMembers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "---\n...\n", "~\n", "{}\n"} {
		file, err := settings.Parse("f", []byte(text))
		if err != nil || len(file.Members) != 0 {
			t.Errorf("%q: %v, %v", text, file, err)
		}
	}
}

func TestRead_opensOnlyFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(at("folder"), 0o755))
	must(syscall.Mkfifo(at("pipe"), 0o644))
	must(os.WriteFile(at("large"), make([]byte, 1<<20), 0o644))
	must(os.Symlink(at("gone"), at("link")))
	for name, want := range map[string]string{
		"folder": "is a folder, not a file", "pipe": "is a pipe, not a file", "large": "has 1048576 bytes, it may have at most 65536",
		"link": "is a link to a file that does not exist",
	} {
		_, err := settings.Read(at(name))
		if lines := faultsOf(t, err); len(lines) != 1 || lines[0] != at(name)+": "+want {
			t.Errorf("%s: %q, want %q", name, lines, want)
		}
	}
	if _, err := settings.Read(at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// FuzzParse looks for texts that crash the reader, that bring about errors of several lines, or values that the members
// do not allow.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "batch: 100\n", "on_error: park\nmemory: 64\npoll: 5s\n", "a: &a [*a]\n", "run: {watch: true}\n",
		"batch: !!int 1\n---\n", "? {a: b}\n: 1\n", "batch: 0x10\nfuel: 1e9\nsegments: 07\n", "<<: {batch: 1}\n",
		"batch: |\n  1\n", "batch: \"1", "%YAML 1.1\n---\ndurable: on\n", "batch_pause: -0s\npark_max: -1\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		module, err := settings.ParseModule("f", []byte(text))
		if err == nil {
			if err := module.Sandbox.Validate(); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if err := module.Worker.Validate(); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if module != (settings.Module{}) {
			t.Errorf("%q is refused and has settings", text)
		}
		for _, line := range faultsOf(t, err) {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }) || len(line) > 1000 {
				t.Errorf("%q: %q", text, line)
			}
		}
	})
}
