"""Where a server keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerFolder:
    """The server's part of a state folder."""

    root: Path

    @property
    def authority(self) -> Path:
        return self.root / "authority"

    @property
    def database(self) -> Path:
        return self.root / "handsel.db"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def keys_lock(self) -> Path:
        """Held by whoever adds keys and certificates of CAs, also while the server runs."""
        return self.root / "keys.lock"

    @property
    def lint(self) -> Path:
        return self.root / "lint.json"

    @property
    def crl(self) -> Path:
        return self.root / "crl"

    @property
    def own_key(self) -> Path:
        return self.root / "server.key"

    @property
    def own_chain(self) -> Path:
        return self.root / "server.crt"
