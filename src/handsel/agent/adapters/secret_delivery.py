"""Secrets on this host: fetched by their references, laid into private folders of the runtime folder, taken away again.

What the server said last is kept in the agent's folder (no value in it), what lies here in the runtime folder: after a
restart it is served on, and after a reboot, when that folder is empty, it is fetched again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from handsel.agent import renewal, secrets
from handsel.agent.adapters.secret_folder import SecretFolder
from handsel.agent.credentials import Credentials
from handsel.agent.layout import Layout
from handsel.agent.model import Owner
from handsel.agent.secrets import Key, Unit
from handsel.errors import HandselError, NotAuthorised, ProtocolError
from handsel.link.adapters.http_client import LinkClient
from handsel.link.messages import Frame
from handsel.link.secrets import SecretRef, SecretRefs, SecretsRequest
from handsel.pki.secret import Secret
from handsel.store.adapters.files import write_file
from handsel.xds import credential, secret
from handsel.xds.resources import Resource

_log = structlog.get_logger("handsel.agent")
_AGAIN_SECONDS, _LONGEST_SECONDS = 5.0, 3600.0


class SecretDelivery:
    """The secrets of one host.

    `owner_of` a service: whom its program runs as, where that is somebody else than the agent. `on_change` is told when
    what a proxy should have has changed.
    """

    def __init__(self, layout: Layout, owner_of: Callable[[str], Owner | None], on_change: Callable[[], None]) -> None:
        self._owner_of = owner_of
        self._file = layout.state / "secrets.bin"
        self._folder = SecretFolder(layout.secrets)
        self._on_change = on_change
        self._woken = asyncio.Event()
        self._in_doubt = False
        self._denied = False
        self._refused: dict[Key, str] = {}
        self._problems: dict[Unit, str] = {}
        self._values: dict[Key, Secret] = {}
        self._credentials = Credentials()
        self._refs, self.whole = _load(self._file)
        """`whole`: what the server said before is known; else the watch must begin anew."""

    def start(self) -> None:
        """Take up what lies here. Raises `StateError`."""
        self._values = self._folder.load()
        self._bring_in_line()

    def take(self, frame: Frame) -> None:
        """A frame of the watch; others than ours are left alone. Durable when this returns. Raises `ProtocolError`."""
        if frame.kind != SecretRefs.KIND:
            return
        refs = SecretRefs.decode(frame.body).refs
        self._save(refs)
        self._refs, self._denied = refs, False
        self._bring_in_line()  # what is not granted any more goes at once
        self._on_change()
        self._woken.set()

    def look_again(self) -> None:
        """The services of this host have changed, or whom they run as."""
        self._woken.set()

    def doubt(self) -> None:
        """The server has refused this host: whether it may keep its secrets is asked."""
        self._in_doubt = True
        self._woken.set()

    def begin_anew(self) -> None:
        """Nothing was received yet: whatever is granted will be said."""
        self._save(())

    def names(self, service: str) -> tuple[str, ...]:
        """The names under which the proxy of a service may ask for secrets, be they here already or not."""
        return tuple(secrets.sds_name(ref) for ref in self._refs if ref.service == service)

    def resources(self, service: str) -> dict[tuple[str, str], Resource]:
        """The secrets that the proxy of a service may ask for."""
        found = [
            secret.generic(secrets.sds_name(ref), self._values[secrets.key_of(ref)])
            for refs in self._folder.placed.values()
            for ref in refs
            if ref.service == service
        ]
        return {each.key: each for each in found}

    def credentials(self, service: str) -> dict[str, Resource]:
        """The certificates and roots that the proxy of a service uses by the name of a secret."""
        self._credentials.refresh(self._folder.placed, self._values, datetime.now(UTC))
        return self._credentials.resources(service)

    def lacking(self, service: str, names: Iterable[str]) -> dict[str, str]:
        """Of these names of secrets the credentials that are not here, each with what is wrong."""
        there = self.credentials(service)
        wanted = [name for name in names if credential.group_of(name) and name not in there]
        return {name: self._credentials.problem(service, name) for name in wanted}

    def missing(self, service: str) -> dict[str, str]:
        """The secrets of a service that are not here yet, each with what is wrong."""
        refs = secrets.missing(self._refs, self._folder.placed, service)
        return {ref.name: self._why_missing(ref) for ref in refs}

    async def keep(self, client: Callable[[], LinkClient]) -> None:
        """For ever: fetch what is wanted, take away what has expired."""
        failures, said = 0, ""
        while True:
            self._woken.clear()
            try:
                self._bring_in_line()
                await self._fetch(client)
                failures, said = 0, ""
            except HandselError as error:
                failures += 1
                if str(error) != said:
                    _log.warning("secrets are not fetched yet", problem=str(error))
                said = str(error)
            # Not `wait_for`, which loses a cancellation that comes together with what it waits for (Python 3.11).
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience(failures)):
                    await self._woken.wait()

    async def _fetch(self, client: Callable[[], LinkClient]) -> None:
        lacking = [secrets.key_of(ref) for ref in self._wanted() if secrets.key_of(ref) not in self._values]
        if not self._refs:  # there is nothing to lose
            self._in_doubt = self._denied = False
        if not (lacking or self._in_doubt or self._denied):
            return
        for batch in secrets.batches(lacking) or [()]:
            answer = await client().secrets(SecretsRequest(batch))
            if answer is None:
                self._denied = True
                self._bring_in_line()
                raise NotAuthorised("the server gives this host no secrets any more: they are taken away")
            self._in_doubt = self._denied = False
            self._values |= {key: value for key, value in answer.values.items() if key in batch}
            self._refused = {**self._refused, **answer.refused}
        self._bring_in_line()

    def _wanted(self) -> list[SecretRef]:
        return secrets.living(self._refs, datetime.now(UTC))

    def _bring_in_line(self) -> None:
        """Make the folder what it should be, as far as the values are here."""
        now = datetime.now(UTC)
        wanted = secrets.by_unit([] if self._denied else self._wanted())
        placed = self._folder.placed
        before = dict(placed)
        clashes = secrets.clashes([ref for refs in wanted.values() for ref in refs])
        self._problems = {}
        for unit in {**placed, **wanted}:
            refs = () if unit in clashes else wanted.get(unit, ())
            target = secrets.target(refs, placed.get(unit, ()), self._values, now)
            group = self._group(unit[0])
            if target != placed.get(unit, ()) or (target and group != self._folder.groups.get(unit[0])):
                problem = self._folder.place(unit, target, self._values, group)
                if problem:
                    self._problems[unit] = problem
        self._problems |= clashes
        kept = {secrets.key_of(ref) for refs in (*placed.values(), *wanted.values()) for ref in refs}
        self._values = {key: value for key, value in self._values.items() if key in kept}
        self._refused = {key: why for key, why in self._refused.items() if key in kept}
        if placed != before:
            self._on_change()

    def _group(self, service: str) -> int | None:
        owner = self._owner_of(service)
        return owner.gid if owner else None

    def _why_missing(self, ref: SecretRef) -> str:
        why = self._problems.get(secrets.unit_on_host(ref)) or self._refused.get(secrets.key_of(ref))
        return f"the secret {ref.name} is not here: {why}" if why else f"the secret {ref.name} is not delivered yet"

    def _patience(self, failures: int) -> float:
        now = datetime.now(UTC)
        end = secrets.next_end(self._refs, now)
        seconds = (end - now).total_seconds() + 0.01 if end else _LONGEST_SECONDS
        if failures:
            seconds = min(seconds, renewal.backoff(failures).total_seconds())
        elif self._problems or self._refused:
            seconds = min(seconds, _AGAIN_SECONDS)
        return min(seconds, _LONGEST_SECONDS)

    def _save(self, refs: tuple[SecretRef, ...]) -> None:
        write_file(self._file, SecretRefs(refs).encode())


def _load(path: Path) -> tuple[tuple[SecretRef, ...], bool]:
    try:
        return SecretRefs.decode(path.read_bytes()).refs, True
    except (OSError, ProtocolError):
        return (), False
