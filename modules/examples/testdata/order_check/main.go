// Command order_check records every event whose version does not follow the one that the projection saw before
// in the same stream, and counts what it saw. It is for tests of the host.
package main

import "github.com/pupwasm/pupwasm/modules/examples/testdata/order_check/check"

func init() { check.Register(false) }

func main() {}
