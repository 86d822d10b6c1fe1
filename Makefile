# Everything a person types. `make demo` and `make test` set up all that they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-token check fix lock setup test-deps bench golden docs soak wire migration

demo: setup
	$(BIN)/handsel up --demo

# Three at a time: tests that start real programs wait more than they compute. A file stays together.
IN_PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
test: setup
	$(BIN)/pytest $(IN_PARALLEL)

# What a CA does, once more with every CA's key in a token of SoftHSM: stories, doors, status, ACME by its clients, the
# commands about keys, rotation, a backup. Not here: what signs nothing with a CA's key, what has a token in `make test`
# already, and for time a few slow ones whose faster neighbours are here, such as a standby and two servers.
TOKEN_TESTS := tests/test_ca_keys.py tests/authority tests/wiring/test_validation.py $(patsubst %,tests/e2e/test_%.py,\
  acme_clients validation hierarchy ca_commands rotation backup)
NO_CA_KEY := $(patsubst %,--ignore tests/authority/%,probes signers test_policy.py test_structure.py test_lint.py)
test-token: setup
	HANDSEL_TEST_KEYS=softhsm $(BIN)/pytest $(IN_PARALLEL) $(TOKEN_TESTS) $(NO_CA_KEY) -k "not (cannot_be_signed or no_request or \
	  constraints_are_told or is_not_installed or elsewhere_without or says_otherwise or standby or host_that_was_away or \
	  keys_of_a_token or keys_are_in_a_token)"

# What tests need besides Python packages. A test whose server is missing says `skipped: needs X`.
# Each is command:package, or file:package. Runlevel 1: Debian starts none of the servers.
SYSTEM_PACKAGES := openssl:openssl setpriv:util-linux ssh-keygen:openssh-client faketime:faketime uacme:uacme caddy:caddy \
  systemd-analyze:systemd ocsptool:gnutls-bin softhsm2-util:softhsm2 swtpm:swtpm tpm2:tpm2-tools certutil:libnss3-tools \
  update-ca-certificates:ca-certificates keytool:default-jre-headless javac:default-jdk-headless \
  node:nodejs nginx:nginx-light /usr/share/java/bcprov.jar:libbcprov-java sshd:openssh-server rabbitmq-server:rabbitmq-server \
  activemq:activemq ip:iproute2 nft:nftables
test-deps: setup
	@missing=; for each in $(SYSTEM_PACKAGES); do \
	  PATH=$$PATH:/usr/sbin command -v $${each%%:*} >/dev/null || test -e $${each%%:*} || missing="$$missing $${each##*:}"; done; \
	if [ -n "$$missing" ]; then apt-get update -q >/dev/null || true; \
	  for each in $$missing; do RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$each >/dev/null \
	    || echo "not installed: $$each"; done; fi

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	! grep -n '://' requirements.lock.txt

fix: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The stamp is newer than the lock as long as the environment fits it.
setup: .venv/stamp
.venv/stamp: requirements.lock.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q src
	touch $@

# Write the recorded outputs of the compiler's stages anew, and take stale ones away.
golden: setup
	$(BIN)/pytest tests/mesh/test_golden.py tests/mesh/inject/test_golden.py tests/tls/convert/test_golden.py --golden -q

# Write the generated references anew: commands, settings, errors.
docs: setup
	$(BIN)/python docs/generate.py

# What the newest migration must add to an older database, from the tables declared in code. After every new table.
migration: setup
	$(BIN)/python tools/migration.py

# The messages between server and agent, and those of the SPIFFE Workload API, from their descriptions.
wire: setup
	$(BIN)/python -m grpc_tools.protoc -Isrc --python_out=src --pyi_out=src src/handsel/link/wire.proto \
	  src/handsel/agent/adapters/workload/workload.proto

# uv is needed here and nowhere else.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" -o requirements.lock.txt

# Reports, gates nothing. Tables on the terminal, the JSON of each run in bench/results.
bench: setup
	mkdir -p bench/results
	for each in cli_help cold_start latency throughput post_quantum rotation taking_back mesh_compile write_to_ack fan_out \
	    agent_rest store signing acme ocsp revocation contexts stores; do \
	  $(BIN)/python bench/$$each.py > bench/results/$$each.json || exit 1; done

# The rotation bench for ten minutes; one failed request fails it.
soak: setup
	mkdir -p bench/results
	$(BIN)/python bench/rotation.py --seconds 600 --gate > bench/results/soak.json
