// Command customer_poisoned is customer_fold, under the same name and version, that refuses events of type Poison. It
// is for tests of the host.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/customer_fold/customers"

func init() { customers.Register(true) }

func main() {}
