package pupwasm

import "github.com/pupwasm/pupwasm/host"

// CompilerMain makes a program its own compiler of modules: they are compiled in a child process, which has
// limits of memory and time. Call it first in main. It returns at once, unless the program was started to
// compile; then it compiles, and ends the process.
func CompilerMain() { host.CompilerMain() }
