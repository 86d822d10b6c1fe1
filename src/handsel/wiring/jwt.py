"""The keys of this server that sign JWT-SVIDs, and the tokens that they sign."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from handsel.authority import jwt
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.jwt_tables import JwtKeys
from handsel.authority.adapters.signers.custody import open_keys
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.jwt import JwtKey, Token
from handsel.authority.model import Domain, Host
from handsel.errors import Bug, HandselError, StateError
from handsel.model.authority import Authority
from handsel.model.federation import SpiffeSettings
from handsel.pki.keys import KeyType, PrivateKey
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.leader import Leader

_log = structlog.get_logger("handsel.server")
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 30.0
_AGAIN_SECONDS = 1.0


def key_store(folder: Path, settings: Authority, password_file: Path | None) -> FileKeys:
    """Where the keys are: files beside the CAs' keys, encrypted with the same password.

    Files also where the CAs' keys are in a token: each server has keys of its own, which live for a day.
    """
    found = open_keys(folder / "jwt", replace(settings.keys, token=""), password_file)
    if not isinstance(found, FileKeys):
        raise Bug("the keys for JWT-SVIDs are in files")
    return found


class JwtAuthority:
    """Signs JWT-SVIDs with the key of this server that may at that moment, and makes the next one in time."""

    def __init__(
        self, store: SqlStore, keys: FileKeys, leader: Leader, domain: Callable[[], Domain],
        settings: Callable[[], SpiffeSettings],
    ) -> None:  # fmt: skip
        self._store = store
        self._files = keys
        self._leader = leader
        self._domain = domain
        self._settings = settings
        self._table = JwtKeys(store)
        self._shown: tuple[JwtKey, ...] = ()
        self._private: dict[str, PrivateKey] = {}
        self._lost: set[str] = set()

    async def start(self) -> None:
        """Find this server's keys, and make the first. A key whose file is gone or unreadable signs no more."""
        known = {each.stored for each in await self._table.all()}
        for orphan in set(self._files.names()) - known:  # a crash left it, or its key ended while we were away
            self._files.remove(orphan)
        await self.renew()

    async def keep(self) -> None:
        """For ever: keys as time goes by."""
        problem = ""
        while True:
            due = jwt.next_moment(self._shown, self._store.log, self._settings(), now())
            await asyncio.sleep(min(max((due - now()).total_seconds(), _LEAST_SECONDS), _MOST_SECONDS))
            try:
                await self.renew()
                problem = ""
            except HandselError as error:
                if str(error) != problem:
                    _log.error("the keys for JWT-SVIDs cannot be kept", problem=str(error))
                problem = str(error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def renew(self) -> None:
        """Make the next key if it is time, and forget those that have ended."""
        moment, everyones = now(), await self._table.all()
        ours_to_end = [each for each in everyones if self._leader.is_leader or self._is_mine(each)]
        await self._store.commit(jwt.end_keys(ours_to_end, moment).writes)
        shown = [each for each in everyones if moment < each.ends]
        usable = [each for each in shown if not self._is_mine(each) or self._load(each)]
        if jwt.needs_key(usable, self._store.log, self._settings(), moment):
            usable.append(await self._make(usable))
        self._shown = tuple(usable)
        for each in everyones:
            if self._is_mine(each) and moment >= each.retires:
                self._private.pop(each.stored, None)
                self._files.remove(each.stored)

    async def _make(self, others: Sequence[JwtKey]) -> JwtKey:
        stored = f"jwt-{secrets.token_hex(4)}"
        key = self._files.make(stored, KeyType.P256)
        made = jwt.show_key(key, others, server=self._store.log, stored=stored, settings=self._settings(), now=now())
        await self._store.commit(made.writes)
        self._private[stored] = key
        return made.answer

    async def issue(self, host: Host, service: str, audiences: Sequence[str]) -> tuple[str, Token]:
        """A token, once its line in the journal is durable. Raises `Refused`, `NotAuthorised`, `StateError`."""
        approved = jwt.approve(
            host, service, audiences, keys=self._shown, server=self._store.log, domain=self._domain(),
            settings=self._settings(), token_id=secrets.token_hex(16), now=now(),
        )  # fmt: skip
        key = self._private.get(approved.answer.key.stored)
        if key is None:
            raise StateError("the key that would sign has just retired", next_step="ask again")
        await self._store.commit(approved.writes)  # durable: now it may be signed
        return jwt.sign(approved.answer, key), approved.answer

    def _is_mine(self, key: JwtKey) -> bool:
        return key.server == self._store.log

    def _load(self, key: JwtKey) -> bool:
        """Whether the private half is here, or is not needed any more."""
        if key.stored in self._private or now() >= key.retires:
            return True
        try:
            self._private[key.stored] = self._files.load(key.stored)
        except StateError as error:
            if key.kid not in self._lost:
                _log.warning("a key for JWT-SVIDs is lost, and another one takes its place", problem=str(error))
            self._lost.add(key.kid)
            return False
        return True
