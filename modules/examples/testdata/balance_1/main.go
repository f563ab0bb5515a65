// Command balance_1 is version 1 of the projection of docs/versions.md.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/balance"

func init() { balance.Register(1) }

func main() {}
