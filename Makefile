# airworthy.stack. `make help` lists what there is.
SHELL := /bin/bash -o pipefail
PATH := $(CURDIR)/.venv/bin:$(CURDIR)/lab/bin:$(PATH)
export PATH

# What `ansible-test` and Molecule must not pick up from the caller.
unexport ANSIBLE_CONFIG ANSIBLE_INVENTORY

# Two chains that take about as long as each other. The first one is in the order of the site, since its scenarios share their
# servers; while it waits, the second one tests on servers of its own.
SCENARIOS := base tls postgresql pgbouncer app nginx acme exporters monitoring log_collector log_shipping
BESIDE := backup site

.DEFAULT_GOAL := help
.PHONY: help demo demo-down certify test lint unit sanity molecule judges bench bench-edge bench-backup lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.venv/.done: requirements.lock
	python3 -m venv .venv
	.venv/bin/pip install --quiet --require-hashes --requirement requirements.lock
	touch $@

demo: .venv/.done ## provision a server (a container on this machine) and certify it
	prepare
	ansible-playbook lab/create.yml -i inventories/demo
	ansible-playbook site.yml -i inventories/demo
	ansible-playbook certify.yml -i inventories/demo

demo-down: .venv/.done ## remove all that the demo made
	ansible-playbook lab/destroy.yml -i inventories/demo -e lab_keep_downloads=false
	-podman network rm airworthy
	-podman image rm localhost/airworthy-debian:trixie
	rm -rf inventories/demo/.secrets reports/demo lab/id_ed25519*

certify: .venv/.done ## certify the demo's server, deeply (a quarter of an hour)
	ansible-playbook certify.yml -i inventories/demo -e airworthy_certify_level=deep

test: lint unit sanity molecule ## all of the tests

lint: .venv/.done ## ansible-lint (production profile), yamllint, ruff, mypy
	ruff check plugins roles tests molecule
	yamllint --strict .
	mypy plugins
	ansible-lint

unit: .venv/.done ## the plugins, the input that is refused, the defaults against their documentation
	pytest -n auto tests/unit tests/bad_input

sanity: .venv/.done ## ansible-test sanity
	tests/sanity/run

molecule: .venv/.done ## every role and the site, on Debian 12 and 13
	prepare
	molecule destroy    # what an interrupted run left: Molecule would take its servers for running ones
	molecule/run "$(SCENARIOS)" "$(BESIDE)"
	molecule destroy

judges: .venv/.done ## what testssl.sh, MDN's HTTP Observatory and gixy say of the demo
	prepare
	tests/judges/run demo.airworthy.test \
		"$$(podman inspect --format '{{.NetworkSettings.Networks.airworthy.IPAddress}}' airworthy-demo)" \
		--ca inventories/demo/.secrets/pki/ca.crt --configuration <(podman exec airworthy-demo nginx -Tq) \
		<(podman exec airworthy-demo nginx -Tq -e stderr -g 'user www-data;' -c /etc/nginx-waf/nginx.conf)

bench: .venv/.done ## time the site, side by side with what apt alone needs
	prepare
	tests/bench/run

bench-edge: .venv/.done ## what firewall, limits and TLS cost at the edge, side by side
	prepare
	tests/bench/edge

bench-backup: .venv/.done ## what a running backup costs the demo's database, side by side
	tests/bench/backup

lock: .venv/.done ## pin the dependencies of pyproject.toml anew
	uv pip compile pyproject.toml --group test --group lint --group maintain --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--quiet --output-file requirements.lock

clean: demo-down ## remove what any target made, the virtual environment and caches too
	-ansible-playbook lab/destroy.yml -i molecule/inventory -e lab_keep_downloads=false
	-podman image rm localhost/airworthy-judges localhost/airworthy-debian:bookworm
	rm -rf .venv .cache reports molecule/inventory/.secrets
