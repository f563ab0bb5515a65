#!/usr/bin/env bash
# Events of customers and of their orders, which are other streams, meet in one row.
. "$(dirname "$0")/../lib.sh" "$@"

build customer_totals
show pupwasm append events.jsonl
show pupwasm run --once modules --segments 4
show pupwasm rows customer_totals customers
show pupwasm rows customer_totals averages --key customer_id=c1
