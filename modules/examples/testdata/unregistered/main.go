// Command unregistered forgets to register its projection. It is for tests of the host.
package main

import pup "github.com/pupwasm/pupwasm/guest-sdk"

var _ = pup.NewTable("users", pup.Text("user_id").Key())

func main() {}
