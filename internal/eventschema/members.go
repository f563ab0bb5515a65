package eventschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// draft is the only dialect that schemas may have, also within others.
const draft = "https://json-schema.org/draft/2020-12/schema"

// enumMax bounds the values that a value is compared with.
const enumMax = 1000

// lengths are the keywords whose numbers the validator has as int.
var lengths = []string{
	"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains",
}

// checkMembers refuses what the validator would take for something else, or at any cost. It does not tell keywords from
// values that look like them, such as in an example: those are refused too.
func checkMembers(value any, path []step) error {
	switch value := value.(type) {
	case []any:
		for i, element := range value {
			if err := checkMembers(element, append(path, step{index: i, element: true})); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			member := append(path, step{name: name})
			if what := checkMember(name, value[name]); what != "" {
				return &valueError{member, what}
			}
			if err := checkMembers(value[name], member); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkMember(name string, value any) string {
	switch value := value.(type) {
	case string:
		if name == "$schema" && strings.TrimSuffix(value, "#") != draft {
			return "is another dialect of schemas: only draft 2020-12 is read, whose $schema is " + draft
		}
	case json.Number:
		if slices.Contains(lengths, name) {
			if n, err := strconv.ParseFloat(string(value), 64); err != nil || n > 1<<31-1 {
				return fmt.Sprintf("is larger than %d", 1<<31-1)
			}
		}
	case []any:
		if name == "enum" && len(value) > enumMax {
			return fmt.Sprintf("has more than %d values", enumMax)
		}
	}
	return ""
}

// anchored returns the JSON pointers of the objects that a $dynamicRef may lead to, as fragments of a URL.
func anchored(value any, pointer string) (found []string) {
	switch value := value.(type) {
	case []any:
		for i, element := range value {
			found = append(found, anchored(element, pointer+"/"+strconv.Itoa(i))...)
		}
	case map[string]any:
		if _, is := value["$dynamicAnchor"].(string); is {
			found = append(found, pointer)
		}
		for name, member := range value {
			found = append(found, anchored(member, pointer+"/"+escapeToken(name))...)
		}
	}
	return found
}
