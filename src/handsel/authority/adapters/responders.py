"""The keys and certificates that sign OCSP answers: in files, made anew before they end."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from handsel.authority.model import Issuer, Issuers
from handsel.authority.service import random_serial
from handsel.authority.va import responder as va
from handsel.authority.va.answers import Signer, Signers
from handsel.errors import StateError
from handsel.pki.certificate import parse_pem, to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.ocsp import Responder
from handsel.store.adapters.files import make_folder, write_file
from handsel.store.adapters.sql import SqlStore


class Responders:
    """A responder for each CA. `signers` is what answers are signed with now."""

    def __init__(self, folder: Path, store: SqlStore) -> None:
        self._folder = folder
        self._store = store
        self._kept: dict[str, Responder] = {}
        self._signing: dict[str, Signer] = {}
        self.signers = Signers({})

    async def refresh(self, issuers: Issuers, now: datetime) -> None:
        """Make the responders that are due, and read those that are kept. A server that only reads makes none.

        Raises `Refused` for a CA that has ended, `StateError` when a file cannot be written.
        """
        answered = (*issuers.by_name.values(), *issuers.retiring)
        for issuer in answered:
            kept = self._kept.get(_key(issuer)) or self._load(issuer)
            if va.is_due(kept, issuer, now) and not self._store.read_only and now < issuer.not_after:
                kept = await self._make(issuer, now)
            if kept is not None:
                self._kept[_key(issuer)] = kept
        found = {_key(each): Signer(each, self._kept[_key(each)]) for each in answered if _key(each) in self._kept}
        if found != self._signing:  # what was signed by others is signed anew
            self._signing, self.signers = found, Signers(found)

    async def _make(self, issuer: Issuer, now: datetime) -> Responder:
        intent = va.intend(issuer, PrivateKey.generate(), serial=random_serial(), now=now)
        await self._store.commit(intent.writes)  # durable: now the CA's key may be used
        if issuer.key.is_quick:
            outcome = va.issue(intent, now=now)
        else:
            outcome = await asyncio.to_thread(va.issue, intent, now=now)
        await self._store.commit(outcome.writes)
        made = outcome.answer
        try:
            make_folder(self._folder)
            write_file(self._path(issuer), made.key.pem().reveal() + to_pem((made.certificate,)))
        except OSError as error:
            raise StateError(f"{self._path(issuer)} cannot be written: {error.strerror}") from error
        return made

    def _load(self, issuer: Issuer) -> Responder | None:
        try:
            content = self._path(issuer).read_bytes()
            found = Responder(PrivateKey.from_pem(content), parse_pem(content)[0])
        except (OSError, ValueError):
            return None  # it is made anew
        belongs = found.certificate.authority_key_id == issuer.certificate.key_id
        return found if belongs and found.key.public_der() == found.certificate.public_key_der else None

    def _path(self, issuer: Issuer) -> Path:
        return self._folder / f"{_key(issuer)}.pem"


def _key(issuer: Issuer) -> str:
    """What a CA's responder is kept under: after a rotation several have one name, and each its own key."""
    return f"{issuer.name}-{(issuer.certificate.key_id or b'').hex()[:16]}"
