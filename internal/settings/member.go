package settings

import (
	"strconv"
	"strings"
	"time"
)

// Shown is the value for an error.
func (m *Member) Shown() string {
	switch m.Kind {
	case List:
		return "a list"
	case Section:
		return "a section"
	case Empty:
		return "empty"
	}
	if !m.Plain {
		return strconv.Quote(Show(m.Text))
	}
	return Show(m.Text)
}

// must is the fault of a value that is not as it must be.
func (m *Member) must(be string) *Fault {
	return m.Value.Fault("%s must be %s, it is %s", m.Name, be, m.Shown())
}

// whole returns a number from least to most, in decimal digits.
func (m *Member) whole(least, most int64) (int64, *Fault) {
	n, err := strconv.ParseInt(m.Text, 10, 64)
	if m.Kind != Scalar || !m.Plain || err != nil || n < least || n > most || strings.HasPrefix(m.Text, "+") {
		return 0, m.must(wholeAllowed(least, most))
	}
	return n, nil
}

func wholeAllowed(least, most int64) string {
	return "a whole number from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10)
}

// duration returns a time from least to most, such as 500ms or 1m30s.
func (m *Member) duration(least, most time.Duration) (time.Duration, *Fault) {
	d, err := time.ParseDuration(m.Text)
	if m.Kind != Scalar || err != nil || d < least || d > most {
		return 0, m.must(durationAllowed(least, most))
	}
	return d, nil
}

func durationAllowed(least, most time.Duration) string {
	return "a time from " + formatDuration(least) + " to " + formatDuration(most) + " with its unit, such as 500ms, 10s or 2m"
}

// formatDuration writes a duration without the parts that are 0.
func formatDuration(d time.Duration) string {
	text := d.String()
	for _, nothing := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, nothing) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// oneOf returns one of some words.
func (m *Member) oneOf(words ...string) (string, *Fault) {
	for _, word := range words {
		if m.Kind == Scalar && m.Text == word {
			return word, nil
		}
	}
	return "", m.must(oneOfAllowed(words))
}

func oneOfAllowed(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// boolean returns true or false.
func (m *Member) boolean() (bool, *Fault) {
	if m.Kind == Scalar && m.Plain && (m.Text == "true" || m.Text == "false") {
		return m.Text == "true", nil
	}
	return false, m.must("true or false")
}
