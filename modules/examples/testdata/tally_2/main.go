// Command tally_2 is version 2 of a projection for tests of the host.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/tally"

func init() { tally.Register(2) }

func main() {}
