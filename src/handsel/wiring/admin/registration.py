"""Acts about joining: tickets, the hosts that have joined, and what they may still do."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

from handsel.authority.adapters.attest_tables import Registry
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.tables import Directory
from handsel.authority.administration import Role
from handsel.authority.attest import stories
from handsel.authority.model import ALL_SERVICES, Standing, TicketBounds
from handsel.errors import UsageError
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.admin.acts import Act, Acts, Asked
from handsel.wiring.server_status import describe_host

_PIN = re.compile(r"[0-9a-f]{64}")
_STANDINGS = {"lift": Standing.GOOD, "quarantine": Standing.QUARANTINED, "ban": Standing.BANNED, "unban": Standing.GOOD}


class MakeTicket(Protocol):
    """Makes a join ticket and gives its text."""

    async def __call__(
        self, services: tuple[str, ...], lifetime: timedelta, *, by: str, bounds: TicketBounds
    ) -> str: ...


def acts(
    store: SqlStore, directory: Directory, make_ticket: MakeTicket, on_ban: Callable[[str], Awaitable[None]]
) -> Acts:
    """What may be asked about joining. `on_ban` is told the agent that is listened to no more."""
    registry = Registry(store)

    async def hosts(_asked: Asked) -> Any:
        return [describe_host(host) for host in await directory.hosts()]

    async def tickets(asked: Asked) -> Any:
        services = tuple(asked.wish.get("services") or ALL_SERVICES)
        try:
            lifetime = timedelta(seconds=float(asked.wish.get("lifetime_seconds", 600)))
        except (ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"the lifetime is no number of seconds: {error}") from error
        return {"ticket": await make_ticket(services, lifetime, by=asked.by, bounds=read_bounds(asked.wish))}

    async def standing(asked: Asked) -> Any:
        agent_id, verb = str(asked.wish.get("agent", "")), str(asked.wish.get("act", ""))
        host = await directory.host(agent_id)
        if host is None:
            raise UsageError(f"no agent {agent_id!r} has joined here", next_step="see: handsel agent list")
        if verb not in _STANDINGS:
            raise UsageError(f"what can be done is {', '.join(_STANDINGS)}, not {verb!r}")
        if (verb, host.standing) in (("lift", Standing.BANNED), ("unban", Standing.QUARANTINED)):
            raise UsageError(f"the agent {agent_id} is {host.standing}: {host.cause}")
        cause = str(asked.wish.get("cause", ""))[:500] or f"{verb}, by {asked.by}"
        wanted, moment = _STANDINGS[verb], now()
        living = await registry.living(f"agent/{agent_id}", moment) if wanted is Standing.BANNED else []
        outcome = stories.set_standing(host, wanted, cause, now=moment, by=asked.by, living=living)
        if not asked.wish.get("dry_run"):
            await store.commit(outcome.writes)
            if wanted is Standing.BANNED:
                await on_ban(agent_id)
        return {
            "agent": agent_id, "host": host.name, "before": host.standing, "standing": wanted,
            "revoked": [serial for serial, _ in living],
        }  # fmt: skip

    return {
        ("GET", "/v1/hosts"): Act(Role.VIEWER, hosts),
        ("POST", "/v1/hosts/standing"): Act(Role.OPERATOR, standing),
        ("POST", "/v1/tickets"): Act(Role.OPERATOR, tickets),
    }


def read_bounds(wish: dict[str, Any]) -> TicketBounds:
    """Who may redeem a ticket. Raises `UsageError`."""
    network, key_pin = str(wish.get("network") or ""), str(wish.get("key_pin") or "").lower()
    try:
        network = str(ipaddress.ip_network(network)) if network else ""
    except ValueError as error:
        raise UsageError(f"{network!r} is no network: {error}", next_step="write it as 10.0.0.0/24") from error
    if key_pin and not _PIN.fullmatch(key_pin):
        raise UsageError("the pin of a key has 64 hex digits", next_step="print it on the host: handsel agent key")
    return TicketBounds(str(wish.get("host_name") or "")[:253], network, key_pin)
