"""Acts about the journal. Whoever asks checks it on their own side: the server is not asked whether it is honest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from handsel.authority.adapters.ledger_tables import Checkpoints
from handsel.authority.administration import Role
from handsel.errors import UsageError
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.admin.acts import Act, Acts, Asked

_MOST_LINES = 5000


def acts(
    store: SqlStore, trust_domain: TrustDomain, public_key: Callable[[], str], sign: Callable[[], Awaitable[None]]
) -> Acts:
    """What may be asked about the journal."""
    checkpoints = Checkpoints(store)

    async def about(_asked: Asked) -> Any:
        await sign()
        logs = [{"log": log, "checkpoints": await checkpoints.of(log)} for log in await store.logs()]
        return {"trust_domain": str(trust_domain), "public_key": public_key(), "logs": logs}

    async def lines(asked: Asked) -> Any:
        after = asked.query.get("after", "0")
        if not after.isdecimal():
            raise UsageError("after is the number of a line")
        return (await store.journal_lines(asked.query.get("log"), after=int(after)))[:_MOST_LINES]

    return {
        ("GET", "/v1/journal"): Act(Role.VIEWER, about),
        ("GET", "/v1/journal/lines"): Act(Role.VIEWER, lines),
    }
