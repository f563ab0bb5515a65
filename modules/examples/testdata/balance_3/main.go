// Command balance_3 is version 3 of the projection of docs/versions.md.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/balance"

func init() { balance.Register(3) }

func main() {}
