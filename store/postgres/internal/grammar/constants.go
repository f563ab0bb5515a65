package grammar

import (
	"regexp"
	"strings"
)

// isoMoment is a date, a time, or both, by ISO 8601, or one of the words that always mean the same.
const isoMoment = `(?:\d{4,6}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,12})?)? ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?|\d{2}:\d{2}(?::\d{2}(?:\.\d{1,12})?)? ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?|-?infinity|epoch)`

var (
	momentText = regexp.MustCompile(`^` + isoMoment + `$`)
	rangeText  = regexp.MustCompile(`^(?:empty|[\[(](?:"?` + isoMoment + `"?)? ?, ?(?:"?` + isoMoment + `"?)?[\])])$`)

	// clockWords are those that PostgreSQL reads relative to the day or the moment, wherever they are in the
	// text of a date, a range, a row or an array.
	clockWords     = regexp.MustCompile(`(?i)(?:^|[^a-z])(?:now|today|tomorrow|yesterday)(?:[^a-z]|$)`)
	withoutEscapes = strings.NewReplacer(`\`, "", `"`, "")
	// machineZones are names of time zones that mean another one on each machine.
	machineZones = regexp.MustCompile(`(?i)(?:^|[^a-z])(?:localtime|posixrules)(?:[^a-z]|$)`)
)

// constant notes a text with a word of the clock.
func (w *walk) constant(fields map[string]any) []string {
	text, _ := member(fields["sval"], "sval").(string)
	// Within an array, a range or a row, a backslash is left out, and so are quotes.
	if bare := withoutEscapes.Replace(text); w.clock == "" &&
		(clockWords.MatchString(text) || clockWords.MatchString(bare)) {
		w.clock = text
	}
	if machineZones.MatchString(text) {
		w.refuse("has the time zone %.60q, which is that of the machine", text)
	}
	return nil
}

// cast demands that a text that is written as a date or a time is one by ISO 8601: other forms depend on settings,
// and words on the clock.
func (w *walk) cast(fields map[string]any) []string {
	kind, constant := only(fields["arg"])
	text, isText := member(constant["sval"], "sval").(string)
	if kind != "A_Const" || constant["sval"] == nil {
		return nil
	}
	if !isText {
		text = "" // an empty one is left out
	}
	typeName, _ := fields["typeName"].(map[string]any)
	list := texts(typeName["names"])
	if len(list) == 0 {
		return nil
	}
	name := strings.ToLower(list[len(list)-1])
	isArray := typeName["arrayBounds"] != nil
	switch {
	case momentTypes[name] && isArray, momentRanges[name] && isArray, momentMultiranges[name]:
		w.refuse("has %.60q as %s in one text: write ARRAY['…'::%[2]s, …] or a call", text, name)
	case momentTypes[name] && !momentText.MatchString(text), momentRanges[name] && !rangeText.MatchString(text):
		w.refuse("has %.60q as %s: a date or time is written by ISO 8601, such as '2006-01-02T15:04:05Z', and "+
			"'now', 'today' and their like give other results in a rebuild", text, name)
	}
	return nil
}

var (
	momentTypes       = set(`date time timetz timestamp timestamptz`)
	momentRanges      = set(`daterange tsrange tstzrange`)
	momentMultiranges = set(`datemultirange tsmultirange tstzmultirange`)
)

func set(words string) map[string]bool {
	all := map[string]bool{}
	for _, word := range strings.Fields(words) {
		all[word] = true
	}
	return all
}
