package eventgen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/build"
)

// Event is an event that was found.
type Event struct {
	Type    string `json:"type"`
	Version int    `json:"version"`
	Newest  bool   `json:"newest"`
}

// Outcome is what became of a generated file.
type Outcome string

// The outcomes.
const (
	Unchanged Outcome = "unchanged"
	Written   Outcome = "written"
	Removed   Outcome = "removed" // it belonged to an event that is gone
	Stale     Outcome = "stale"   // by Check: it is not what would be generated
)

// File is a generated file.
type File struct {
	Path    string  `json:"file"`
	Outcome Outcome `json:"outcome"`

	content []byte // nil for a file that is to be removed
}

// Result is what was found and generated.
type Result struct {
	Events []Event
	Files  []File
	// LacksSDK and LacksProgram say that the Go module of the folder cannot import what the readers of projections, or
	// the registry of applications, are made of. These files are left out.
	LacksSDK, LacksProgram bool
}

// Generate writes the files of a folder of events. All of them are made before the first is written.
//
// # Errors
//
// A [build.MistakesError] says what is wrong in the sources, a [NoVersionsError] that there are none.
func Generate(ctx context.Context, folder string) (*Result, error) {
	result, err := plan(ctx, folder)
	if err != nil {
		return nil, err
	}
	for i := range result.Files {
		if err := result.Files[i].write(); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// Check finds out what Generate would write, and writes nothing.
func Check(ctx context.Context, folder string) (*Result, error) {
	result, err := plan(ctx, folder)
	if err != nil {
		return nil, err
	}
	for i := range result.Files {
		if result.Files[i].Outcome != Unchanged {
			result.Files[i].Outcome = Stale
		}
	}
	return result, nil
}

// plan finds the files to write.
func plan(ctx context.Context, folder string) (*Result, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil { // as the go command names files
		return nil, err
	}
	s, err := load(ctx, folder)
	if err != nil {
		return nil, err
	}
	events := s.findEvents()
	s.findUpcasters(events)
	s.checkNames(events)
	if err := s.err(); err != nil {
		return nil, err
	}
	result := &Result{LacksSDK: !s.forGuests, LacksProgram: !s.forApplications}
	for _, e := range events {
		result.Events = append(result.Events, Event{Type: e.stored, Version: e.version, Newest: e.up == nil})
	}
	contents, err := s.contents(events)
	if err != nil {
		return nil, err
	}
	if result.Files, err = s.compare(contents); err != nil {
		return nil, err
	}
	return result, s.err()
}

// contents are the files by their paths; nil for one that must not be there.
func (s *source) contents(events []*event) (contents map[string][]byte, err error) {
	contents = map[string][]byte{}
	add := func(content []byte, made error, path ...string) {
		err = errors.Join(err, made)
		contents[filepath.Join(append([]string{s.folder}, path...)...)] = content
	}
	for _, v := range s.versions {
		content, made := s.decimalsOf(v)
		add(content, made, filepath.Base(v.path), decimalsFile)
		if content != nil && !s.forGuests {
			s.mistakes = append(s.mistakes, build.Mistake{File: v.path, Text: "has //pup:decimals, whose code needs " + guestSDK +
				": 'go get " + guestSDK + "' adds it to go.mod"})
		}
	}
	for _, e := range events {
		content, made := s.schemaFile(e)
		add(content, made, schemaFolder, schemaName(e))
	}
	var content []byte
	var made error
	if s.forGuests {
		content, made = s.guestFile(events)
	}
	add(content, made, guestPackage, guestPackage+"_gen.go")
	content, made = nil, nil
	if s.forApplications {
		content, made = s.applicationFile(events, s.applicationPackage())
	}
	add(content, made, registryFile)
	return contents, err
}

// compare says what has to become of each file.
func (s *source) compare(contents map[string][]byte) (files []File, err error) {
	old, err := oldSchemas(filepath.Join(s.folder, schemaFolder))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		if _, is := contents[path]; !is {
			contents[path] = nil
		}
	}
	for path, content := range contents {
		file := File{Path: path, Outcome: Written, content: content}
		is, err := os.ReadFile(path)
		if err == nil && !isGenerated(path, is) {
			if content != nil {
				s.mistakes = append(s.mistakes, build.Mistake{File: path, Text: "was not written by 'pupwasm gen events', which has to write " +
					"a file of this name: rename it"})
			}
			continue
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if content == nil {
				continue
			}
		case err != nil:
			return nil, err
		case content == nil:
			file.Outcome = Removed
		case bytes.Equal(is, content):
			file.Outcome = Unchanged
		}
		files = append(files, file)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// oldSchemas are the files of a folder that were generated.
func oldSchemas(folder string) (found []string, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		if !entry.Type().IsRegular() || filepath.Ext(path) != ".json" {
			continue
		}
		if isGeneratedSchema(path) {
			found = append(found, path)
		}
	}
	return found, nil
}

// isGeneratedSchema tells whether a file is a schema that was generated.
func isGeneratedSchema(path string) bool {
	content, err := os.ReadFile(path)
	return err == nil && isGenerated(path, content)
}

// isGenerated tells whether a file was generated, and may be replaced or removed.
func isGenerated(path string, content []byte) bool {
	if filepath.Ext(path) == ".go" {
		return bytes.HasPrefix(content, []byte(header))
	}
	var schema struct {
		Comment string `json:"$comment"`
	}
	return json.Unmarshal(content, &schema) == nil && schema.Comment == schemaComment
}

func (f *File) write() error {
	switch f.Outcome {
	case Removed:
		return os.Remove(f.Path)
	case Written:
		return build.WriteFile(f.Path, f.content)
	default:
		return nil
	}
}

// checkNames sees that the names of generated methods and files differ.
func (s *source) checkNames(events []*event) {
	methods := map[string]*event{}
	files := map[string]*event{}
	for _, versions := range byStored(events) {
		last := versions[len(versions)-1]
		name := methodOf(versions)
		if name == "Read" {
			s.mistake(last.name.Pos(), "Read is the name of a generated method: give the struct another name, and its stored "+
				"type with //pup:event")
		}
		if other := methods[name]; other != nil {
			s.mistake(last.name.Pos(), "%s is the struct of two events, %s and %s: mark both with one //pup:event, or give one of "+
				"them another name", name, other.stored, last.stored)
		}
		methods[name] = last
	}
	for _, e := range events {
		name := strings.ToLower(schemaName(e)) // file systems may ignore case
		if other := files[name]; other != nil {
			s.mistake(e.name.Pos(), "%s and %s differ by the case of letters only: give one of them another name", e.name.Name(),
				other.name.Name())
		}
		files[name] = e
	}
}
