"""`mesh tap`: the access logs of this host's proxies, followed, joined and filtered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from handsel.errors import StateError
from handsel.telemetry.adapters.log_tail import LogTail
from handsel.telemetry.join_logs import Call, Half, Joiner, is_call
from handsel.telemetry.tap import Filter, Seen, show

_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Source:
    """A workload of this host: its identity, and where its proxy writes what it sees."""

    service: str
    identity: str
    log: Path


def sources_of(workloads: Iterable[Mapping[str, str]]) -> list[Source]:
    """The workloads as the agent's status has them."""
    return [Source(each["service"], each["identity"], Path(each["access_log"])) for each in workloads]


async def follow(sources: list[Source], wanted: Filter) -> AsyncIterator[Seen]:
    """Calls as they happen, for ever. Raises `StateError` when the logs may not be read."""
    names = {source.identity: source.service for source in sources}
    joiner = Joiner(frozenset(names.values()))
    try:
        tails = {source.service: LogTail(source.log) for source in sources}
    except OSError as error:
        raise _unreadable(error) from error
    try:
        while True:
            for seen in sorted((show(call, names) for call in _new(tails, joiner)), key=lambda seen: seen.time):
                if wanted.shows(seen):
                    yield seen
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        for tail in tails.values():
            tail.close()


def _new(tails: Mapping[str, LogTail], joiner: Joiner) -> Iterable[Call]:
    for service, tail in tails.items():
        try:
            for record in tail.records():
                if is_call(record):
                    yield from joiner.take(Half(service, record), time.monotonic())
        except OSError as error:
            raise _unreadable(error) from error
    yield from joiner.over(time.monotonic())


def _unreadable(error: OSError) -> StateError:
    return StateError(
        f"{error.filename} cannot be read: {error.strerror}", next_step="run this as the agent's user, or as root"
    )
