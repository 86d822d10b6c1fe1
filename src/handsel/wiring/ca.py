"""What the command line asks of an authority's folder, whether its server runs or not."""

from __future__ import annotations

from pathlib import Path

from handsel.authority.adapters.signers import read_roots
from handsel.pki.certificate import to_pem
from handsel.wiring.server import ServerFolder


def read_bundle(state: Path) -> bytes:
    """The roots to trust, as PEM. Raises `StateError`."""
    return to_pem(read_roots(ServerFolder(state / "server").authority))
