package grammar

import "strings"

// Functions are the names of the functions on the lists, in small letters.
func Functions() map[string]bool {
	all := map[string]bool{"json_table": true}
	for _, list := range []map[string]bool{functions, aggregates, windows} {
		for name := range list {
			all[strings.ToLower(name)] = true
		}
	}
	return all
}
