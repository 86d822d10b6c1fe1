"""Network namespaces of workloads: made, adopted after a restart, and taken away again with what is in them.

`ip` and `nft` do the work: they are on every host that has a firewall to look at, and what they were told can be read.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog

from handsel.agent import namespace
from handsel.agent.adapters.host import rights
from handsel.agent.adapters.host.network import inside
from handsel.agent.namespace import Refusals
from handsel.errors import StateError

_log = structlog.get_logger("handsel.agent")
_SECONDS = 10.0
_FOLDER = Path(namespace.FOLDER)
Names = Callable[[str], Mapping[str, str]]


def check() -> None:
    """Raises `StateError` when this host cannot give workloads network namespaces."""
    programs = {each: shutil.which(each) is not None for each in ("ip", "nft")}
    what, next_step = namespace.missing(rights=rights.may_isolate(), programs=programs)
    if what:
        raise StateError(f"--strict needs {what}", next_step=f"{next_step}; without --strict it works as it is")


def there(state: Path) -> list[str]:
    """The names of a state folder's namespaces."""
    if not _FOLDER.is_dir():
        return []
    return sorted(each.name for each in _FOLDER.iterdir() if each.name.startswith(namespace.prefix(str(state))))


def remove(name: str) -> None:
    """Take a namespace away. Whoever is still in it stays there, cut off. Raises `StateError`."""
    _run(["ip", "netns", "delete", name])


class Space:
    """One workload's namespace, and who answers in it. Raises `StateError`."""

    def __init__(self, name: str, service: str, names: Callable[[], Mapping[str, str]]) -> None:
        self.path = str(_FOLDER / name)
        if not _is_alive(self.path):
            if Path(self.path).exists():
                remove(name)
            _run(["ip", "netns", "add", name])
        _run(["ip", "-n", name, "-batch", "-"], namespace.SETUP)
        from handsel.agent.adapters.resolver import Refuser, Stub  # noqa: PLC0415  # heavy; only who is strict needs it

        try:
            self._stub, self.refuser = inside(self.path, lambda: (Stub(names), Refuser(service)))
        except OSError as error:
            raise StateError(f"nobody can listen in the network namespace {name}: {error.strerror}") from error
        try:
            inside(self.path, lambda: _run(["nft", "-f", "-"], namespace.rules(self.refuser.port)))
        except StateError:
            self._stub.socket.close()
            self.refuser.socket.close()
            raise

    def start(self) -> None:
        self._stub.start()
        self.refuser.start()

    def close(self) -> None:
        self._stub.close()
        self.refuser.close()


class Namespaces:
    """Those of a state folder's workloads. Without `strict` there are none, and what is left of others is removed.

    `names`: what a workload may call, by its name, and at which address.
    """

    def __init__(self, state: Path, names: Names, *, strict: bool) -> None:
        self._state = state.absolute()
        self._names = names
        self._strict = strict
        self._by_service: dict[str, Space] = {}

    async def keep(self, services: Collection[str]) -> None:
        """A namespace for each of these, and none for any other. Raises `StateError`."""
        wanted = set(services) if self._strict else set()
        for service in self._by_service.keys() - wanted:
            self._by_service.pop(service).close()
        names = {namespace.name(str(self._state), each) for each in wanted}
        for name in set(there(self._state)) - names:
            await asyncio.to_thread(_remove_left, name)
        new = sorted(wanted - self._by_service.keys())
        opened = await asyncio.gather(*map(self._open, new), return_exceptions=True)
        for service, space in zip(new, opened, strict=True):
            if isinstance(space, Space):
                self._by_service[service] = space
                space.start()
        for failed in opened:
            if isinstance(failed, BaseException):
                raise failed

    def path(self, service: str) -> str:
        """Where the namespace of a workload is; empty when it has none."""
        space = self._by_service.get(service)
        return space.path if space else ""

    def refusals(self, service: str) -> Refusals:
        """The calls past the sidecar that were refused since we started."""
        space = self._by_service.get(service)
        return space.refuser.refusals if space else Refusals()

    def leave(self) -> None:
        """Answer no more; programs and proxies go on in there."""
        for space in self._by_service.values():
            space.close()
        self._by_service.clear()

    def end(self) -> None:
        """Leave, and take them away."""
        self.leave()
        for name in there(self._state):
            remove(name)

    async def _open(self, service: str) -> Space:
        name = namespace.name(str(self._state), service)
        return await asyncio.to_thread(Space, name, service, lambda: self._names(service))


def _remove_left(name: str) -> None:
    """What another left is in nobody's way, and may be another's to take away."""
    try:
        remove(name)
    except StateError as error:
        _log.warning("a network namespace is left", namespace=name, problem=str(error))


def _is_alive(path: str) -> bool:
    """Whether there is a namespace at this path, not only a file that once was one."""
    try:
        inside(path, lambda: None)
    except OSError:
        return False
    return True


def _run(words: Sequence[str], text: str = "") -> None:
    try:
        done = subprocess.run(  # noqa: S603  # our own words, no shell
            words, input=text.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateError(f"{words[0]} does not run: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise StateError(f"{' '.join(words)} failed: {said[0] if said else done.returncode}")
