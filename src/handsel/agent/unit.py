"""The agent as a service of its host: the text of its systemd unit (systemd.service(5), systemd.exec(5)).

Its sandbox is as tight as the agent and its Envoys, which are children of it, can live in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

NAME = "handsel-agent.service"
FOLDER = "/etc/systemd/system"
HEADER = (
    "# Written by `handsel join --systemd`. Changes of your own belong into a drop-in: systemctl edit handsel-agent"
)
RUNTIME = "handsel"
"""The folder below /run with the sockets of agent and Envoys."""
_STATES = PurePosixPath("/var/lib")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  # where others may have put what we read
_PLAIN = re.compile(r"[A-Za-z0-9_@:=./,+-]+")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ROOT = "root"


@dataclass(frozen=True)
class AgentUnit:
    """What differs from host to host. `program`: the words that start handsel; all paths are absolute.

    `needs`: paths that the agent must see beside its state: its Python, its Envoy.
    """

    program: tuple[str, ...]
    state: str
    address: str
    user: str = _ROOT
    needs: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.program, "agent", "run", "--state", self.state, "--address", self.address)


def render(unit: AgentUnit) -> str:
    """The unit's text. Raises `ValueError` for a word that no unit can hold."""
    return "\n".join([HEADER, *_about(), "", "[Service]", *_service(unit), "", *_install(), ""])


def parse(text: str, needs: Iterable[str] = ()) -> AgentUnit | None:
    """The unit that `render` made this text of, by this version or another; None when it is none of ours."""
    values: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            values.setdefault(name, []).append(value)
    words = unquote(values.get("ExecStart", [""])[0], command=True)
    try:
        at = words.index("agent")
        state, address = words[words.index("--state") + 1], words[words.index("--address") + 1]
    except (ValueError, IndexError):
        return None
    environment = tuple(
        (name, value)
        for each in values.get("Environment", [])
        for name, _, value in (word.partition("=") for word in unquote(each))
    )
    return AgentUnit(tuple(words[:at]), state, address, values.get("User", [_ROOT])[0], tuple(needs), environment)


def quote(word: str, *, command: bool = False) -> str:
    """A word of a setting. `command`: of a command line, where `$` has a meaning too (systemd.service(5)).

    Raises `ValueError` for a line's end.
    """
    if any(ord(character) < 0x20 for character in word):
        raise ValueError(f"{word!r} cannot stand in a unit")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if command:
        escaped = escaped.replace("$", "$$")
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def unquote(text: str, *, command: bool = False) -> list[str]:
    """The words of a setting that `quote` wrote; of a command line likewise."""
    words = [re.sub(r"\\(.)", r"\1", quoted or plain).replace("%%", "%") for quoted, plain in _WORD.findall(text)]
    return [word.replace("$$", "$") for word in words] if command else words


def _about() -> list[str]:
    return [
        "[Unit]",
        "Description=handsel agent: identities and sidecars of this host",
        # Certificates are worth nothing while the clock is wrong.
        "Wants=network-online.target",
        "After=network-online.target time-sync.target",
        # A host that comes back before its server tries on for as long as it takes.
        "StartLimitIntervalSec=0",
    ]


def _install() -> list[str]:
    return ["[Install]", "WantedBy=multi-user.target"]


def _service(unit: AgentUnit) -> list[str]:
    return [
        "Type=notify",
        "NotifyAccess=main",
        "ExecStart=" + " ".join([_program(unit.command[0]), *(quote(each, command=True) for each in unit.command[1:])]),
        *(["User=" + unit.user] if unit.user != _ROOT else []),
        *(f"Environment={quote(f'{name}={value}')}" for name, value in unit.environment),
        "Restart=on-failure",
        "RestartSec=2s",
        "# A command that is wrong as it stands stays so.",
        "RestartPreventExitStatus=2",
        "WatchdogSec=30s",
        "TimeoutStopSec=20s",
        "# Envoys outlive the agent, so that traffic goes on. The next agent adopts them by their sockets, which stay.",
        "KillMode=process",
        f"RuntimeDirectory={RUNTIME}",
        f"RuntimeDirectoryMode={_mode(unit)}",
        "RuntimeDirectoryPreserve=yes",
        "# Files that are delivered elsewhere need their folders here too, in a drop-in: ReadWritePaths=",
        *_state(unit),
        "LimitNOFILE=524288",
        "UMask=0077",
        "",
        *_sandbox(unit),
    ]


def _program(path: str) -> str:
    """The path of what is run: systemd takes `$` in it as it stands, and no quotes. Raises `ValueError`."""
    if set(path) & set("\"'\\"):
        raise ValueError(f"systemd runs no program at {path}")
    return quote(path)


def _mode(unit: AgentUnit) -> str:
    """Of the folders of state and sockets: users of services pass through root's to what is given to them."""
    return "0711" if unit.user == _ROOT else "0700"


def _state(unit: AgentUnit) -> list[str]:
    path = PurePosixPath(unit.state)
    if path.is_relative_to(_STATES) and path != _STATES:
        return [f"StateDirectory={quote(str(path.relative_to(_STATES)))}", f"StateDirectoryMode={_mode(unit)}"]
    return [f"ReadWritePaths={quote(unit.state)}"]


def _sandbox(unit: AgentUnit) -> list[str]:
    seen = (unit.state, *unit.needs)
    home = "read-only" if _any_below(seen, _HOMES) else "yes"
    temporary = [] if _any_below(seen, _TEMPORARY) else ["PrivateTmp=yes"]
    switches = (
        "NoNewPrivileges", "PrivateDevices", "ProtectClock", "ProtectControlGroups", "ProtectHostname",
        "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "LockPersonality",
        "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
    )  # fmt: skip
    return [
        *_capabilities(unit),
        "ProtectSystem=strict",
        f"ProtectHome={home}",
        *temporary,
        *(f"{name}=yes" for name in switches),
        "ProtectProc=invisible",
        "KeyringMode=private",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallArchitectures=native",
        "# Envoy asks by mincore(2) what may be read, for its traces.",
        "SystemCallFilter=@system-service mincore",
        f"SystemCallFilter=~@keyring{'' if unit.user == _ROOT else ' @chown @setuid'}",
        "SystemCallErrorNumber=EPERM",
    ]


def _capabilities(unit: AgentUnit) -> list[str]:
    # An Envoy may listen on a port below 1024.
    bind = "CAP_NET_BIND_SERVICE"
    if unit.user != _ROOT:
        return [f"CapabilityBoundingSet={bind}", f"AmbientCapabilities={bind}"]
    return [
        "# Each service may have a user of its own, who is given files, and told when they are new.",
        f"CapabilityBoundingSet={bind} CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID",
    ]


def _any_below(paths: Iterable[str], folders: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for path in paths for folder in folders)
