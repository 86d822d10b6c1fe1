"""What this process and this host are like: limits, rights, disks, clock, the Envoy, who listens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from handsel.diagnose.doctor.environment import Disk, Environment, Envoy
from handsel.diagnose.doctor.ports import Listener
from handsel.envoy.adapters import binary
from handsel.errors import EnvoyMissing

_ENVOY_SECONDS = 10.0
_UNSYNCHRONIZED = 0x40  # STA_UNSYNC, adjtimex(2)
_TIMEX_BYTES, _TIMEX_STATUS = 256, 40
_LISTENING = "0A"


def environment(folders: Iterable[Path], envoy: Path | None) -> Environment:
    """The facts about this process; `folders` are those in which there must be room."""
    return Environment(
        python=sys.version_info[:3], openssl=ssl.OPENSSL_VERSION_INFO[:3], openssl_text=ssl.OPENSSL_VERSION,
        variables=dict(os.environ), encoding=sys.getfilesystemencoding() if sys.flags.utf8_mode else _encoding(),
        files=resource.getrlimit(resource.RLIMIT_NOFILE), disks=tuple(_disks(folders)), envoy=_envoy(envoy),
        user=os.geteuid(), capabilities=_capabilities(),
        programs=frozenset(each for each in ("ip", "nft") if shutil.which(each)),
    )  # fmt: skip


def clock_is_synchronized() -> bool | None:
    """Whether the kernel's clock is kept by somebody (adjtimex(2)); None where the kernel does not say."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        answer = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if answer < 0:
        return None
    status = int.from_bytes(buffer.raw[_TIMEX_STATUS : _TIMEX_STATUS + 4], sys.byteorder)
    return not status & _UNSYNCHRONIZED


def listeners() -> list[Listener]:
    """All that listens on TCP here, with its process as far as we may see it (proc(5))."""
    rows = [*_rows(Path("/proc/net/tcp")), *_rows(Path("/proc/net/tcp6"))]
    holders = _holders({inode for _, _, inode in rows})
    return [
        Listener(address, port, inode, *holders.get(inode, (0, 0, ""))) for address, port, inode in rows
    ]  # fmt: skip


def _rows(table: Path) -> Iterator[tuple[str, int, int]]:
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = table.read_text().splitlines()[1:]
    for row in (line.split() for line in lines):
        if row[3] == _LISTENING:
            address, _, port = row[1].partition(":")
            yield _address(address), int(port, 16), int(row[9])


def _address(text: str) -> str:
    """An address as the kernel prints it: words of four bytes, each in the order of the machine."""
    words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))


def _holders(inodes: set[int]) -> dict[int, tuple[int, int, str]]:
    found: dict[int, tuple[int, int, str]] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for process in (each for each in Path("/proc").iterdir() if each.name.isdecimal()):
        with contextlib.suppress(OSError):
            held = {wanted[name] for each in (process / "fd").iterdir() if (name := _link(each)) in wanted}
            if held:
                _, program, rest = _stat(process)
                found |= {inode: (int(process.name), int(rest[3]), program) for inode in held - found.keys()}
    return found


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _stat(process: Path) -> tuple[int, str, list[str]]:
    """Pid, name and the further fields, from the state on (proc(5))."""
    text = (process / "stat").read_bytes().decode(errors="replace")
    return int(process.name), text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 1 :].split()


def _disks(folders: Iterable[Path]) -> Iterator[Disk]:
    seen = set()
    for folder in folders:
        there = next((each for each in (folder, *folder.parents) if each.is_dir()), Path("/"))
        device = there.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        found = os.statvfs(there)
        inodes = found.f_favail if found.f_files else -1
        yield Disk(str(there), found.f_bavail * found.f_frsize, inodes, _kind(there))


def _kind(folder: Path) -> str:
    with contextlib.suppress(OSError):
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
        fitting = [(len(place), kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
        return max(fitting, default=(0, ""))[1]
    return ""


def _envoy(option: Path | None) -> Envoy:
    try:
        path = binary.find(option)
    except EnvoyMissing as error:
        return Envoy(problem=str(error))
    try:
        done = subprocess.run(  # noqa: S603  # the binary that was found, no shell
            [str(path), "--version"], capture_output=True, timeout=_ENVOY_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Envoy(str(path), problem=f"{path} does not run: {error}")
    return Envoy(str(path), done.stdout.decode(errors="replace").strip())


def _encoding() -> str:
    return sys.stdout.encoding or sys.getdefaultencoding()


def _capabilities() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0
