# Tools. Each is run with `go run tool@version`: nothing to install, and
# everybody has the same one.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.13.1
BENCHSTAT     := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
APIDIFF       := golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# What can be set on the command line.
PKGS     ?= ./...
FUZZTIME ?= 30s
BENCH    ?= .
RUNS     ?= 5
NAT_RUNS ?= 10
COUNT    ?= 6
BASE     ?= main
# What the API is compared with: the last release; without one, BASE.
SINCE    ?= $(shell git describe --tags --abbrev=0 2>/dev/null || echo $(BASE))
SEEDS    ?= 200
NODES    ?= 100000
SIMFLAGS ?=
FRAMES   ?= 200000
STRESS   ?= 10m
STRESSFLAGS ?=
PEERS    ?= 1000
BURST    ?= 4000
CALIBRATE ?= 300
KEYS     ?= 1000000
SOCKET_KEYS ?= 100000
PLACES   ?=
PLATFORMS ?= linux/amd64 linux/arm64 linux/386 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# Nodes of make figures: without hosts below them, and with real ones, of which a
# network of 200 takes 4 GB.
FIGURE_NODES ?= 1000
FIGURE_HOSTS ?= 200

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := default
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

.PHONY: default
default: fmt lint test

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'
	@echo "  (none)         fmt, lint, test"

.PHONY: fmt
fmt: ## format: gofumpt -extra, goimports
	go run $(GOLANGCI_LINT) fmt

.PHONY: lint
lint: ## golangci-lint, with all that go vet finds, and a tidy go.mod
	go run $(GOLANGCI_LINT) config verify
	go run $(GOLANGCI_LINT) run $(PKGS)
	go mod tidy -diff

.PHONY: test
test: ## all tests, in random order, with the race detector where there are goroutines
	go test -race -shuffle=on -timeout 25m $(PKGS)
	$(MAKE) test-norace
	go test -shuffle=on ./routing ./protocol ./itest/sim

# With it, they would take too long, or find a data race of go-libp2p.
.PHONY: test-norace
test-norace: ## the tests that ask whether the race detector is on, without it
	@asked='RaceEnabled|race\.Enabled|roomtest\.Long|withoutRace'; \
	files=$$(grep -rlE --include='*_test.go' "$$asked" host itest/net); \
	tests=$$(awk -v asked="$$asked" '/^func / { name = $$2; sub(/\(.*/, "", name); sub(/^test/, "Test", name) } \
		$$0 ~ asked && name ~ /^Test/ { print name }' $$files | sort -u | paste -sd'|'); \
	go test -shuffle=on -run "^($$tests)\$$" $$(dirname $$files | sort -u | sed 's,^,./,')

.PHONY: cover
cover: ## coverage by function; bin/cover.html shows the lines
	@mkdir -p bin
	go test -coverpkg=./routing/...,./protocol/...,./host/... -coverprofile=bin/cover.out $(PKGS)
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out

# A fuzz target runs alone: go test takes one package and one target at a time.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@go list -f '{{.Dir}} {{join .TestGoFiles " "}} {{join .XTestGoFiles " "}}' $(PKGS) | while read -r dir files; do \
		for target in $$(cd "$$dir" && cat $$files /dev/null | sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p'); do \
			echo "== $$dir $$target"; \
			(cd "$$dir" && go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) . </dev/null); \
		done; \
	done

.PHONY: bench
bench: ## every benchmark that matches BENCH (all)
	go test -run='^$$' -bench='$(BENCH)' -benchmem $(PKGS)

# RUNS (5) runs; OLD is an earlier table to compare with, PROFILE a directory for CPU profiles of
# the servers with sockets, of their clients, and of asking.
.PHONY: bench-table
bench-table: ## what work costs, beside an echo and go-libp2p-kad-dht; writes BENCH.md
	go run ./itest/bench -runs $(RUNS) -out BENCH.md $(if $(OLD),-compare $(OLD)) $(if $(PROFILE),-profile $(PROFILE))

# Linux is needed, and a quiet machine.
.PHONY: cost
cost: ## what the page and the metrics cost a node, at rest and at work; RUNS (5) rounds
	KAD_COST=$(RUNS) go test -count=1 -v -timeout 1h -run '^TestCost$$' ./itest/dashboard

# Two checkouts, one after the other, COUNT times each.
.PHONY: bench-compare
bench-compare: ## benchmarks of BASE (main) and of the working tree, compared
	@mkdir -p bin
	@base=$$(mktemp -d); trap 'git worktree remove --force "$$base"' EXIT; \
	git worktree add --quiet --detach "$$base" $(BASE); \
	(cd "$$base" && go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) $(PKGS)) >bin/bench-base.txt; \
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) $(PKGS) >bin/bench-new.txt; \
	go run $(BENCHSTAT) base=bin/bench-base.txt new=bin/bench-new.txt

.PHONY: month
month: ## 30 simulated days of 200 nodes, a tenth replaced every hour; takes about an hour and a half
	KAD_LIFE_HOURS=720 go test -count=1 -v -timeout 4h -run '^TestMonth$$' ./itest/network

.PHONY: figures
figures: ## how long lookups take: of FIGURE_NODES (1000) nodes, and of FIGURE_HOSTS (200) real hosts
	KAD_FIGURE_NODES=$(FIGURE_NODES) go test -count=1 -v -timeout 1h -run '^TestFigures$$' ./itest/network
	KAD_FIGURE_NODES=$(FIGURE_HOSTS) go test -count=1 -v -timeout 1h -run '^TestFigures$$' ./itest/net

.PHONY: itest
itest: ## integration tests only, not from the cache
	go test -race -count=1 -v ./itest/...

# It is too long for .ci/run, so that the test is skipped there.
.PHONY: kubo
kubo: ## build Kubo in GOPATH/bin, for a test of itest/interop; takes minutes
	cd itest/interop/kubo && go build -o "$$(go env GOPATH)/bin/ipfs" github.com/ipfs/kubo/cmd/ipfs

# The name of each test of an attack is in SECURITY.md.
HOSTILE := Hostile|ServeSlowRequest|ServeWhileStoreHangs|FalseAlarms|HeavyUser|ServeManyIdentities|Sybils|DialBudget|RepeatedPeers|CloseUnderLoad|Crowded|LookupBeyondCrowd|Queue$$|PeersThatPress|BusyNetworks|UsualPeersKeepNoPace|ContactsHaveMoreTurns|ManyAnnouncements|Rounds$$|CensusOfLiars|FalseGrowth|Odd

# FRAMES is how many frames one node handles, over TCP and QUIC: 1 400 a second on
# a busy machine, each for 0.15 ms of both sides.
.PHONY: hostile
hostile: ## attacks by peers that speak the protocol by hand, with their figures; takes about 20 minutes
	@mkdir -p bin; failed=0; : >bin/hostile.txt; \
	for dir in ./protocol ./routing ./host ./host/internal/serve ./host/internal/call ./host/internal/table ./host/internal/holder ./host/internal/replicate ./host/internal/lookup ./host/internal/find ./host/internal/relay ./itest/sim ./itest/net ./itest/network; do \
		echo "== $$dir"; \
		KAD_HOSTILE_HOURS=24 KAD_HEAVY_KEYS=100000 KAD_HOSTILE_FRAMES=$(FRAMES) go test -count=1 -v -timeout $$((1800 + $(FRAMES) / 500))s -run '^Test($(HOSTILE))' $$dir >bin/hostile-one.txt 2>&1 || failed=1; \
		grep -E '_test.go|panic:|^(ok|FAIL)' bin/hostile-one.txt || true; \
		grep -E '^--- ' bin/hostile-one.txt >>bin/hostile.txt || true; \
	done; echo "== all"; cat bin/hostile.txt; exit $$failed

.PHONY: structure
structure: ## figures on how the code is built, what imports what, and architecture.svg; PLACES=1 says where
	go run ./itest/structure/cmd/structure $(if $(PLACES),-places)

# One more run of each row for more SEEDS; SIMFLAGS=-help lists what else there is.
.PHONY: sim
sim: ## simulated networks of up to NODES (100000): targets and measured values, and plots
	go run ./itest/sim/cmd/sim -runs $(SEEDS) -nodes $(NODES) $(SIMFLAGS)

# STRESSFLAGS=-help lists what can be set, such as -nodes, -k and -parallel.
.PHONY: stress
stress: ## 30 nodes under load for STRESS (10m), killed, stopped and starved, then BURST (4000) operations at once: counts false answers, of which there must be none
	go run ./itest/stress/cmd/stress -for $(STRESS) $(STRESSFLAGS)
	KAD_BURST=$(BURST) go test -count=1 -v -timeout 20m -run '^TestBurst$$' ./itest/net

# A node with sockets takes a kilobyte for each announcement, and 20 nodes hold each key.
.PHONY: million
million: ## KEYS (1000000) keys announced to 10 000 simulated peers, and a day after it; SOCKET_KEYS (100000) to 200 nodes with sockets; the publisher is killed in the middle
	KAD_MILLION=$(KEYS) go test -count=1 -v -timeout 6h -run '^TestMillion$$' ./itest/network
	KAD_MILLION=$(SOCKET_KEYS) go test -count=1 -v -timeout 6h -run '^TestMillion$$' ./itest/net

# itest/network/RESULTS.md is written anew; make sim does the same for simulated networks.
.PHONY: calibrate
calibrate: ## what CALIBRATE (300) lookups of whole nodes say, and how often they are right; takes about 15 minutes
	KAD_CALIBRATE=$(CALIBRATE) go test -count=1 -v -timeout 2h -run '^TestConfidenceIsTrue$$' ./itest/network

.PHONY: nat-many
nat-many: ## PEERS (1000) peers behind simulated NATs: how many of as many pairs meet, and how
	go test -count=1 -v -timeout 1h -run '^TestMany$$' ./itest/nat/simnat -nat.peers=$(PEERS) -nat.pairs=$(PEERS)

# Root, iproute2 and iptables are needed. The file is written anew.
.PHONY: nat
nat: ## all pairs of NATs in network namespaces, some of them NAT_RUNS (10) times, written to itest/nat/RESULTS.md; takes about 20 minutes
	KAD_ITEST_REQUIRE=nat KAD_NAT_RESULTS=RESULTS.md KAD_NAT_RUNS=$(NAT_RUNS) go test -count=1 -v -timeout 1h ./itest/nat

.PHONY: pb
pb: ## generate pb/*.pb.go from the .proto files
	go generate ./pb/...

# A program of a user is built where cgo is not.
.PHONY: platforms
platforms: ## vet without cgo for each system and processor of SUPPORT.md
	@mkdir -p bin; go build -o bin/vet ./itest/vet; \
	for platform in $(PLATFORMS); do \
		echo "== $$platform"; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} bin/vet $(PKGS); \
	done

.PHONY: licences
licences: ## the licences of all modules that the packages and the programs link
	go test -count=1 -v -run '^TestLicences$$' ./itest/readme

.PHONY: picture
picture: ## draw a real lookup among 200 nodes: examples/guides/lookup.svg
	KAD_PICTURE=1 go test -count=1 -timeout 30m -run '^TestPicture$$' ./itest/readme

# The programs run for it, and a test of each compares what is committed with what they print.
.PHONY: transcript
transcript: ## what each command of kad prints: examples/guides/commands.md, and what README.md shows of it
	KAD_TRANSCRIPT=1 go test -count=1 -run '^TestTranscript$$' ./examples/kad

# tmux is needed.
.PHONY: recording
recording: ## record a chat in two terminals: examples/guides/chat.svg
	KAD_RECORDING=1 go test -count=1 -run '^TestRecording$$' ./examples/chat

# chromium is needed.
.PHONY: screenshots
screenshots: ## photograph the page of a node: examples/guides/page.png and page-phone.png
	KAD_SCREENSHOTS=1 go test -count=1 -run '^TestScreenshots$$' ./examples/internal/node

# prometheus is needed.
.PHONY: dashboard
dashboard: ## draw the panels of the dashboard, from a minute of three nodes: examples/guides/dashboard.png
	KAD_DASHBOARD=1 go test -count=1 -run '^TestPicture$$' ./itest/dashboard

# What programs import. A change that can break them is to be named in CHANGELOG.md.
.PHONY: api
api: ## how the API differs from SINCE (the last release, or main); fails if a break is not in CHANGELOG.md
	@mkdir -p bin
	@base=$$(mktemp -d); trap 'git worktree remove --force "$$base"' EXIT; \
	git worktree add --quiet --detach "$$base" $(SINCE); \
	diff() { go run $(APIDIFF) -m "$$@" 2> >(grep -v '^Ignoring internal package' >&2); }; \
	(cd "$$base" && diff -w $(CURDIR)/bin/api-base github.com/go-kad/kad); \
	diff -w bin/api-new github.com/go-kad/kad; \
	diff bin/api-base bin/api-new | sed -E '/^- \.\/(itest|examples)\//d'; \
	unreleased=$$(awk '/^## / { on = /Unreleased/ } on' CHANGELOG.md); \
	missing=$$(diff -incompatible bin/api-base bin/api-new | sed -nE '/^- \.\/(itest|examples)\//d; s/^- ([^:]*):.*/\1/p' | \
		while read -r name; do grep -qw -- "$${name##*.}" <<<"$$unreleased" || echo "$$name"; done); \
	if [ -n "$$missing" ]; then printf 'CHANGELOG.md does not name what breaks programs:\n%s\n' "$$missing"; exit 1; fi

.PHONY: vuln
vuln: ## known vulnerabilities in what is called
	go run $(GOVULNCHECK) $(PKGS)

# pb and fmt may change files; at the end nothing may have changed.
.PHONY: verify
verify: ## all of the above; fails if that leaves a difference to the last commit
	$(MAKE) pb fmt lint test cover itest fuzz bench api vuln
	go mod tidy
	git diff --exit-code
