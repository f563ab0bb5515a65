// Package oneline puts texts and errors into one line, for logs, the status and the terminal.
package oneline

import (
	"errors"
	"strings"
	"unicode"
)

// Text returns a text with each run of white space and control characters as one blank.
func Text(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// Of returns the text of an error in one line. Errors that errors.Join has put together are separated by semicolons.
func Of(err error) string {
	if joined, is := err.(interface{ Unwrap() []error }); is { // the outermost one only
		errs := joined.Unwrap()
		if again := errors.Join(errs...); again != nil && again.Error() == err.Error() {
			lines := make([]string, len(errs))
			for i, one := range errs {
				lines[i] = Of(one)
			}
			return strings.Join(lines, "; ")
		}
	}
	return Text(err.Error())
}

// Error returns an error with the same text in one line, which wraps the one given.
func Error(err error) error { return &lineError{err} }

type lineError struct{ error }

func (e *lineError) Error() string { return Of(e.error) }
func (e *lineError) Unwrap() error { return e.error }
