module github.com/pupwasm/pupwasm/examples/poison_event/projections

go 1.24

require github.com/pupwasm/pupwasm/guest-sdk v0.0.0

replace github.com/pupwasm/pupwasm/guest-sdk => ../../../guest-sdk
