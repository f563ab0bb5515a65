// Command tally_3 is version 3 of a projection for tests of the host.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/tally"

func init() { tally.Register(3) }

func main() {}
