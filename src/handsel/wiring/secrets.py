"""The secret manager of a server, put together: its keys, its tables, what hosts are told, and their door."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from handsel.authority.adapters.signers.token_session import session_with
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Host, Standing
from handsel.door.asgi import Request, Routes
from handsel.errors import HandselError, NotAuthorised
from handsel.link.resume import Publish
from handsel.link.secrets import SecretRefs
from handsel.mesh.edge import unit_of
from handsel.model.graph import Mesh
from handsel.model.token_uri import TokenUri
from handsel.secrets import grants
from handsel.secrets.adapters.agents_http import SecretsDoor
from handsel.secrets.adapters.keys import Keyring
from handsel.secrets.adapters.token_key import TokenKeys
from handsel.secrets.adapters.vault import Vault, now, random
from handsel.secrets.configured import Configured
from handsel.secrets.grants import Granting, Recipient
from handsel.secrets.model import LARGEST, Version
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.storage import STANDINGS

_log = structlog.get_logger("handsel.server")
SOON = timedelta(days=14)
"""So long before its end a secret is warned of."""
LARGER = {f"{prefix}/v1/secrets/put": LARGEST * 3 // 2 for prefix in ("", "/admin")}
"""Bodies that may be larger than others: 1 MiB of values, as base64."""


class Secrets:
    """`host_of` says which host asks, as the agents' door does; `compile` publishes anew."""

    def __init__(
        self, store: SqlStore, directory: Directory, mesh: Callable[[], Mesh], folder: Path,
        host_of: Callable[[Request], Awaitable[Host]], compile: Callable[[], Awaitable[None]],  # noqa: A002
    ) -> None:  # fmt: skip
        self.store = store
        self.mesh = mesh
        self.compile = compile
        self._directory = directory
        self._host_of = host_of
        self.vault = Vault(store, Keyring(folder, _token(mesh()), os.environ, random))
        self._standing_changed = asyncio.Event()
        store.changes.on(STANDINGS, self._standing_changed.set)
        self.uses: Callable[[], Mapping[str, frozenset[str]]] = dict
        """The units that the proxy of each service needs by its configuration."""
        self._door = SecretsDoor(store, self.vault, lambda: mesh().secrets, self._asking, self.configured)

    async def keep(self) -> None:
        """For ever: a host that is banned or in quarantine is told at once that it gets no secrets any more."""
        while True:
            await self._standing_changed.wait()
            self._standing_changed.clear()
            try:
                await self.compile()
            except HandselError as error:
                _log.warning("hosts are not told yet which secrets they get", problem=str(error))
                self._standing_changed.set()
                await asyncio.sleep(1)

    def routes(self) -> Routes:
        """The agents' door."""
        return self._door.routes()

    async def publications(self) -> list[Publish]:
        """What each host is told: which secrets its services get, by reference."""
        newest = [*await self.vault.tables.newest(), *self.configured().versions.values()]
        if not newest:
            return []
        mesh, shelf = self.mesh(), grants.shelf_of(newest, now())
        granting = await self.granting()
        found = []
        for host in await self._directory.hosts():
            if host.standing is Standing.GOOD:
                refs = grants.references(_recipient(host, mesh), shelf, granting, mesh.secrets)
                if refs:
                    found.append(Publish(host.agent_id, SecretRefs.KIND, "", SecretRefs(refs).encode()))
        return found

    async def granting(self) -> Granting:
        granting = Granting.of(await self.vault.tables.grants(), self.mesh().secrets)
        return granting.using(self.configured().uses)

    def configured(self) -> Configured:
        """What the configuration brings and needs."""
        found = ((unit_of(each.namespace, each.name), each) for each in self.mesh().credentials)
        return Configured.of(found, self.uses())

    async def notes(self) -> list[str]:
        """What a person should know: secrets that end soon or have ended, names that no secret has."""
        newest = await self.vault.tables.newest()
        moment = now()
        found = [f"the secret {each.name} {state}" for each in newest if (state := ending(each, moment))]
        names = {each.name for each in newest}
        units = {each.partition("/")[0] for each in names}
        found += [
            f"nobody has put the secret {name}, which the mesh file names"
            for name in self.mesh().secrets
            if name not in names and name not in units
        ]
        if len(await self.vault.tables.keys()) > 1:
            found.append("the key of secrets was not rotated to the end: handsel secret rotate-key")
        return found

    async def _asking(self, request: Request) -> Recipient:
        host = await self._host_of(request)
        if host.standing is not Standing.GOOD:
            raise NotAuthorised(f"the agent {host.agent_id} is {host.standing} and gets no secrets: {host.cause}")
        return _recipient(host, self.mesh())


def ending(version: Version, moment: datetime) -> str:
    """That a version ends soon, or has; empty when it does not."""
    if version.expires is None or version.expires > moment + SOON:
        return ""
    when = f"{version.expires:%Y-%m-%d %H:%M} UTC"
    return f"ends soon, at {when}" if version.expires > moment else f"has expired at {when} and is not delivered"


def _recipient(host: Host, mesh: Mesh) -> Recipient:
    services = {name: str(each.identity) for name, each in mesh.members.items() if host.may_run(name)}
    return Recipient(host.agent_id, services)


def _token(mesh: Mesh) -> TokenKeys | None:
    if not mesh.authority.keys.token:
        return None
    uri = TokenUri.parse(mesh.authority.keys.token)
    return TokenKeys(session_with(uri), uri.prefix, random)
