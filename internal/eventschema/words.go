package eventschema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// articles has the types of JSON for sentences.
var articles = map[string]string{
	"null": "null", "boolean": "a boolean", "number": "a number", "integer": "a whole number", "string": "a string",
	"array": "an array", "object": "an object",
}

func wrongType(got string, want []string) string {
	fits := make([]string, len(want))
	for i, name := range want {
		fits[i] = articles[name]
		if got == "number" && name == "integer" {
			return "is not a whole number"
		}
	}
	return "is " + articles[got] + ", not " + strings.Join(fits, " or ")
}

// wordsOf says what is wrong with a value. It quotes the schema, never the value, which may be personal.
func wordsOf(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Enum:
		return "is not " + choices(k.Want)
	case *kind.Const:
		return "is not " + choices([]any{k.Want})
	case *kind.Format:
		if k.Want == "regex" {
			return describeExpression(k.Got, k.Err)
		}
		return "is not of the format " + cut(k.Want)
	case *kind.Minimum:
		return "is less than " + decimal(k.Want)
	case *kind.Maximum:
		return "is more than " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "is not more than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "is not less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return "is not a multiple of " + decimal(k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("has fewer than %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has more than %d characters", k.Want)
	case *kind.Pattern:
		return "does not match " + cut(k.Want)
	case *kind.ContentEncoding:
		return "is not " + cut(k.Want)
	case *kind.ContentMediaType:
		return "does not contain " + cut(k.Want)
	case *kind.ContentSchema:
		return "contains what does not fit its contentSchema"
	}
	return wordsOfMany(e)
}

// wordsOfMany says it of objects, arrays and keywords for any value.
func wordsOfMany(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.FalseSchema:
		if strings.HasSuffix(e.SchemaURL, "/unevaluatedProperties") {
			return "is not a member of the schema"
		}
		return "is not allowed"
	case *kind.PropertyNames:
		for _, cause := range e.Causes { // of the draft's own schema: names that are regular expressions
			if format, is := cause.ErrorKind.(*kind.Format); is && format.Want == "regex" {
				return describeExpression(k.Property, format.Err)
			}
		}
		return fmt.Sprintf("has the member %q, a name that is not allowed", cut(k.Property))
	case *kind.MinProperties:
		return fmt.Sprintf("has fewer than %d members", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has more than %d members", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has fewer than %d elements", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has more than %d elements", k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("has the same value as elements %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "has no element such as contains wants"
	case *kind.MinContains:
		return fmt.Sprintf("has fewer than %d elements such as contains wants", k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("has more than %d elements such as contains wants", k.Want)
	case *kind.OneOf:
		return "fits more than one alternative of oneOf"
	case *kind.Not:
		return "fits what the schema excludes by not"
	case *kind.RefCycle:
		return "cannot be checked: the schema applies itself to the same value again, without end"
	}
	return "does not fit the schema"
}

// choices are the values of an enum, from the schema.
func choices(values []any) string {
	const most = 5
	var texts []string
	for _, value := range values[:min(len(values), most)] {
		text, err := json.Marshal(value)
		if err != nil {
			return "one of the values of the schema"
		}
		texts = append(texts, cut(string(text)))
	}
	list := strings.Join(texts, " or ")
	if len(values) > most {
		list = fmt.Sprintf("one of the %d values of the schema, such as %s", len(values), texts[0])
	}
	return list
}

// decimal writes a number of a schema with all its digits.
func decimal(n *big.Rat) string {
	digits, _ := n.FloatPrec() // exact: it was a decimal number
	return cut(n.FloatString(digits))
}
