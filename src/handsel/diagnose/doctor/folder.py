"""The state folder and the sockets: modes, owners, what was left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from handsel.diagnose.doctor.model import Check, Group, Mend, few

LONGEST_SOCKET_PATH = 107
"""Bytes, unix(7)."""
MOST_ENTRIES = 20_000
# What everybody may know, and programs of other users read.
_PUBLIC = (".crt", ".pem", ".crl", ".pub")
_PUBLIC_NAMES = ("hosts",)
_GROUP = Group("state")
_LEFT = Group("left behind")


@dataclass(frozen=True)
class Entry:
    """A file or folder of the state. Symbolic links are not followed."""

    path: str
    mode: int
    owner: int
    group: int
    is_folder: bool


@dataclass(frozen=True)
class UnixSocket:
    """A socket's file. `answers` None: that cannot be told, it is another user's."""

    path: str
    answers: bool | None


@dataclass(frozen=True)
class Record:
    """A file that says which process it was. `kind`: up, program or envoy. `runs`: that very process is there."""

    path: str
    kind: str
    name: str
    pid: int
    runs: bool


@dataclass(frozen=True)
class Folder:
    """What was found below the state folder and in the folder of its sockets. `runs`: the parts that hold the state."""

    state: str
    entries: tuple[Entry, ...] = ()
    runtime: str = ""
    longest_socket_name: int = 0
    sockets: tuple[UnixSocket, ...] = ()
    records: tuple[Record, ...] = ()
    running: frozenset[str] = frozenset()

    @property
    def is_there(self) -> bool:
        return bool(self.entries)


def checks(facts: Folder) -> list[Check]:
    if not facts.is_there:
        return [_GROUP.skipped("folder", f"there is no state in {facts.state} yet")]
    return [_modes(facts), _owners(facts), _lengths(facts), _stale(facts), *_left_behind(facts)]


def _modes(facts: Folder) -> Check:
    ours = facts.entries[0].group
    wide = [each for each in facts.entries if _too_wide(each, ours)]
    if not wide:
        more = " (the first ones)" if len(facts.entries) >= MOST_ENTRIES else ""
        return _GROUP.ok("modes", f"{len(facts.entries)} files and folders{more}, none open to others")
    return _GROUP.failure(
        "modes",
        "open to others: " + few(f"{each.path} ({each.mode:o})" for each in wide),
        "whoever reads a key of this folder is its service; handsel does not start on it",
        "handsel doctor --fix, and think about who may have read it",
        [Mend(each.path, each.mode & ~_too_wide(each, ours)) for each in wide],
    )


def _too_wide(entry: Entry, ours: int) -> int:
    """The bits that should not be there. A service with a user of its own reads what is given to its group.

    Others may pass through folders on their way to what is theirs, and read what is public.
    """
    path = PurePosixPath(entry.path)
    if entry.is_folder:
        never = 0o026
    elif path.suffix in _PUBLIC or path.name in _PUBLIC_NAMES:
        return entry.mode & 0o033
    else:
        never = 0o037
    return entry.mode & (never | (0o040 if entry.group == ours else 0))


def _owners(facts: Folder) -> Check:
    owner = facts.entries[0].owner
    others = [each for each in facts.entries if each.owner != owner]
    if not others:
        return _GROUP.ok("owner", f"everything belongs to uid {owner}")
    return _GROUP.failure(
        "owner",
        f"not of uid {owner}, whose the folder is: " + few(f"{each.path} (uid {each.owner})" for each in others),
        "handsel ran as another user, root perhaps, and its usual one cannot write these",
        f"chown -R {owner} {facts.state}",
    )


def _lengths(facts: Folder) -> Check:
    longest = len(facts.runtime.encode()) + 1 + facts.longest_socket_name
    if longest <= LONGEST_SOCKET_PATH:
        return _GROUP.ok("socket paths", f"{facts.runtime}: at most {longest} of {LONGEST_SOCKET_PATH} bytes")
    return _GROUP.failure(
        "socket paths",
        f"sockets in {facts.runtime} have paths of up to {longest} bytes",
        f"a path of a socket ends at {LONGEST_SOCKET_PATH} bytes",
        "set HANDSEL_RUNTIME_DIR to a shorter folder",
    )


def _stale(facts: Folder) -> Check:
    dead = [each for each in facts.sockets if each.answers is False]
    if not dead:
        return _GROUP.ok("sockets", f"{sum(bool(each.answers) for each in facts.sockets)} sockets, all answer")
    return _GROUP.warning(
        "sockets",
        "nobody listens any more: " + few(PurePosixPath(each.path).name for each in dead) + f" in {facts.runtime}",
        "what asks there is refused instead of being told that nothing runs",
        "handsel doctor --fix",
        [Mend(each.path) for each in dead],
    )


def _left_behind(facts: Folder) -> list[Check]:
    dead = [each for each in facts.records if not each.runs]
    alive = [each for each in facts.records if each.runs]
    return [_orphans(alive, facts), _stale_records(dead)]


def _orphans(alive: list[Record], facts: Folder) -> Check:
    if "up" in facts.running:
        return _LEFT.ok("processes", f"`up` runs, with {len([each for each in alive if each.kind != 'up'])} processes")
    programs = [each for each in alive if each.kind == "program"]
    if programs:
        return _LEFT.failure(
            "processes",
            "an `up` that was killed left running: " + few(f"{each.name} (pid {each.pid})" for each in programs),
            "they hold their ports, and nobody watches over them",
            f"handsel down --state {facts.state}; the next `up` ends them too",
        )
    envoys = [each for each in alive if each.kind == "envoy"]
    if envoys and "agent" not in facts.running:
        return _LEFT.warning(
            "processes",
            "no agent watches over the Envoys of " + few(each.name for each in envoys),
            "they carry traffic on, but their certificates are not renewed",
            f"start the agent again, which adopts them; or: handsel down --state {facts.state}",
        )
    return _LEFT.ok("processes", "nothing runs that nobody watches over")


def _stale_records(dead: list[Record]) -> Check:
    if not dead:
        return _LEFT.ok("records", "every process that was noted runs")
    return _LEFT.warning(
        "records",
        "noted, and gone: " + few(f"{each.kind} {each.name} (pid {each.pid})".replace("  ", " ") for each in dead),
        "it ended without a word; the next start would find out by itself",
        "handsel doctor --fix",
        [Mend(each.path) for each in dead],
    )
