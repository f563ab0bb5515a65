package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// noEnvironment are the flags that no variable sets: a permanent confirmation would be none.
var noEnvironment = []string{"yes", "help", "version"}

// environmentNames returns the variables of a flag, the one that wins first.
func environmentNames(flag string) []string {
	name := "PUPWASM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if flag == "database" {
		return []string{"PUPWASM_DATABASE_URL", name}
	}
	return []string{name}
}

// flagsFromEnvironment sets every flag that the command line leaves out and a variable has. A flag that may be
// repeated takes a list with commas. An empty variable is none.
func flagsFromEnvironment(flags *pflag.FlagSet) error {
	var fault error
	flags.VisitAll(func(flag *pflag.Flag) {
		if fault != nil || flag.Changed || slices.Contains(noEnvironment, flag.Name) {
			return
		}
		for _, name := range environmentNames(flag.Name) {
			value := os.Getenv(name)
			if value == "" {
				continue
			}
			values := []string{value}
			if flag.Value.Type() == "stringArray" {
				values = strings.Split(value, ",")
			}
			for _, v := range values {
				if err := flags.Set(flag.Name, v); err != nil {
					fault = usagef("the variable %s: %q %s", name, v, invalidValue(flag.Value.Type(), err))
				}
			}
			return
		}
	})
	return fault
}
