package eventschema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Bounds of work, for schemas whose parts are applied to one value again and again.
const (
	// workMax is the work for one payload: about one unit for each time that a part of a schema is applied to a value.
	workMax = 500_000
	// textPerUnit is the bytes of text, or steps of a regular expression over it, that are as much work as a value.
	textPerUnit = 256
	// dynamicUnits is the work of a $dynamicRef, which looks through all schemas around it.
	dynamicUnits = 20
	// compileUnits is the work of a byte of a regular expression in a payload, which the format regex compiles.
	compileUnits = 50

	patternBytesMax = 10_000
	patternStepsMax = 10_000    // of the program of one regular expression
	stepsOfAllMax   = 1_000_000 // of those of all schemas of a folder
)

// errTooMuchWork ends the check of a payload.
var errTooMuchWork = errors.New("takes too much work to check")

// work counts what the check of a payload costs.
type work struct {
	most int // for a payload
	left int
}

func (w *work) spend(units int) error {
	if w.left -= units; w.left < 0 {
		return errTooMuchWork
	}
	return nil
}

// guard makes a compiled schema count its work. The validator asks for the format of a value before it goes further
// into the schema or the value, and goes no further when it is not met. So all parts end soon after the last unit.
func (w *work) guard(s *jsonschema.Schema) {
	own := s.Format
	counted := &jsonschema.Format{Validate: func(v any) error {
		if err := w.spend(cost(s, v)); err != nil || own == nil {
			return err
		}
		return own.Validate(v)
	}}
	if own != nil {
		counted.Name = own.Name
	}
	s.Format = counted
}

// cost is the work of applying a schema to a value, without its parts to the value's parts.
func cost(s *jsonschema.Schema, v any) int {
	units := 1
	if s.DynamicRef != nil {
		units += dynamicUnits
	}
	switch v := v.(type) {
	case string:
		units += len(v) / textPerUnit
		if s.Format != nil && s.Format.Name == "regex" {
			units += compileUnits * len(v)
		}
		if s.Pattern != nil {
			units += matchCost(s.Pattern, v)
		}
	case []any:
		units += len(v)
	case map[string]any:
		units += len(v) + len(s.Required)
		for pattern := range s.PatternProperties {
			for name := range v {
				units += 1 + matchCost(pattern, name)
			}
		}
	}
	return units
}

func matchCost(with jsonschema.Regexp, text string) int {
	steps := 1
	if p, is := with.(*pattern); is {
		steps = p.steps
	}
	return len(text) * steps / textPerUnit
}

// pattern is a regular expression that knows the length of its program.
type pattern struct {
	*regexp.Regexp
	steps int
}

// patterns compiles the regular expressions of the schemas of a folder.
type patterns struct{ left int }

// compile is the engine of a compiler. Go's expressions take a time that is linear in the text, and have no look-ahead
// and no references back.
func (p *patterns) compile(text string) (jsonschema.Regexp, error) {
	if len(text) > patternBytesMax {
		return nil, fmt.Errorf("a regular expression of more than %d bytes", patternBytesMax)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	steps := len(program.Inst)
	if p.left -= steps; steps > patternStepsMax || p.left < 0 {
		return nil, errors.New("a regular expression that is too large, alone or with the others")
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &pattern{compiled, steps}, nil
}
