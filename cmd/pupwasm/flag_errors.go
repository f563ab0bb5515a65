package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/settings"
)

// flagError rewords errors of the flag parser, which speak of types of Go, and says what to do.
func flagError(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("see '%s --help'", cmd.CommandPath())
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return usagef("--%s %q: %s: %s", flag.Name, invalid.GetValue(),
			invalidValue(flag.Value.Type(), errors.Unwrap(invalid)), hint)
	case errors.As(err, &unknown):
		if near := nearFlag(cmd, unknown); near != "" {
			hint = fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return usagef("%v: %s", err, hint)
}

// nearFlag returns the flag of a command that somebody meant who has misspelt it, or who has begun it with one dash; or
// "" where none is near.
func nearFlag(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	misspelt := unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		misspelt, _, _ = strings.Cut(short, "=")
	}
	if len(misspelt) < 2 {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden && flag.Deprecated == "" {
			names = append(names, flag.Name)
		}
	})
	return settings.Nearest(strings.ToLower(misspelt), names)
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
