package pupwasm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
)

// segmentsOf returns how many segments a projection has.
func segmentsOf(t *testing.T, h *pupwasm.Host, projection string) int {
	t.Helper()
	status, err := h.Status(t.Context(), projection)
	if err != nil {
		t.Fatal(err)
	}
	if len(status) == 0 {
		return 0
	}
	return len(status[0].Segments)
}

// TestHost_settingsOfModulesComeBeforeThoseOfTheProgram has settings beside modules of a file system.
func TestHost_settingsOfModulesComeBeforeThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	modules := fstest.MapFS{
		"a.wasm": {Data: guest("first")}, "a.yaml": {Data: []byte("segments: 2\n")}, "b.wasm": {Data: guest("second")},
	}
	options := pupwasm.Options{Modules: modules, Logger: discard(), Worker: segments.Options{
		Segments: 5, Projections: map[string]segments.ProjectionOptions{"first": {Segments: 3}},
	}}
	h, err := pupwasm.NewHost(open(t), options)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first, second := segmentsOf(t, h, "first"), segmentsOf(t, h, "second"); first != 2 || second != 5 {
		t.Errorf("there are %d and %d segments", first, second)
	}
	modules["b.yaml"] = &fstest.MapFile{Data: []byte("segments: 0\n")}
	err = h.RunOnce(t.Context())
	if err == nil || !strings.Contains(err.Error(), "b.yaml:1:11: segments must be a whole number from 1 to 1024, it is 0") {
		t.Errorf("with a mistake Run returns %v", err)
	}
}

func TestHost_followsSettingsOfItsFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(file string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.wasm", guest("first"))
	write("a.yaml", []byte("segments: 2\n"))
	h := runHost(t, open(t), pupwasm.Options{Folder: folder})
	runs(t, h, "first")
	if n := segmentsOf(t, h, "first"); n != 2 {
		t.Errorf("there are %d segments", n)
	}
	write("a.yaml", []byte("segments: 6\n"))
	testwait.Until(t, "the projection is divided as the file says", func() bool { return segmentsOf(t, h, "first") == 6 })
}
