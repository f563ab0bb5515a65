// Command account keeps the balance of every account, and fails where one that has money is closed. It is for tests of
// bundles; account_fixed has the fault no more.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/account/ledger"

func init() { ledger.Register(false) }

func main() {}
