"""What lies in a state folder and its folder of sockets, and mending what can be mended."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from handsel.diagnose.doctor.folder import MOST_ENTRIES, Entry, Folder, Record, UnixSocket
from handsel.diagnose.doctor.model import Mend
from handsel.diagnose.doctor.trust import Held
from handsel.envoy.adapters.process import ProcessRecord
from handsel.errors import StateError
from handsel.pki.certificate import parse_pem

_CONNECT_SECONDS = 1.0


def folder(
    state: Path, runtime: Path, *, longest_socket_name: int, records: Iterable[tuple[str, str, Path]],
    locks: Mapping[str, Path],
) -> Folder:  # fmt: skip
    """The facts. `records`: kind, name and file of each process that was noted; `locks`: of each part of handsel."""
    return Folder(
        str(state), tuple(islice(_entries(state), MOST_ENTRIES)), str(runtime), longest_socket_name,
        tuple(_sockets(runtime)), tuple(each for each in map(_record, records) if each is not None),
        frozenset(part for part, path in locks.items() if _is_held(path)),
    )  # fmt: skip


def certificates(files: Iterable[tuple[str, Path, bool]]) -> list[Held]:
    """The first certificate of each file that is there: name, file, whether it is a CA's."""
    found = []
    for name, path, is_ca in files:
        with contextlib.suppress(OSError, ValueError, IndexError):
            first = parse_pem(path.read_bytes())[0]
            found.append(Held(name, str(path), first.not_before, first.not_after, is_ca))
    return found


def apply(mends: Iterable[Mend]) -> None:
    """Make the changes. Raises `StateError` at the first that fails."""
    for mend in mends:
        try:
            if mend.mode is None:
                Path(mend.path).unlink(missing_ok=True)
            else:
                Path(mend.path).chmod(mend.mode)
        except OSError as error:
            raise StateError(f"cannot {mend}: {error.strerror}", next_step="run this as its owner") from error


def now() -> datetime:
    return datetime.now(UTC)


def _entries(top: Path) -> Iterator[Entry]:
    try:
        yield _entry(top)
    except OSError:
        return
    for folder_path, folders, files in os.walk(top):
        for name in sorted((*folders, *files)):
            with contextlib.suppress(OSError):
                path = Path(folder_path) / name
                if not path.is_symlink():
                    yield _entry(path)


def _entry(path: Path) -> Entry:
    status = path.lstat()
    mode, is_folder = stat.S_IMODE(status.st_mode), stat.S_ISDIR(status.st_mode)
    return Entry(str(path), mode, status.st_uid, status.st_gid, is_folder)


def _sockets(runtime: Path) -> Iterator[UnixSocket]:
    with contextlib.suppress(OSError):
        for path in sorted(runtime.iterdir()):
            if stat.S_ISSOCK(path.lstat().st_mode):
                yield UnixSocket(str(path), _answers(path))


def _answers(path: Path) -> bool | None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except (BlockingIOError, TimeoutError):
            return True  # somebody listens, and is busy
        except OSError:
            return None
    return True


def _record(record: tuple[str, str, Path]) -> Record | None:
    kind, name, path = record
    process = ProcessRecord.load(path)
    return Record(str(path), kind, name, process.pid, process.runs) if process else None


def _is_held(lock: Path) -> bool:
    """Whether somebody holds the lock, without touching it (proc(5), /proc/locks)."""
    with contextlib.suppress(OSError):
        status = lock.stat()
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        return any(
            line.split()[5] == device for line in Path("/proc/locks").read_text().splitlines() if " -> " not in line
        )
    return False
