"""The sockets of a host's workloads, one each: ADS, SDS and the Workload API. The socket is the identity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from handsel.agent.adapters.workload_api import WorkloadApi
from handsel.agent.holdings import FRONT
from handsel.agent.layout import Layout
from handsel.agent.model import Owner
from handsel.link.messages import Bundle
from handsel.link.report import Rejection
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.names import Names
from handsel.xds.resources import LISTENER
from handsel.xds.snapshot import Snapshot

_log = structlog.get_logger("handsel.agent")


class Doors:
    """Opened and closed as workloads come and go.

    `make_api` makes a workload's Workload API; `on_change` is called with its name when an Envoy has said something.
    """

    def __init__(
        self, layout: Layout, make_api: Callable[[str], WorkloadApi], on_change: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._make_api = make_api
        self._on_change = on_change
        self.by_name: dict[str, AdsServer] = {}
        self.given: dict[str, Bundle] = {}
        """Whom each proxy was told to believe: it does once it is in sync."""
        self._apis: dict[str, WorkloadApi] = {}

    async def open(self, name: str, owner: Owner | None) -> None:
        """Open a workload's socket, for its user. Raises `StateError`."""
        api = self._make_api(name)
        door = AdsServer(
            self._layout.of(name).sockets.ads, services=api.handlers(),
            owner=(owner.uid, owner.gid) if owner else None, on_change=partial(self._on_change, name),
            on_decision=partial(_note_decision, name),
        )  # fmt: skip
        self._apis[name], self.by_name[name] = api, door
        await door.start()

    async def close(self, name: str) -> None:
        """Close a workload's socket; who listens at it is told that there is nothing any more."""
        self._apis.pop(name).notify()
        self.given.pop(name, None)
        await self.by_name.pop(name).stop()

    async def close_all(self) -> None:
        await asyncio.gather(*(door.stop() for door in self.by_name.values()))

    async def heal(self) -> None:
        """Sockets that somebody deleted are made again."""
        for door in list(self.by_name.values()):
            await door.heal()

    def publish(self, name: str, snapshot: Snapshot, names: Names, bundle: Bundle) -> None:
        """What a workload's clients get from now on."""
        self.by_name[name].publish(snapshot, names)
        self.given[name] = bundle

    def notify(self) -> None:
        """Something that is held has changed."""
        for api in self._apis.values():
            api.notify()

    def rejections(self, name: str) -> tuple[Rejection, ...]:
        """What a workload's Envoy has refused, as it is reported."""
        door = self.by_name.get(name)
        return tuple(Rejection(each.type_url, each.names, each.reason) for each in door.rejections) if door else ()

    def take_unbound(self, name: str) -> list[str]:
        """The listeners that a workload's Envoy could not bind, told once; a gateway's port is not ours to change."""
        refused = [each for each in self.rejections(name) if each.type_url == LISTENER]
        unbound = [listener for each in refused for listener in each.names if f"{listener}: cannot bind" in each.reason]
        found = [listener for listener in unbound if not listener.startswith(FRONT)]
        if found:
            self.by_name[name].rejections.clear()
        return found


def _note_decision(service: str, name: str, granted: bool, reason: str) -> None:
    if not granted:
        _log.warning("a secret is refused", service=service, name=name, reason=reason)
