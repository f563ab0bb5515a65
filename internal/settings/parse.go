package settings

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/pupwasm/pupwasm/internal/plainfile"
)

// fileBytesMax bounds a file of settings, and with it everything that comes of it.
const fileBytesMax = 64 << 10

// Bounds is how large a file may be.
type Bounds struct {
	Bytes int
	Depth int // how deep maps and lists are nested: a section in a section has its members at 3
}

// ofSettings are the bounds of files of settings.
var ofSettings = Bounds{Bytes: fileBytesMax, Depth: 8}

// Map has named members, in the order of the file.
type Map struct {
	Place
	Members []Member
}

// Kind is what a member has in the file.
type Kind int

// The kinds of values.
const (
	Scalar Kind = iota
	List
	Section
	Empty // nothing, null or ~
)

// Member is a name with a value.
type Member struct {
	Place // of the name
	Name  string
	Kind  Kind
	Value Place
	Text  string   // of a scalar, as it was written, or without its quotes
	Plain bool     // the scalar has no quotes
	List  []Member // without names
	Map   *Map     // of a section
}

// Read reads a file. An empty one, or one of comments alone, has no members.
//
// # Errors
//
// [Faults]; [fs.ErrNotExist]. The members that could be read all the same are returned with Faults, so that what is
// wrong with them can be told too; there are none where the text is not YAML.
func Read(path string) (*Map, error) {
	return ReadTrusted(path, func(fs.FileInfo) error { return nil })
}

// ReadTrusted is Read for a file that must pass trust, which is asked of the very file that is read. Its error is one of
// the Faults.
func ReadTrusted(path string, trust func(fs.FileInfo) error) (*Map, error) {
	text, err := plainfile.ReadTrusted(path, fileBytesMax, trust)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(path, text)
}

// readFS is Read for a file of fsys.
func readFS(fsys fs.FS, name string) (*Map, error) {
	info, err := fs.Stat(fsys, name)
	if err == nil && info.Size() > fileBytesMax {
		err = &plainfile.TooLargeError{Size: info.Size(), Limit: fileBytesMax}
	}
	var text []byte
	if err == nil {
		text, err = fs.ReadFile(fsys, name)
	}
	if err != nil {
		return nil, unreadable(name, err)
	}
	return Parse(name, text)
}

// unreadable makes the error of reading a file one of its faults, unless it does not exist.
func unreadable(path string, err error) error {
	var of *fs.PathError
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if errors.As(err, &of) {
		return Faults{Place{File: path}.Fault("cannot be read: %s", of.Err)}
	}
	return Faults{Place{File: path}.Fault("%s", err)}
}

// Parse reads the text of a file. See [Read].
func Parse(path string, text []byte) (*Map, error) { return ParseWithin(path, text, ofSettings) }

// ParseWithin is Parse with bounds of its own.
func ParseWithin(path string, text []byte, bounds Bounds) (*Map, error) {
	whole := Place{File: path}
	if len(text) > bounds.Bytes {
		return nil, Faults{whole.Fault("has more than %d bytes", bounds.Bytes)}
	}
	if !utf8.Valid(text) {
		return nil, Faults{whole.Fault("is not UTF-8")}
	}
	root, fault := document(path, text)
	if fault != nil {
		return nil, Faults{fault}
	}
	t := &tree{file: path, depthMax: bounds.Depth}
	top := Member{Kind: Empty}
	if root != nil {
		top = t.member(root, 1)
	}
	switch {
	case top.Kind == Section:
		return top.Map, t.faults.err()
	case top.Kind != Empty && len(t.faults) == 0:
		t.fail(root, "is %s, must be lines such as \"name: value\"", top.Shown())
	}
	return &Map{Place: whole}, t.faults.err()
}

// document returns the node of the file's only document, or nil where there is none.
func document(path string, text []byte) (*yaml.Node, *Fault) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, Place{File: path}.Fault("cannot be read: %s", err)
	}
	var first, second yaml.Node
	err = loader.Load(&first)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		if err = loader.Load(&second); errors.Is(err, io.EOF) {
			return content(&first), nil
		}
	}
	if err == nil {
		return nil, at(path, &second).Fault("begins a second document, a file has one")
	}
	return nil, syntaxFault(path, err)
}

// content is the root of a document, or nil.
func content(document *yaml.Node) *yaml.Node {
	if document.Kind != yaml.DocumentNode {
		return document
	}
	if len(document.Content) == 0 {
		return nil
	}
	return document.Content[0]
}

// syntaxFault is the fault of a text that is not YAML. The message of the parser quotes only names of anchors and tags,
// which may be anything.
func syntaxFault(path string, err error) *Fault {
	place, reason := Place{File: path}, ""
	var fault *yaml.LoadError
	if errors.As(err, &fault) {
		place.Line, place.Column, reason = fault.Mark.Line, max(fault.Mark.Column, 1), fault.Message
	}
	switch {
	case strings.Contains(reason, "end of stream") && fault.ContextMark.Line > 0:
		place.Line, place.Column = fault.ContextMark.Line, fault.ContextMark.Column
		return place.Fault("has a text in quotes that does not end")
	case strings.Contains(reason, "anchor"), strings.Contains(reason, "alias"):
		return place.Fault("%s", noAliases)
	case reason == "", strings.Contains(reason, "tag"):
		return place.Fault("is not YAML")
	}
	return place.Fault("is not YAML: %s", oneLine(reason))
}

const noAliases = "has an anchor or an alias (& or *), which are not allowed: write the value out, in quotes if it begins " +
	"with one of them"

func at(path string, node *yaml.Node) Place {
	return Place{File: path, Line: node.Line, Column: node.Column}
}

// tree builds members from nodes.
type tree struct {
	file     string
	depthMax int
	faults   Faults
}

func (t *tree) fail(node *yaml.Node, format string, args ...any) {
	t.faults = append(t.faults, at(t.file, node).Fault(format, args...))
}

// member reads a value, which the caller gives a name. depth is that of the value.
func (t *tree) member(node *yaml.Node, depth int) Member {
	m := Member{Value: at(t.file, node)}
	switch {
	case depth > t.depthMax:
		t.fail(node, "is nested deeper than %d levels", t.depthMax)
		return m
	case node.Anchor != "" || node.Kind == yaml.AliasNode:
		t.fail(node, noAliases)
		return m
	case node.Style&yaml.TaggedStyle != 0:
		t.fail(node, "has a tag (!), which is not allowed: write the value alone, in quotes if it begins with one")
		return m
	}
	switch node.Kind {
	case yaml.MappingNode:
		m.Kind, m.Map = Section, t.section(node, depth)
	case yaml.SequenceNode:
		m.Kind = List
		for _, element := range node.Content {
			m.List = append(m.List, t.member(element, depth+1))
		}
	default:
		m.Text = node.Value
		m.Plain = node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
		if m.Plain && node.ShortTag() == "!!null" {
			m.Kind = Empty
		}
	}
	return m
}

func (t *tree) section(node *yaml.Node, depth int) *Map {
	section := &Map{Place: at(t.file, node)}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Anchor != "" || key.Kind == yaml.AliasNode {
			t.fail(key, noAliases)
			continue
		}
		if key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 {
			t.fail(key, "is not a name: a member is a line such as \"name: value\"")
			continue
		}
		if first, again := lines[key.Value]; again {
			t.fail(key, "%s is there twice, first in line %d", Show(key.Value), first)
			continue
		}
		lines[key.Value] = key.Line
		member := t.member(node.Content[i+1], depth+1)
		member.Name, member.Place = key.Value, at(t.file, key)
		section.Members = append(section.Members, member)
	}
	return section
}

// shownMax bounds what an error shows of a file, in characters.
const shownMax = 40

// Show is a name or value of a file for an error: in one line, and not too long.
func Show(text string) string {
	text = oneLine(text)
	if short := []rune(text); len(short) > shownMax {
		text = string(short[:shownMax]) + "…"
	}
	return text
}

// oneLine replaces what is not printable.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
