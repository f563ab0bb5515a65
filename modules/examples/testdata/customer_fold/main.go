// Command customer_fold keeps a count and a sum per customer, over orders that are streams of their own and
// name their customer. It is for tests of the host: every order must be counted, however the customers are
// divided.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/customer_fold/customers"

func init() { customers.Register(false) }

func main() {}
