// Package oneline puts texts and errors into one line, for logs, the status and the terminal.
package oneline

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
)

// Text returns a text with each run of white space and control characters as one blank.
func Text(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// Of returns the text of an error in one line. Errors that errors.Join has put together are separated by semicolons.
func Of(err error) string {
	var lines []string
	for _, one := range Split(err) {
		lines = append(lines, Text(one.Error()))
	}
	return strings.Join(lines, "; ")
}

// Split returns the errors that errors.Join has put together, also within each other, or the one given.
func Split(err error) []error {
	joined, is := err.(interface{ Unwrap() []error }) // the outermost one only
	if !is {
		return []error{err}
	}
	parts := joined.Unwrap()
	if again := errors.Join(parts...); again == nil || again.Error() != err.Error() {
		return []error{err} // it has words of its own
	}
	var all []error
	for _, part := range parts {
		all = append(all, Split(part)...)
	}
	return all
}

// Error returns an error with the same text in one line, which wraps the one given.
func Error(err error) error { return &lineError{err} }

type lineError struct{ error }

// Error is the text of the error in one line.
func (e *lineError) Error() string { return Of(e.error) }

// Unwrap returns the error itself.
func (e *lineError) Unwrap() error { return e.error }

// Count is a number of things: 1 segment, 2 segments.
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}
