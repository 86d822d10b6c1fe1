"""Where things are: folders for state and sockets, and the doors' default ports."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

API_PORT = 8443
"""HTTPS: agents, and later ACME and the admin API."""
STATUS_PORT = 8880
"""Plain HTTP: OCSP, CRLs and CA certificates (by their standards: what is served is signed)."""
METRICS_PORT = 9464
"""Plain HTTP on loopback: metrics, `/healthz`, `/readyz`."""
AGENT_METRICS_PORT = 9465
"""The same of an agent: what it holds, and what its proxies count."""


def config_file(environment: Mapping[str, str] | None = None) -> Path:
    """The mesh file when none is named: `handsel.yaml` here, else in the XDG config home, else in /etc/handsel."""
    variables = os.environ if environment is None else environment
    home = variables.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    here = Path("handsel.yaml")
    places = (here, Path(home) / "handsel" / "handsel.yaml", Path("/etc/handsel/handsel.yaml"))
    return next((place for place in places if place.exists()), here)


def state_folder(trust_domain: str, environment: Mapping[str, str] | None = None) -> Path:
    """`$XDG_STATE_HOME/handsel/<trust domain>`, by default below `~/.local/state`."""
    variables = os.environ if environment is None else environment
    base = variables.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "handsel" / trust_domain


_RUNTIME = Path("/run/handsel")


def runtime_folder(state: Path, environment: Mapping[str, str] | None = None) -> Path:
    """The folder for the sockets of one state folder: short, because a socket's path ends at 107 bytes.

    Below `$HANDSEL_RUNTIME_DIR` if that is set; below `/run/handsel` for root and for whatever runs as a service of the
    host; else below `$XDG_RUNTIME_DIR`; else a folder of this user's in the temporary folder.
    """
    variables = os.environ if environment is None else environment
    name = hashlib.sha256(bytes(state.absolute())).hexdigest()[:12]
    if variables.get("HANDSEL_RUNTIME_DIR"):
        return Path(variables["HANDSEL_RUNTIME_DIR"]) / name
    of_host = _RUNTIME / name
    if os.geteuid() == 0 or of_host.exists() or os.access(_RUNTIME, os.W_OK, effective_ids=True):
        return of_host
    if variables.get("XDG_RUNTIME_DIR"):
        return Path(variables["XDG_RUNTIME_DIR"]) / "handsel" / name
    return Path(tempfile.gettempdir()) / f"handsel-{os.geteuid()}" / name
