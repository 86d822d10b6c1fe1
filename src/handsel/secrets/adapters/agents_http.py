"""The door by which agents fetch values: what is granted to a service of their host, and each access is journaled."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from handsel.door.asgi import Handler, Request, Response
from handsel.errors import Conflict
from handsel.link.messages import PREFIX
from handsel.link.secrets import SecretsRequest, SecretsResponse
from handsel.model.secret import SECRET_NAME, Declared
from handsel.pki.secret import Secret
from handsel.secrets import grants
from handsel.secrets.adapters.vault import Vault, now
from handsel.secrets.configured import Configured
from handsel.secrets.grants import Granting, Recipient
from handsel.secrets.model import Delivered, Version
from handsel.store.adapters.sql import SqlStore
from handsel.store.journal import entry

_PROTOBUF = "application/x-protobuf"
_MOST_DENIALS = 10_000
"""So many different refusals are written down before a host that asks for anything is not written about any more."""

Key = tuple[str, str, str]
"""Service, name and version."""


class SecretsDoor:
    """`recipient` says who asks, and raises `NotAuthorised` for a host that gets nothing."""

    def __init__(
        self, store: SqlStore, vault: Vault, declared: Callable[[], Declared],
        recipient: Callable[[Request], Awaitable[Recipient]], configured: Callable[[], Configured] = Configured,
    ) -> None:  # fmt: skip
        self._store = store
        self._vault = vault
        self._declared = declared
        self._recipient = recipient
        self._configured = configured
        self._denied: set[tuple[str, Key, str]] = set()

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {("POST", f"{PREFIX}/secrets"): self.hand_out}

    async def hand_out(self, request: Request) -> Response:
        """The values that are asked for and granted. An empty request asks only whether this host gets any."""
        host = await self._recipient(request)
        wanted = SecretsRequest.decode(request.body).wanted
        values: dict[Key, Secret] = {}
        refused: dict[Key, str] = {}
        if wanted:
            configured = self._configured()
            granting = Granting.of(await self._vault.tables.grants(), self._declared()).using(configured.uses)
            newest = {version.name: version for version in await self._vault.tables.newest()}
            newest.update(configured.versions)
            for key in wanted:
                service, name, version_id = key
                why = grants.refusal(host, service, version_id, newest.get(name), granting, now())
                if why:
                    refused[key] = why
                    await self._write_denial(host, key, why)
                else:
                    values[key] = await self._value(host, service, newest[name], configured)
        return Response(200, SecretsResponse(values, refused).encode(), _PROTOBUF)

    async def _value(self, host: Recipient, service: str, found: Version, configured: Configured) -> Secret:
        """Opened, and durable in the journal before it leaves: once for each host, service and version."""
        value = configured.values.get(found.name)
        if value is None:
            found, value = await self._vault.value(found.version_id)
        if not await self._vault.tables.was_delivered(host.agent_id, service, found.version_id):
            moment = now()
            line = entry(
                "secret delivered", moment, secret=found.name, version=str(found.number), host=host.agent_id,
                to=service, identity=host.services[service],
            )  # fmt: skip
            with contextlib.suppress(Conflict):  # asked for twice at the same time
                await self._store.commit((Delivered(host.agent_id, service, found.version_id, moment), line))
        return value

    async def _write_denial(self, host: Recipient, key: Key, why: str) -> None:
        service, name, _ = key
        told = (host.agent_id, (service, name, ""), why)
        is_name = SECRET_NAME.fullmatch(name) and len(service) <= 63  # RFC 1123
        if not is_name or told in self._denied or len(self._denied) >= _MOST_DENIALS:
            return
        self._denied.add(told)
        line = entry("secret denied", now(), secret=name, host=host.agent_id, to=service, why=why)
        await self._store.commit((line,))
