package main_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptMembers checks that a file, such as stdout, is one JSON value and nothing else, and that it, or every element of
// it, is an object with these members.
func scriptMembers(ts *testscript.TestScript, _ bool, args []string) {
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var value any
	ts.Check(decoder.Decode(&value))
	var more any
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		ts.Fatalf("there is more than one JSON value: %v", err)
	}
	elements, isArray := value.([]any)
	if !isArray {
		elements = []any{value}
	}
	if len(elements) == 0 && len(args) > 1 {
		ts.Fatalf("the array is empty")
	}
	want := slices.Sorted(slices.Values(args[1:]))
	for _, element := range elements {
		object, _ := element.(map[string]any)
		if got := slices.Sorted(maps.Keys(object)); !slices.Equal(got, want) {
			ts.Fatalf("the members are %s, must be %s", strings.Join(got, " "), strings.Join(want, " "))
		}
	}
}
