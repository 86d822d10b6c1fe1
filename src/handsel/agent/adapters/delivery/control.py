"""Deliveries at the agent's control socket: what `cert issue`, `cert deliveries` and `cert withdraw` ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from handsel.agent.adapters.delivery.deliveries import Deliveries, Standing
from handsel.agent.model import Holdings
from handsel.door.asgi import Handler, Request, Response
from handsel.errors import UsageError


class DeliveryDoor:
    """Handlers over the deliveries of a host."""

    def __init__(self, deliveries: Deliveries, holdings: Callable[[], Holdings]) -> None:
        self._deliveries = deliveries
        self._holdings = holdings

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", "/v1/deliveries"): self.all,
            ("POST", "/v1/deliveries"): self.ask,
            ("POST", "/v1/deliveries/withdraw"): self.withdraw,
        }

    def shown(self) -> list[dict[str, Any]]:
        """Every delivery of this host and how it is."""
        return [self._shown(each) for each in self._deliveries.standings.values()]

    async def all(self, _request: Request) -> Response:
        return _answer(self.shown())

    async def ask(self, request: Request) -> Response:
        said = _said(request)
        standing = await self._deliveries.ask(said.get("wish"), self._holdings(), dry_run=bool(said.get("dry_run")))
        return _answer(self._shown(standing))

    async def withdraw(self, request: Request) -> Response:
        said = _said(request)
        which = str(said.get("which", ""))
        gone = await self._deliveries.withdraw(which, self._holdings(), dry_run=bool(said.get("dry_run")))
        return _answer({"id": gone.id, "folder": gone.delivery.folder, "removed": self._deliveries.is_gone(gone.id)})

    def _shown(self, standing: Standing) -> dict[str, Any]:
        wish = standing.wanted
        workload = self._holdings().workloads.get(wish.service)
        pair = workload.key_pair if workload else None
        return {
            "id": wish.id,
            "service": wish.service,
            "identity": str(workload.assigned.identity) if workload else "",
            "folder": wish.delivery.folder,
            "files": {each.name: each.kind for each in wish.delivery.contents},
            "asked_for": "here" if wish.local else "by the server",
            "reload": str(wish.delivery.reload),
            "delivered": bool(standing.mark) and not standing.problem,
            "certificate": pair.leaf.serial if pair and wish.delivery.needs_identity else "",
            "not_after": pair.leaf.not_after.isoformat() if pair and wish.delivery.needs_identity else "",
            "problem": standing.line(),
            "next_step": standing.next_step if standing.line() else "",
        }


def _said(request: Request) -> dict[str, Any]:
    try:
        said = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise UsageError("the request is no JSON") from error
    if not isinstance(said, dict):
        raise UsageError("the request is no JSON object")
    return said


def _answer(content: Any) -> Response:
    return Response(200, json.dumps(content).encode(), "application/json")
