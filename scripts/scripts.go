// Package scripts has the scripts of this folder that a program runs, too.
package scripts

import _ "embed" // the scripts

// TinyGo is tinygo.sh, for 'bash -c'. It takes no arguments.
//
//go:embed tinygo.sh
var TinyGo string
