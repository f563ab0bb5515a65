// Command balance_2 is version 2 of the projection of docs/versions.md.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/balance"

func init() { balance.Register(2) }

func main() {}
