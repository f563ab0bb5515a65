package eventschema

import (
	"fmt"
	"strings"
	"testing"
)

// TestCheck_countsTheWorkOf has payloads whose checks take long without a schema that looks dangerous.
func TestCheck_countsTheWorkOf(t *testing.T) {
	t.Parallel()
	numbers := make([]string, 1000)
	for i := range numbers {
		numbers[i] = fmt.Sprint(i) + ".5"
	}
	enum := `{"enum": [` + strings.Join(numbers, ",") + `]}`
	names := make([]string, 50)
	for i := range names {
		names[i] = fmt.Sprintf(`"member %d"`, i)
	}
	for name, c := range map[string]struct{ items, payload, want string }{
		"enum":      {enum, strings.Repeat("7,", 2000) + "7", "payload[0]: is not "},
		"enums":     {`{"anyOf": [` + strings.Repeat(enum+",", 17) + enum + `]}`, strings.Repeat("7,", 40_000) + "7", "takes too much work to check"},
		"required":  {`{"required": [` + strings.Join(names, ",") + `]}`, strings.Repeat("{},", 15_000) + "{}", "takes too much work to check"},
		"regex":     {`{"format": "regex"}`, strings.Repeat(`"`+strings.Repeat(`\\pL`, 2000)+`",`, 100) + `"a"`, "takes too much work to check"},
		"const":     {`{"const": {"b": [1.0, "x"], "a": null}}`, `{"a": null, "b": [1, "x"]}`, ""},
		"not const": {`{"const": {"b": [1.0, "x"], "a": null}}`, `{"a": null, "b": [1, "y"]}`, "payload[0]: is not "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := Load(folder(t, "a.json", `{"x-event": {"type": "A", "version": 1}, "items": `+c.items+`}`))
			if err != nil {
				t.Fatal(err)
			}
			set.work.most /= 10 // the whole takes seconds
			err = set.Check(Event{Type: "A", Version: 1}, []byte("["+c.payload+"]"))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.300v, want %q", err, c.want)
			}
		})
	}
}

func TestCheck_showsNoExpressionOfAPayload(t *testing.T) {
	t.Parallel()
	set, err := Load(folder(t, "a.json", `{"x-event": {"type": "A", "version": 1}, "items": {"format": "regex"}}`))
	if err != nil {
		t.Fatal(err)
	}
	err = set.Check(Event{Type: "A", Version: 1}, []byte(`["DE89 3704 (ann@example.org"]`))
	if err == nil || err.Error() != "payload[0]: is not of the format regex (A version 1)" {
		t.Error(err)
	}
}
