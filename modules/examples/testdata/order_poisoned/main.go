// Command order_poisoned is order_check, under the same name and version, that panics at events of type Poison. It is
// for tests of the host.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/order_check/check"

func init() { check.Register(true) }

func main() {}
