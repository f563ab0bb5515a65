package eventschema

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/plainfile"
)

// Bounds of a folder of schemas.
const (
	// FilesMax is how many schemas a folder may have.
	FilesMax = 10_000
	// FileBytesMax is the size of one.
	FileBytesMax = 1 << 20
	// FolderBytesMax is the size of all of them.
	FolderBytesMax = 32 << 20
	// FileValuesMax is how many values a schema may have, all members and elements included.
	FileValuesMax = 20_000

	fileDepthMax = 100
	entriesMax   = 2 * FilesMax // of the folder, other files included
)

// FileError says what is wrong with a file, or with the folder.
type FileError struct {
	Path string
	Line int // from 1, or 0 when it is not known
	Err  error
}

// Error has the place in front.
func (e *FileError) Error() string { return e.Place() + ": " + e.Err.Error() }

// Place is the path, with the line if that is known.
func (e *FileError) Place() string {
	if e.Line == 0 {
		return e.Path
	}
	return fmt.Sprintf("%s:%d", e.Path, e.Line)
}

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// file is a schema that has been read.
type file struct {
	name  string
	event Event
	doc   any
}

// Load reads the files of a folder whose names end with .json, not those of folders within it.
//
// # Errors
//
// A [*FileError] about the first file that is no schema of an event, or is for the same event as another.
func Load(folder string) (*Set, error) {
	names, err := list(folder)
	if err != nil {
		return nil, &FileError{Path: folder, Err: err}
	}
	taken := map[Event]string{}
	total := 0
	files := make([]file, 0, len(names))
	for _, name := range names {
		path := filepath.Join(folder, name)
		text, err := plainfile.Read(path, FileBytesMax)
		if total += len(text); err == nil && total > FolderBytesMax {
			err = fmt.Errorf("is where the schemas of the folder have more than %d bytes", FolderBytesMax)
		}
		if err != nil {
			return nil, &FileError{Path: path, Err: withoutPath(err)}
		}
		read, err := parse(name, text)
		if err != nil {
			return nil, fileError(path, err)
		}
		if other, is := taken[read.event]; is {
			return nil, &FileError{Path: path, Err: fmt.Errorf("is for %s, as %s is: remove one of them", read.event, other)}
		}
		taken[read.event] = name
		files = append(files, read)
	}
	return compile(folder, files)
}

// list returns the names of the schemas of a folder in their order.
func list(folder string) ([]string, error) {
	opened, err := os.Open(folder)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer opened.Close()
	if info, err := opened.Stat(); err == nil && !info.IsDir() {
		return nil, errors.New("is not a folder of schemas")
	}
	entries, err := opened.ReadDir(entriesMax + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, withoutPath(err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".json") {
			names = append(names, entry.Name())
		}
	}
	switch {
	case len(entries) > entriesMax || len(names) > FilesMax:
		return nil, fmt.Errorf("has too many files: at most %d schemas, and %d files in all", FilesMax, entriesMax)
	case len(names) == 0:
		return nil, errors.New("has no schemas, which are files whose names end with .json")
	}
	slices.Sort(names)
	return names, nil
}

func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// parse reads one file, up to what the grammar of schemas says.
func parse(name string, text []byte) (file, error) {
	doc, err := decodeValue(text, bounds{fileDepthMax, FileValuesMax})
	if err != nil {
		return file{}, err
	}
	event, err := eventOf(doc)
	if err != nil {
		return file{}, err
	}
	return file{name, event, doc}, checkMembers(doc, nil)
}

func fileError(path string, err error) error {
	fault := &FileError{Path: path, Err: err}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		fault.Line = syntax.line
	}
	return fault
}
