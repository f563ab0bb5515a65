// Command balance keeps the balance of every account: workload W1 of the benchmarks.
package main

import (
	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/internal/bench/modules/accounts"
)

func init() { accounts.Register("bench_balance", pup.ByStream()) }

func main() {}
