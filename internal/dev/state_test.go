package dev

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
)

func TestBoard_showsEachRowOnceAndTheLastChange(t *testing.T) {
	t.Parallel()
	b := newBoard(func(string) {})
	for _, look := range []TableState{
		{Name: "t", Rows: 2, keys: []string{"a", "b"}, Changed: []string{"a=1", "b=1"}},
		{Name: "t", Rows: 2, keys: []string{"a"}, Changed: []string{"a=2"}},
		{Name: "t", Rows: 2},
	} {
		b.rows(look)
	}
	state, changed := b.snapshot()
	if want := []string{"b=1", "a=2"}; !changed || !slices.Equal(state.Tables[0].Changed, want) {
		t.Errorf("it shows %q, want %q", state.Tables[0].Changed, want)
	}
	for i := range 9 {
		key := string(rune('c' + i))
		b.rows(TableState{Name: "t", Rows: 9, keys: []string{key}, Changed: []string{key}})
	}
	state, _ = b.snapshot()
	if want := []string{"g", "h", "i", "j", "k"}; !slices.Equal(state.Tables[0].Changed, want) {
		t.Errorf("it shows %q, want %q", state.Tables[0].Changed, want)
	}
}

func TestBoard_keepsTheModuleBeforeAndSaysWhyTheNextDoesNotBuild(t *testing.T) {
	t.Parallel()
	var said []string
	b := newBoard(func(line string) { said = append(said, line) })
	b.built(&Built{Lines: []string{"built"}})
	b.buildFailed(errors.New("main.go:1: wrong\nmain.go:2: wrong too"))
	state, _ := b.snapshot()
	if len(state.Problem) != 2 || len(state.Built) != 1 || state.Building {
		t.Errorf("the state is %+v", state)
	}
	if want := []string{"built", "error: main.go:1: wrong", "error: main.go:2: wrong too"}; !slices.Equal(said, want) {
		t.Errorf("it said %q", said)
	}
	b.refused("the tables changed")
	b.refused("the tables changed") // once
	b.refused("")
	if state, _ = b.snapshot(); len(state.Problem) != 0 || len(said) != 4 {
		t.Errorf("the state is %+v, it said %q", state, said)
	}
}

// TestSources_seesWhatABuildDependsOn watches a folder by a link to it.
func TestSources_seesWhatABuildDependsOn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := watchSources(link)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	write := func(names ...string) {
		path := filepath.Join(append([]string{folder}, names...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, names := range [][]string{{"main.go"}, {"zones.bin"}, {"events", "events.go"}, {"events", "v2", "events.go"}} {
		write(names...)
		testwait.Until(t, filepath.Join(names...), func() bool {
			select {
			case <-s.changed:
				return true
			default:
				return false
			}
		})
	}
	for path, source := range map[string]bool{
		"main.go": true, "go.mod": true, "main_test.go": false, ".main.go.swp": false, "README.md": false, "#main.go#": false, "main.go~": false,
	} {
		if isSource(path) != source {
			t.Errorf("%s is a source: %t", path, !source)
		}
	}
}
