// Command tally_1 is version 1 of a projection for tests of the host.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/tally"

func init() { tally.Register(1) }

func main() {}
