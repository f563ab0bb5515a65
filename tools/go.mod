module github.com/pupwasm/pupwasm/tools

go 1.26.0

tool mvdan.cc/gofumpt

require (
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	mvdan.cc/gofumpt v0.12.0 // indirect
)
