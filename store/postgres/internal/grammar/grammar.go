// Package grammar reads the SQL of modules by PostgreSQL's own grammar. A statement is taken apart into a tree,
// the tree is compared with lists of what it may have, and what is run is written from the tree. So no text
// of a module reaches the server, which might read it otherwise than we do.
//
//	text ──► words ──parse──► tree ──walk.go──► allowed? ──write──► text that is run
//	           │                       │
//	 nesting.go: not too deep    nodes.go, names.go: what it may have
//	                             constants.go: dates and times
//
// The lists name what is allowed, so that what a later PostgreSQL adds is refused. What only the server knows,
// such as which overload of a function is meant, is for its own check (package postgres, sandbox.go).
package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/wasilibs/go-pgquery/parser"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

// textMax bounds a statement. The parser's time grows faster than the text.
const textMax = 16 << 10

// Tables are what a statement may use.
type Tables struct {
	Schema  string
	Columns map[string][]string // by table
}

// Statement is one that may be run.
type Statement struct {
	SQL string // written from the tree
	// Clock is a text in it that means another moment each time when it is read as a date, such as 'now', or "".
	// Only the server knows whether it is read so.
	Clock string
	// Selects says that it is a SELECT, which may have changes in its WITH.
	Selects bool
	// Locks says that it locks the rows that it reads.
	Locks bool
}

// Check reads one statement.
//
// # Errors
//
// The text says what is wrong, in one line, and goes on from a name such as `write "total"`.
func Check(sql string, tables Tables) (*Statement, error) {
	checked, err := check(sql, tables)
	if err != nil {
		return nil, oneline.Error(err)
	}
	return checked, nil
}

func check(sql string, tables Tables) (*Statement, error) {
	tree, written, err := read(sql)
	if err != nil {
		return nil, err
	}
	statements, _ := tree["stmts"].([]any)
	switch len(statements) {
	case 0:
		return nil, errors.New("has no statement")
	case 1:
	default:
		return nil, errors.New("has multiple commands, must be one statement")
	}
	raw, _ := statements[0].(map[string]any)
	name, fields := only(raw["stmt"])
	if !verbs[name] {
		return nil, fmt.Errorf("is a %s: a statement selects, inserts, updates, deletes or merges", name)
	}
	w := newWalk(tables, tree)
	w.fields(name, fields)
	if w.fault != "" {
		return nil, errors.New(w.fault)
	}
	return &Statement{SQL: written, Clock: w.clock, Selects: name == "SelectStmt", Locks: w.locking}, nil
}

// reading keeps to one parser, which takes 1.3 s to make and some 30 MB.
var reading sync.Mutex

// read parses a text and writes it from its tree. It checks that both mean the same.
func read(sql string) (tree map[string]any, written string, err error) {
	if len(sql) > textMax {
		return nil, "", fmt.Errorf("has %d bytes, a statement has at most %d", len(sql), textMax)
	}
	if strings.ContainsRune(sql, 0) || !utf8.ValidString(sql) {
		return nil, "", errors.New("contains a NUL character, or is not UTF-8")
	}
	reading.Lock()
	defer reading.Unlock()
	if err := checkNesting(sql); err != nil {
		return nil, "", err
	}
	if tree, err = parse(sql); err != nil {
		return nil, "", err
	}
	if written, err = write(sql); err != nil {
		return nil, "", err
	}
	again, err := parse(written)
	if err != nil || !reflect.DeepEqual(plain(tree), plain(again)) {
		return nil, "", errors.New("cannot be written back from its parse tree: write it in another way")
	}
	return tree, written, nil
}

func parse(sql string) (tree map[string]any, err error) {
	defer recovered(&err)
	text, err := parser.ParseToJSON(sql)
	if err != nil {
		return nil, oneline.Error(err)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nil, errUnreadable
	}
	return tree, nil
}

func write(sql string) (written string, err error) {
	defer recovered(&err)
	tree, err := parser.ParseToProtobuf(sql)
	if err == nil {
		written, err = parser.DeparseFromProtobuf(tree)
	}
	if err != nil {
		return "", oneline.Error(err)
	}
	return written, nil
}

var errUnreadable = errors.New("cannot be read by PostgreSQL's grammar: write it in a simpler way")

// recovered makes an error of what the parser panics with.
func recovered(err *error) {
	if reason := recover(); reason != nil {
		*err = errUnreadable
	}
}

// plain is a tree without the places in the text.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, field := range value {
			if !places[name] {
				kept[name] = plain(field)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(value))
		for i := range value {
			kept[i] = plain(value[i])
		}
		return kept
	}
	return value
}

// places are the fields that hold positions within the text.
var places = map[string]bool{"location": true, "stmt_location": true, "stmt_len": true, "version": true}
