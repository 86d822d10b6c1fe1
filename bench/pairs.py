"""The references: pairs of proxies with files that a careful person wrote, between the load and the program."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which
from string import Template

import load
from harness import BENCH, CALLEE, CALLER, Material, end, free_ports, identity, pair_files, start, wait_for

from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from handsel.pki.own import Signer, Wish, make
from handsel.store.adapters.files import write_file

CADDY = "/usr/bin/caddy"
_LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class Side:
    """Where a side is called, the processes whose time it takes, and the sockets of its Envoys' admin."""

    port: int
    processes: list[int]
    admins: list[Path]


def own_material(place: Path) -> Material:
    """Keys and certificates for both sides from a CA that lives as long as the bench: P-256, as a mesh has them."""
    root_key = PrivateKey.generate()
    now = datetime.now(UTC)
    root = make(Wish(Names(), _LIFETIME, ca=True, common_name="bench"), root_key, None, serial=_serial(), now=now)
    (place / "roots.crt").write_bytes(root[0].pem)
    for service in (CALLER, CALLEE):
        key = PrivateKey.generate()
        names = Names(dns=(service,), uri=(identity(service),))
        chain = make(Wish(names, _LIFETIME), key, Signer(root_key, root), serial=_serial(), now=now)
        write_file(place / f"{service}.key", key.pem().reveal())
        (place / f"{service}.crt").write_bytes(b"".join(each.pem for each in chain))
    return Material(place)


def _serial() -> int:
    return secrets.randbits(120) | 1 << 119


@contextlib.contextmanager
def envoys(
    layer: str, material: Material, program: int, change: Callable[[str], str] = lambda text: text
) -> Iterator[Side]:
    """The hand-tuned pair. `change`: what becomes of its files."""
    client, server = pair_files(layer)
    near, far = free_ports(2)
    filled = [
        material.fill(server, CALLEE, CALLER, MESH_PORT=far, APP_PORT=program),
        material.fill(client, CALLER, CALLEE, MESH_PORT=far, CLIENT_PORT=near),
    ]
    for path in filled:
        path.write_text(change(path.read_text()))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes += [material.envoy(path) for path in filled]
        wait_for(lambda: load.once(near), 20, 0.01, "an answer through the hand-tuned pair")
        yield Side(near, [each.pid for each in processes], [material.admin(server)])
    finally:
        end(processes)


@contextlib.contextmanager
def caddies(material: Material, program: int) -> Iterator[Side]:
    """A pair of Caddy, each on one core as the Envoys are."""
    near, far = free_ports(2)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.append(_caddy(material, "server", CALLEE, MESH_PORT=far, APP_PORT=program))
        processes.append(_caddy(material, "client", CALLER, MESH_PORT=far, CLIENT_PORT=near))
        wait_for(lambda: load.once(near), 20, 0.01, "an answer through the Caddy pair")
        yield Side(near, [each.pid for each in processes], [])
    finally:
        end(processes)


def caddy_version() -> str:
    """Of the one that is installed; ends the bench when there is none."""
    if which(CADDY) is None:
        raise SystemExit("needs caddy: make test-deps")
    return subprocess.run([CADDY, "version"], capture_output=True, text=True, check=True).stdout.split()[0]


def _caddy(material: Material, side: str, own: str, **ports: int) -> subprocess.Popen[bytes]:
    place = material.folder
    values = {"CERT": place / f"{own}.crt", "KEY": place / f"{own}.key", "CA": place / "roots.crt"}
    filled = place / f"{side}.caddyfile"
    filled.write_text(Template((BENCH / "caddy-pair" / filled.name).read_text()).substitute(values | ports))
    home = {"GOMAXPROCS": "1", "HOME": str(place), "XDG_CONFIG_HOME": str(place), "XDG_DATA_HOME": str(place)}
    arguments = [CADDY, "run", "--config", str(filled), "--adapter", "caddyfile"]
    return start(arguments, place / f"caddy-{side}.log", **home)
