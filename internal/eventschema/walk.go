package eventschema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// heightMax bounds how many schemas apply each other to one value.
const heightMax = 200

// visiting is the height of a schema that is not known yet.
const visiting = -1

// walk makes the schemas that it reaches count their work, and refuses those that it must not.
type walk struct {
	work    *work
	heights map[*jsonschema.Schema]int // of those reached: how many apply each other to one value, itself included
}

// visit goes through a schema and all that it applies to a value or to parts of it.
func (w *walk) visit(root *jsonschema.Schema) error {
	waiting := []*jsonschema.Schema{root}
	for len(waiting) > 0 {
		next := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if _, err := w.visitSame(next, &waiting); err != nil {
			return err
		}
	}
	return nil
}

// visitSame goes through what a schema applies to the same value, and adds what it applies to others to waiting. It
// returns the schema's height.
func (w *walk) visitSame(s *jsonschema.Schema, waiting *[]*jsonschema.Schema) (int, error) {
	switch height := w.heights[s]; {
	case height > 0:
		return height, nil
	case height == visiting:
		return 0, fmt.Errorf("%s applies itself to the same value again, without end", named(s.Location))
	}
	if !strings.HasPrefix(s.Location, base) {
		return 0, errRemote(s.Location)
	}
	w.heights[s] = visiting
	height := 1
	for _, part := range sameValue(s) {
		below, err := w.visitSame(part, waiting)
		if err != nil {
			return 0, err
		}
		height = max(height, 1+below)
	}
	if height > heightMax {
		return 0, fmt.Errorf("%s applies more than %d schemas in a row to one value", named(s.Location), heightMax)
	}
	*waiting = append(*waiting, otherValues(s)...)
	w.heights[s] = height
	replaceChecks(s)
	w.work.replaceEnums(s)
	w.work.guard(s)
	return height, nil
}

// sameValue returns the parts of a schema that are applied to the value itself.
func sameValue(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := slices.Concat(s.AllOf, s.AnyOf, s.OneOf)
	if s.DynamicRef != nil {
		parts = append(parts, s.DynamicRef.Ref)
	}
	for _, part := range s.DependentSchemas {
		parts = append(parts, part)
	}
	return present(append(parts, s.Ref, s.Not, s.If, s.Then, s.Else)...)
}

// otherValues returns the parts of a schema that are applied to members, elements, names or contents of the value.
func otherValues(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := slices.Clone(s.PrefixItems)
	for _, part := range s.Properties {
		parts = append(parts, part)
	}
	for _, part := range s.PatternProperties {
		parts = append(parts, part)
	}
	if part, is := s.AdditionalProperties.(*jsonschema.Schema); is {
		parts = append(parts, part)
	}
	// dependencies is of older drafts. The draft's own schema has it, and so has the compiler.
	for _, dependency := range s.Dependencies {
		if part, is := dependency.(*jsonschema.Schema); is {
			parts = append(parts, part)
		}
	}
	return present(append(parts, s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems,
		s.ContentSchema, s.RecursiveRef)...)
}

func present(parts ...*jsonschema.Schema) []*jsonschema.Schema {
	return slices.DeleteFunc(parts, func(s *jsonschema.Schema) bool { return s == nil })
}

// replaceChecks takes the checks of names and contents from a schema and makes extensions of them: the validator's own
// (v6.0.3) name the place of another member.
func replaceChecks(s *jsonschema.Schema) {
	if s.PropertyNames != nil {
		s.Extensions = append(s.Extensions, namesCheck{s.PropertyNames})
		s.PropertyNames = nil
	}
	if s.ContentSchema != nil {
		s.Extensions = append(s.Extensions, contentCheck{s.ContentEncoding, s.ContentMediaType, s.ContentSchema})
		s.ContentSchema = nil
	}
}

// namesCheck is the keyword propertyNames.
type namesCheck struct{ schema *jsonschema.Schema }

// Validate checks the names of the members of an object.
func (c namesCheck) Validate(ctx *jsonschema.ValidatorContext, v any) {
	object, _ := v.(map[string]any)
	for name := range object {
		if c.schema.Validate(name) != nil {
			ctx.AddError(&kind.PropertyNames{Property: name})
		}
	}
}

// contentCheck is the keyword contentSchema. What cannot be decoded is a fault of other keywords.
type contentCheck struct {
	encoding  *jsonschema.Decoder
	mediaType *jsonschema.MediaType
	schema    *jsonschema.Schema
}

// Validate checks the value that a text contains.
func (c contentCheck) Validate(ctx *jsonschema.ValidatorContext, v any) {
	text, is := v.(string)
	if !is {
		return
	}
	content, err := []byte(text), error(nil)
	if c.encoding != nil {
		content, err = c.encoding.Decode(text)
	}
	if err != nil {
		return
	}
	if value, err := c.mediaType.UnmarshalJSON(content); err == nil && c.schema.Validate(value) != nil {
		ctx.AddError(&kind.ContentSchema{})
	}
}
