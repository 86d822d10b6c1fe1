"""What runs in the containers: command lines, paths, variables. The one place to change them.

What the agent owes to a pod (`agent run --pod`, `agent/adapters/pod.py`): on `HEALTH_PORT` it answers
`GET /healthz/ready` with 200 once Envoy has its configuration; on `STATUS_PORT` it answers
`GET /app-health/<container>/<probe>` and `/app-lifecycle/…` by asking the application what the same path in the
variable `PROBES` says; it takes what the rules redirect. Options that have no flag in the command are variables by the
names that click gives them.
"""

from __future__ import annotations

from handsel.mesh.inject.model import Settings
from handsel.model.pod import Interception

STATE_VOLUME = "/var/lib/handsel"
# Folders of Kubernetes are open to all; the agent makes its own in there, 0700.
_STATE = f"{STATE_VOLUME}/agent"
RUNTIME_VOLUME = "/run/handsel"
_RUNTIME = f"{RUNTIME_VOLUME}/agent"
TOKEN_VOLUME = "/var/run/secrets/tokens"  # noqa: S105  # a path
TOKEN = "handsel"  # noqa: S105  # a name
TRUST_VOLUME = "/etc/handsel/trust"
ROOTS = "roots.pem"
SERVER_KEY = "server"
READY = "/healthz/ready"

SERVER = "HANDSEL_SERVER"
PROBES = "HANDSEL_APP_PROBES"
CONCURRENCY = "HANDSEL_AGENT_RUN_CONCURRENCY"
LOG_LEVEL = "HANDSEL_AGENT_RUN_LOG_LEVEL"
COMPONENT_LOG_LEVEL = "HANDSEL_AGENT_RUN_COMPONENT_LOG_LEVEL"
ADDRESS = "POD_IP"
FOLDERS = {"HANDSEL_RUNTIME_DIR": _RUNTIME, "HOME": STATE_VOLUME, "TMPDIR": RUNTIME_VOLUME}
VARIABLES = (SERVER, ADDRESS, *FOLDERS)
"""Those of every container, which a pod cannot set."""


def join(settings: Settings) -> list[str]:
    """The initializer: the pod shows its service account's token, gets its certificate, and ends."""
    command = ["handsel", "join", f"$({SERVER})", "--attestor", "kubernetes"]
    command += ["--token-file", f"{TOKEN_VOLUME}/{TOKEN}", "--state", _STATE]
    for pin in settings.pins:
        command += ["--pin", pin]
    if not settings.pins:
        command += ["--roots", f"{TRUST_VOLUME}/{ROOTS}"]
    return command + (["--trust-domain", settings.trust_domain] if settings.trust_domain else [])


def run(mode: Interception) -> list[str]:
    """The agent, which starts Envoy beside it."""
    return ["handsel", "agent", "run", "--state", _STATE, "--address", f"$({ADDRESS})", "--pod", mode.value]


def wait() -> list[str]:
    """Ends when the sidecar is ready."""
    return ["handsel", "agent", "wait", "--state", _STATE, "--timeout", "10m"]


def redirect(rules: str) -> list[str]:
    """nft(8) takes its commands as arguments: no shell, and whoever reads the manifest sees the rules."""
    return ["nft", rules]
