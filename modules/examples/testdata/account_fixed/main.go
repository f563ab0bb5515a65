// Command account_fixed is account without its fault, under the same name and version. It is for tests of bundles.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/account/ledger"

func init() { ledger.Register(true) }

func main() {}
