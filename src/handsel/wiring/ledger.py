"""Keeps the journal's checkpoints: signs how the log is, whenever it has grown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from handsel.authority import ledger
from handsel.authority.adapters.ledger_tables import Checkpoints
from handsel.authority.ledger import CheckpointMade
from handsel.errors import StateError
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import TrustDomain
from handsel.store import merkle
from handsel.store.adapters.files import write_file
from handsel.store.adapters.sql import SqlStore

_log = structlog.get_logger("handsel.server")
SECONDS_BETWEEN = 60.0
_KEY = "journal.key"


class LedgerKeeper:
    """The checkpoints of this server's own log."""

    def __init__(self, store: SqlStore, trust_domain: TrustDomain, folder: Path) -> None:
        self._store = store
        self._trust_domain = trust_domain
        self._key = _open_key(folder / _KEY)
        self._frontier = merkle.Frontier()
        self._signed = 0

    @property
    def public_key(self) -> str:
        """The key that checkpoints are checked with, PEM."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(encoding, form).decode()

    async def start(self) -> None:
        """Read what was signed before."""
        kept = await Checkpoints(self._store).of(self._store.log)
        self._signed = kept[-1][0] if kept else 0

    async def keep(self) -> None:
        """Sign again and again, until cancelled."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN)
            try:
                await self.sign()
            except StateError as error:  # the database is away: the next one covers this time too
                _log.warning("no checkpoint was made", problem=str(error))

    async def sign(self) -> None:
        """A checkpoint of the log as it is now, if it has grown since the last one."""
        for _, canonical, _ in await self._store.journal_lines(after=self._frontier.size):
            self._frontier.add(merkle.leaf_hash(canonical.encode()))
        if self._frontier.size == self._signed:
            return
        name = ledger.origin(self._trust_domain, self._store.log)
        checkpoint = merkle.Checkpoint(name, self._frontier.size, self._frontier.root())
        note = merkle.sign_checkpoint(checkpoint, self._key)
        await self._store.commit((CheckpointMade(self._store.log, checkpoint.size, note, datetime.now(UTC)),))
        self._signed = checkpoint.size


def _open_key(path: Path) -> Ed25519PrivateKey:
    """The key for checkpoints: one of its own, made once."""
    try:
        if not path.exists():
            write_file(path, PrivateKey.generate(KeyType.ED25519).pem().reveal())
        key = PrivateKey.from_pem(path.read_bytes()).handle
    except (OSError, ValueError) as error:
        raise StateError(f"the journal's key {path} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"the journal's key {path} is no Ed25519 key")
    return key
