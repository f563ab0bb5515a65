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
func environmentNames(flag *pflag.Flag) []string {
	if names, others := flag.Annotations[environmentAnnotation]; others {
		return names
	}
	return []string{"PUPWASM_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))}
}

// environmentAnnotation has the variables of a flag that are not called after it.
const environmentAnnotation = "environment"

// inEnvironment says by which variables a flag is set.
func inEnvironment(flags *pflag.FlagSet, flag string, names ...string) {
	_ = flags.SetAnnotation(flag, environmentAnnotation, names) // fails only for a flag that is not there
}

// environmentOfURL is the variable for the URL of a database that a flag names.
func environmentOfURL(flag string) string { return "PUPWASM_" + strings.ToUpper(flag) + "_URL" }

// flagsFromEnvironment sets every flag that the command line leaves out and a variable has. A flag that may be
// repeated takes a list with commas. An empty variable is none. It notes the variables in origins.
func flagsFromEnvironment(flags *pflag.FlagSet, origins map[string]origin) error {
	var fault error
	flags.VisitAll(func(flag *pflag.Flag) {
		if fault != nil || flag.Changed || slices.Contains(noEnvironment, flag.Name) {
			return
		}
		for _, name := range environmentNames(flag) {
			value := os.Getenv(name)
			if value == "" {
				continue
			}
			origins[flag.Name] = origin{source: fromVariable, where: name}
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
