// Command balance_by_key is balance, divided by the account that the payload names.
package main

import (
	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/internal/bench/modules/accounts"
)

func init() { accounts.Register("bench_by_key", pup.ByJSON("account")) }

func main() {}
