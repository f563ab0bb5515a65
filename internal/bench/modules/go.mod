module github.com/pupwasm/pupwasm/internal/bench/modules

go 1.24

require github.com/pupwasm/pupwasm/guest-sdk v0.0.0

replace github.com/pupwasm/pupwasm/guest-sdk => ../../../guest-sdk
