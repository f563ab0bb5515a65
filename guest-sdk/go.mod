module github.com/pupwasm/pupwasm/guest-sdk

go 1.24
