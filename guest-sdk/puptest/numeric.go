package puptest

import (
	"regexp"
	"strings"
)

var numericForm = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?$`)

// isNumeric tells whether text is a numeric: a sign counts as no digit, a point as one, as in the host.
func isNumeric(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	return len(digits) <= 1000 && numericForm.MatchString(text)
}

// canonicalNumeric returns the shortest text of the same number: "1.50" and "+1.5" are both "1.5".
func canonicalNumeric(n Numeric) Numeric {
	text := rational(n).FloatString(decimals(n))
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		text = "0"
	}
	return Numeric(text)
}
