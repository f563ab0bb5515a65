package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// flagError rewords errors of the flag parser, which speak of types of Go.
func flagError(err error) string {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	flag := invalid.GetFlag()
	return fmt.Sprintf("--%s %q: %s", flag.Name, invalid.GetValue(),
		invalidValue(flag.Value.Type(), errors.Unwrap(invalid)))
}

// invalidValue says what is wrong with a value that does not have the type of its flag.
func invalidValue(kind string, cause error) string {
	tooLarge := errors.Is(cause, strconv.ErrRange) || cause != nil &&
		strings.Contains(cause.Error(), strconv.ErrRange.Error())
	switch {
	case kind == "int" || kind == "int64":
		if tooLarge {
			return "is too large"
		}
		return "is not a whole number"
	case kind == "float64":
		if tooLarge {
			return "is too large"
		}
		return "is not a number"
	case kind == "duration":
		return "is not a duration with a unit, such as 500ms, 10s or 2m"
	case kind == "bool":
		return "must be true or false"
	}
	return fmt.Sprintf("is not of type %s", kind)
}
