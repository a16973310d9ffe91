# `make` alone says what there is. Every target does its own set-up and is safe to run again.
SHELL := /bin/sh
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PYTHONDONTWRITEBYTECODE := 1
STEP := @tools/step

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## make the virtual environment (packages are installed by apt when missing and you are root)
	@tools/setup.sh

.PHONY: lab-host
lab-host:
	@[ "$$(uname -s)" = Linux ] || { echo "The lab needs Linux: this is $$(uname -s)." >&2; exit 1; }
	@[ "$$(id -u)" -eq 0 ] || { echo "The lab needs root (network namespaces, mounts, loop devices). Try: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

# --- the lab ------------------------------------------------------------------------------------------------------------
.PHONY: lab
lab: lab-host setup ## bring the whole platform up on this machine
	@python -m lab up

.PHONY: lab-down
lab-down: lab-host setup ## remove what runs and its state; the component cache and the virtual environment stay
	@python -m lab down

.PHONY: lab-status
lab-status: lab-host setup ## say what runs, where it is and what to try
	@python -m lab status

# --- checks -------------------------------------------------------------------------------------------------------------
.PHONY: test
test: lab-host setup ## all checks, the unit tests and the default scenario on the lab
	@$(MAKE) --no-print-directory lint unit molecule

.PHONY: test-all
test-all: test ## the same and every other scenario
	$(STEP) "molecule: the other scenarios" tools/molecule-others.sh

.PHONY: lint
lint: setup ## the static checks
	$(STEP) "ruff: lint" ruff check --quiet .
	$(STEP) "ruff: format" ruff format --check --quiet .
	$(STEP) "mypy" mypy --no-error-summary
	$(STEP) "documentation in step with argument specs" python tools/role_docs.py --check
	$(STEP) "changelog fragments" antsibull-changelog lint
	$(STEP) "ansible-lint" ansible-lint --offline -q
	$(STEP) "ansible-test sanity" tools/sanity.sh
	$(STEP) "collection build and galaxy-importer" tools/importer.sh

.PHONY: components
components: lab-host setup
	@python -m lab.components build

.PHONY: unit
unit: components ## the unit tests, against the real programs that the lab is built of
	$(STEP) "unit tests" python -m pytest -q -n auto --dist worksteal

.PHONY: molecule
molecule: lab-host setup ## the default scenario on the lab
	$(STEP) "molecule: default" molecule test --scenario-name default

.PHONY: test-vm
test-vm: lab-host setup ## disks and filesystems on a real virtual machine (QEMU; KVM where it works)
	$(STEP) "molecule: vm" molecule test --scenario-name vm

.PHONY: bench
bench: lab-host setup ## measure, and write docs/benchmarks.md (COLD=1: the build of the components too)
	@python -m lab bench

.PHONY: bench-disks
bench-disks: lab-host setup ## measure proxmox_vm_disk beside community.proxmox's proxmox_disk, nothing else
	@python -m lab bench disks

.PHONY: bench-identities
bench-identities: lab-host setup ## measure minio_policy and minio_user beside MinIO's mc, nothing else
	@python -m lab bench identities

# --- upkeep -------------------------------------------------------------------------------------------------------------
.PHONY: docs
docs: setup ## write the variable tables of the roles' README files from their argument specs
	@python tools/role_docs.py

.PHONY: format
format: setup ## lay the Python out
	@ruff check --quiet --fix-only . && ruff format --quiet .

.PHONY: lock
lock: setup ## renew the hashed lock files (UPGRADE=--upgrade takes newer versions)
	@tools/lock.sh $(UPGRADE)

.PHONY: clean
clean: ## remove the virtual environment, the caches of the checks and the lab's component cache
	rm -rf .venv .collections .ansible .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis "$${LAB_CACHE:-/var/cache/homelab-data-platform}"
