# make help lists the targets.

SHELL := /bin/bash
GO ?= go
EXAMPLES := $(notdir $(patsubst %/main.go,%,$(wildcard modules/examples/*/main.go)))
MODULES := $(EXAMPLES:%=bin/modules/%.wasm)
GO_MODULES := . guest-sdk modules/examples examples/poison_event/projections examples/versioned_events internal/bench \
	internal/bench/modules deploy
TOOL := GOWORK=off $(GO) tool -modfile=tools/go.mod
# BENCH=full runs the long form of the benchmarks and writes docs/benchmarks.md; BENCH_FLAGS are flags of internal/bench.
BENCH ?= short
BENCHMARKS := ./host/... ./store/... ./segments ./internal/metrics
# TEST_TIMEOUT bounds the tests of one package. Slow ones compile modules for most of their time, which the race detector
# makes several times slower; the bound leaves room for a machine that is busy with other work as well.
TEST_TIMEOUT := 40m
# A program with the race detector sleeps for a second before it exits, unless it is told: tests run hundreds of programs.
RACE := GORACE=atexit_sleep_ms=0 CGO_ENABLED=1
# SQLite as translated to Go, and the compiler within wazero, are not watched by the race detector: they are several times
# as slow with it, and have neither goroutines nor locks of their own. What calls them is watched. A package that uses
# sync or sync/atomic cannot be left out: the detector would miss its locks, and report races that are none.
UNWATCHED := github.com/ncruces/go-sqlite3-wasm github.com/tetratelabs/wazero/internal/engine/wazevo/backend \
	github.com/tetratelabs/wazero/internal/engine/wazevo/frontend github.com/tetratelabs/wazero/internal/engine/wazevo/ssa
RACE_FLAGS := -race $(UNWATCHED:%=-gcflags=%/...=-race=false)
# CHAOS_TIME is how long 'make chaos' breaks things.
CHAOS_TIME ?= 90s
# FUZZ_TIME is how long 'make fuzz' tries each fuzz test.
FUZZ_TIME ?= 30s
# WORST_TIME is how long 'make worst' searches. 0s notes the fuel of what is known.
WORST_TIME ?= 10m

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: build modules ## generate events and run the examples over SQLite
	@bin/pupwasm demo bin/modules

.PHONY: demo-messages
demo-messages: build bin/modules/order_messages.wasm ## kill a node of NATS and pupwasm while it sends messages, and count what arrived
	@$(GO) run ./internal/demomessages bin/pupwasm bin/modules/order_messages.wasm

.PHONY: build
build: ## bin/pupwasm
	@mkdir -p bin
	$(GO) build -trimpath -o bin/pupwasm ./cmd/pupwasm

.PHONY: modules
modules: $(MODULES) ## bin/modules/NAME.wasm of every example, by TinyGo where it is installed, else by Go

.PHONY: $(MODULES)
$(MODULES): bin/modules/%.wasm:
	@$(GO) run ./internal/build/module auto modules/examples/$* $@

.PHONY: test
test: postgres mariadb tinygo promtool ## the whole test suite, with the race detector; installs what it needs
	@for module in $(GO_MODULES); do \
		echo "== go test -race ./... in $$module"; \
		(cd $$module && PUPWASM_REQUIRE_TINYGO=1 $(RACE) \
			$(GO) test $(RACE_FLAGS) -timeout $(TEST_TIMEOUT) ./...) || exit 1; \
	done
	@echo "== go test of what the race detector would take too long for"
	@$(GO) test -run '^TestGuest_faultsLeaveNothingBehind$$' ./host
	@if [ "$$(uname -m)" = x86_64 ]; then \
		echo "== go test on 32 bits, where hashes and positions must be the same"; \
		scripts/test-32bit.sh ./store ./host/abi; \
	fi

.PHONY: examples
examples: postgres mariadb tinygo ## run every example on SQLite, PostgreSQL and MariaDB, and compare its rows and its page
	@$(GO) test -count=1 -v -timeout $(TEST_TIMEOUT) ./examples/...

.PHONY: release
release: ## the program for every platform into dist/, with SHA256SUMS: make release VERSION=v1.2.3
	@scripts/release.sh "$(VERSION)" dist

.PHONY: chaos
chaos: postgres mariadb ## the long form of the chaos test: hosts, servers and modules fail and are changed for CHAOS_TIME; and tests over the whole real log
	@PUPWASM_CHAOS=$(CHAOS_TIME) $(RACE) \
		$(GO) test $(RACE_FLAGS) -v -count=1 -timeout 60m -run '^TestChaos|_realLog$$|_killedAtRandomMoments|NodesAreKilled$$' ./cmd/pupwasm

.PHONY: chaos-mariadb
chaos-mariadb: CHAOS_TIME = 10m
chaos-mariadb: ## write to the log on MariaDB in every way for CHAOS_TIME, 10m unless it is given, and count what readers lose
	@PUPWASM_CHAOS=$(CHAOS_TIME) $(GO) test -v -count=1 -timeout 12h -run '^TestInvariant2_noEventIsSkipped$$' ./store/mysql

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZ_TIME
	@FUZZ_TIME=$(FUZZ_TIME) scripts/fuzz.sh $(GO_MODULES)

.PHONY: worst
worst: ## search for WORST_TIME for programs whose fuel costs the most time, beginning with the known ones; keep them
	@$(GO) run ./host/meter/internal/worst/search -time $(WORST_TIME)

.PHONY: check
check: ## formatting, linters, lengths of files, tidy modules; the first time it compiles golangci-lint
	@scripts/check.sh $(GO_MODULES)

.PHONY: fmt
fmt: ## format the code
	@$(TOOL) gofumpt -w $$(git ls-files '*.go')

.PHONY: bench
bench: postgres tinygo ## pupwasm beside what one would write without it, and the Go benchmarks
	@mkdir -p bin
	@$(GO) run ./internal/bench -json bin/bench.json -benchstat bin/bench.txt \
		$(if $(filter full,$(BENCH)),-full -markdown docs/benchmarks.md) $(BENCH_FLAGS)
	@$(GO) test -run '^$$' -bench . -benchmem \
		$(if $(filter full,$(BENCH)),-benchtime 1s -count 5 -timeout 60m,-benchtime 0.05s) $(BENCHMARKS)

.PHONY: bench-once
bench-once: postgres mariadb ## every Go benchmark once, so that none of them rots
	@$(GO) test -short -run '^$$' -bench . -benchtime 1x $(BENCHMARKS)

.PHONY: tinygo
tinygo: ## install TinyGo into a cache folder, unless it is there (Debian)
	@scripts/tinygo.sh

.PHONY: postgres
postgres: ## install PostgreSQL's server, unless it is there (Debian)
	@scripts/postgres.sh

.PHONY: mariadb
mariadb: ## install MariaDB's server, unless it is there (Debian)
	@scripts/mariadb.sh

.PHONY: promtool
promtool: ## find promtool, which checks alerts, or get it (Debian)
	@scripts/prometheus.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
