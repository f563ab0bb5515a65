package eventschema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// faultsMax is how many faults an error has.
const faultsMax = 3

// fault is one way in which a value does not fit.
type fault struct {
	at   []string // tokens of a JSON pointer
	what string

	got  string   // of a wrong type
	want []string // the types that fit

	choice bool // of a value that is none of some, which may say what the rest of an object is
}

// describe turns an error of the validator into one line about the value, which has the name root.
func describe(err error, root string, value any) string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	if root != "" {
		withoutValues(invalid)
	}
	faults := faultsOf(invalid)
	slices.SortFunc(faults, func(a, b fault) int {
		return cmp.Or(slices.CompareFunc(a.at, b.at, compareTokens), strings.Compare(a.what, b.what))
	})
	var texts []string
	for _, f := range faults {
		place, what := pathText(root, steps(value, f.at)), f.what
		if place == "" {
			place = "the schema"
		}
		if text := place + ": " + what; len(texts) == 0 || texts[len(texts)-1] != text {
			texts = append(texts, text)
		}
	}
	more := ""
	if left := len(texts) - faultsMax; left > 0 {
		more = fmt.Sprintf("; and %d more", left)
	}
	return strings.Join(texts[:min(len(texts), faultsMax)], "; ") + more
}

// withoutValues takes out of an error about a payload what the line would quote of the payload.
func withoutValues(e *jsonschema.ValidationError) {
	if k, is := e.ErrorKind.(*kind.Format); is && k.Want == "regex" {
		k.Got = nil
	}
	for _, cause := range e.Causes {
		withoutValues(cause)
	}
}

// compareTokens compares the names of members, or the numbers of elements.
func compareTokens(a, b string) int {
	i, errA := strconv.Atoi(a)
	j, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return cmp.Compare(i, j)
	}
	return strings.Compare(a, b)
}

// faultsOf returns the innermost causes of an error. Of alternatives it takes those of one.
func faultsOf(e *jsonschema.ValidationError) []fault {
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		var all []fault
		for _, cause := range e.Causes {
			all = append(all, faultsOf(cause)...)
		}
		return all
	case *kind.AnyOf:
		return ofAlternatives(e)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return ofAlternatives(e)
		}
	case *kind.Required:
		return ofMembers(e, k.Missing, "is missing")
	case *kind.DependentRequired:
		return ofMembers(e, k.Missing, "is missing, since "+cut(k.Prop)+" is there")
	case *kind.AdditionalProperties:
		return ofMembers(e, k.Properties, "is not a member of the schema")
	case *kind.Type:
		return []fault{{at: e.InstanceLocation, what: wrongType(k.Got, k.Want), got: k.Got, want: k.Want}}
	case *kind.Enum, *kind.Const:
		return []fault{{at: e.InstanceLocation, what: wordsOf(e), choice: true}}
	}
	return []fault{{at: e.InstanceLocation, what: wordsOf(e)}}
}

func ofMembers(e *jsonschema.ValidationError, names []string, what string) (faults []fault) {
	for _, name := range names {
		faults = append(faults, fault{at: append(slices.Clip(e.InstanceLocation), name), what: what})
	}
	return faults
}

// ofAlternatives returns the faults of the alternative that was most likely meant: one for values of this type, whose
// constants are met, and of those the one with the deepest fault.
func ofAlternatives(e *jsonschema.ValidationError) []fault {
	var best []fault
	bestScore := []int{-1}
	here := len(e.InstanceLocation)
	types := []string{}
	got := ""
	for _, cause := range e.Causes {
		faults := faultsOf(cause)
		score := []int{2, 0, -len(faults)}
		for _, f := range faults {
			switch {
			case f.want != nil && len(f.at) == here:
				score[0] = 0
				got, types = f.got, append(types, f.want...)
			case f.choice:
				score[0] = min(score[0], 1)
			}
			score[1] = max(score[1], len(f.at))
		}
		if slices.Compare(score, bestScore) > 0 {
			best, bestScore = faults, score
		}
	}
	if bestScore[0] == 0 && got != "" {
		slices.Sort(types)
		types = slices.Compact(types)
		return []fault{{at: e.InstanceLocation, what: wrongType(got, types), got: got, want: types}}
	}
	return best
}
