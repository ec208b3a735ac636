# Every target runs from the root of the checkout; `make` alone lists them.
# RACE=1 and COVER=1 make `test` look for data races and measure coverage; CI sets both.

RACE ?= $(CI)
COVER ?= $(CI)
COVER_MIN ?= 80
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

# The version is linked in, so that git's absence or another owner's checkout fails no build.
export GOFLAGS := $(strip $(shell go env GOFLAGS 2>/dev/null) -buildvcs=false)

# go.work is the list of modules. Tidying has to follow their dependencies.
USED := $(shell sed -n 's|^[[:space:]]*\./||p' go.work)
FIRST := migrations libs
LAST := cmd/nexus services/e2e bench chaos
MODULES := $(FIRST) $(filter-out $(FIRST) $(LAST),$(USED)) $(LAST)
# Kept out of go.work, so that their many dependencies never mix with the product's.
OUTSIDE := deploy deploy/observability tools tools/s3server

CACHE := $(CURDIR)/.cache
GOLANGCI := GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(CURDIR)/bin/golangci-lint
on = $(filter-out 0 false no off,$(1))
GO_TEST := $(if $(call on,$(CI)),bin/gotestsum --format=pkgname-and-test-fails --,go test)
COVER_FLAGS := -count=1 -covermode=atomic -coverpkg=nexus.internal/... -coverprofile=$(CACHE)/cover/tests.out

.PHONY: help run build test test-pool cover cover-report lint fmt fmt-check vet generate generate-check \
	tidy tidy-check build-off test-outside bench chaos chaos-short cluster-test fuzz fuzz-http verify clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What may stop the start is looked at before the build, which takes a while.
run: ## Build and start everything on this machine; Ctrl-C stops it
	@[ -n "$$NEXUS_DATABASE_URL" ] || grep -qsE '^[^#]*\bNEXUS_DATABASE_URL *= *.' .env || scripts/postgres.sh >/dev/null
	@[ -x bin/nexus ] || echo 'building bin/nexus: the first time takes a minute or two, and says nothing meanwhile' >&2
	@$(MAKE) --no-print-directory build
	exec bin/nexus up

build: ## Build bin/nexus
	go build -ldflags '-X main.version=$(or $(VERSION),dev)' -o bin/nexus ./cmd/nexus

# All test programs share one Postgres server.
SHARED := go run ./libs/testkit/withpostgres $(CACHE)/postgres

ifneq ($(call on,$(COVER)),)
test: export NEXUS_E2E_COVER_DIR := $(CACHE)/cover/programs
endif
test: bin/versitygw $(if $(call on,$(CI)),bin/gotestsum) ## Run all tests (RACE=1: data races, COVER=1: coverage, CI=true: both)
	@scripts/postgres.sh >/dev/null
ifneq ($(call on,$(COVER)),)
	@rm -rf $(CACHE)/cover && mkdir -p $$NEXUS_E2E_COVER_DIR
endif
	$(strip $(SHARED) $(GO_TEST) -timeout 40m $(if $(call on,$(RACE)),-race) $(if $(call on,$(COVER)),$(COVER_FLAGS)) work)

# Whoever asks for a second connection while it holds one waits for ever.
test-pool: ## Run the tests of the jobs service again with pools of one connection
	@scripts/postgres.sh >/dev/null
	NEXUS_TEST_DB_POOL=1 $(SHARED) go test -count=1 -timeout 10m ./services/jobs/...

cover: ## Run all tests and print the coverage of each file and service, and what the worst files leave out
	@mkdir -p $(CACHE) && echo 'running all tests' && \
	$(MAKE) test COVER=1 >$(CACHE)/tests.log 2>&1 || { cat $(CACHE)/tests.log; exit 1; }
	@$(MAKE) --no-print-directory cover-report

# Programs that tests build with -cover and start with GOCOVERDIR=$NEXUS_E2E_COVER_DIR count as well
# (go test gives its own processes a GOCOVERDIR that it does not report).
cover-report: ## Print the coverage of the last run; fail when a service is below COVER_MIN percent
	@cd $(CACHE)/cover && if [ -n "$$(ls programs)" ]; then go tool covdata textfmt -i programs -o programs.out; fi
	@cd tools && GOWORK=off go run ./cover -module nexus.internal -root .. -min $(COVER_MIN) \
		-skip libs/testkit,services/e2e,bench,chaos,deploy/clustertest $(CACHE)/cover/*.out

lint: bin/golangci-lint ## Run the linters over every module
	$(GOLANGCI) run --allow-serial-runners $(MODULES:%=./%/...)
	@for module in $(OUTSIDE); do \
		(cd $$module && GOWORK=off $(GOLANGCI) run --allow-serial-runners --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

fmt: bin/golangci-lint ## Format the Go code
	$(GOLANGCI) fmt

fmt-check: bin/golangci-lint ## Fail when the Go code is not formatted
	$(GOLANGCI) fmt --diff

vet: ## Run go vet
	go vet work

generate: ## Write the generated pages of docs/
	go run ./cmd/nexus docs --out docs

generate-check: ## Fail when the generated pages of docs/ are stale
	@fresh="$$(mktemp -d)" && trap 'rm -rf "$$fresh"' EXIT && \
	go run ./cmd/nexus docs --out "$$fresh" && cd "$$fresh" && stale= && \
	for page in *; do diff -u "$(CURDIR)/docs/$$page" "$$page" || stale=1; done && \
	if [ -n "$$stale" ]; then echo 'docs/ is stale: run `make generate`' >&2; exit 1; fi

tidy: ## Tidy every go.mod, dependencies first, with the versions that the workspace uses
	go work sync
	@for module in $(MODULES) $(OUTSIDE); do (cd $$module && go mod tidy) || exit 1; done

tidy-check: ## Fail when a go.mod or go.sum is not tidy
	@for module in $(MODULES) $(OUTSIDE); do (cd $$module && go mod tidy -diff) || { echo "$$module: run make tidy" >&2; exit 1; }; done

build-off: ## Build every module on its own, without the workspace
	@for module in $(MODULES); do (cd $$module && GOWORK=off go build ./...) || exit 1; done

test-outside: ## Test the manifests in deploy and the tools
	@for module in $(OUTSIDE); do (cd $$module && GOWORK=off go test -count=1 ./...) || exit 1; done

bench: ## Measure nexus under load (ARGS='--help' explains)
	@scripts/postgres.sh >/dev/null
	go run ./bench/load $(ARGS)

chaos: ## Break a running Nexus in every way and check that nothing is lost, in ten minutes (ARGS='--help' explains)
	@scripts/postgres.sh >/dev/null
	go run ./chaos $(ARGS)

chaos-short: ## The same in about a minute
	@$(MAKE) --no-print-directory chaos ARGS='--short --parallel 5 --rate 60 $(ARGS)'

# deploy/README.md says what it needs.
cluster-test: ## Put the dev overlay on a cluster, disturb it under load, and count; says so where there is none
	cd deploy && GOWORK=off go run ./clustertest --kubectl '$(CLUSTER_KUBECTL)' --import '$(CLUSTER_IMPORT)' --postgres-image '$(CLUSTER_POSTGRES_IMAGE)'

fuzz-http: ## Send a running Nexus what nobody should send, for a minute (ARGS='--help' explains)
	@scripts/postgres.sh >/dev/null
	go run ./chaos/fuzz $(ARGS)

FUZZ ?=
FUZZ_TIME ?= 1m

# What go test finds, it writes below testdata/fuzz of the package: a seed for all runs to come.
fuzz: ## Fuzz every target for FUZZ_TIME (1m) each; FUZZ=corpus/internal/pdf only those whose path holds it
	@grep -rEo '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' libs services | sed 's|/[^/]*:func | |' | sort -u | \
	while read -r package target; do case "$$package/$$target" in *$(FUZZ)*) \
		echo "$$package $$target" && go test "./$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) || exit 1 ;; esac; done

verify: ## Everything that CI does
	CI=true .ci/run

# The S3 server that tests use.
bin/versitygw: tools/s3server/go.mod tools/s3server/go.sum
	cd tools/s3server && GOWORK=off go build -ldflags='-s -w' -o ../../bin/ tool

clean: ## Remove what was built; the data of `run` stays
	rm -rf bin .cache

bin/golangci-lint bin/gotestsum: tools/go.mod tools/go.sum
	cd tools && GOWORK=off go build -o ../bin/ tool
