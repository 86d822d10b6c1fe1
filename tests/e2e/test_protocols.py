"""The examples of protocols: each server with each of its clients, one-way and two-way, and refused without a key."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.mesh_process import free_port, wait_for
from tests.tls.world import World

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples" / "protocols"
PAIRS = [
    ("http_server.py", ("http_client.py",), "hello"),
    ("http_server.py", ("http_client_requests.py",), "hello"),
    ("http_server.py", ("http_client_aiohttp.py",), "hello"),
    ("tcp_server.py", ("tcp_client.py",), "hello"),
    ("smtp_server.py", ("smtp_client.py",), "sent"),
    ("smtps_server.py", ("smtp_client.py", "--smtps"), "sent"),
    ("grpc_server.py", ("grpc_client.py",), "ssl"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("protocols")
    shutil.copytree(EXAMPLES, made, dirs_exist_ok=True)
    world = World(made)
    world.issue("server", dns=("localhost",))
    world.issue("client", dns=("orders.internal",))
    return made


@contextmanager
def _serving(folder: Path, server: str, context: str) -> Iterator[int]:
    port = free_port()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, server, str(port), context], cwd=folder, env=_environment(), stdout=log, stderr=log
        )
    try:
        wait_for(lambda: _listens(port) or process.poll() is not None, what=f"{server}")
        assert process.poll() is None, (folder / "server.log").read_text()
        yield port
    finally:
        process.kill()
        process.wait(5)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}


def _ask(folder: Path, client: tuple[str, ...], port: int, context: str) -> subprocess.CompletedProcess[str]:
    program, *more = client
    return subprocess.run(
        [sys.executable, program, str(port), context, *more], cwd=folder, env=_environment(), capture_output=True,
        text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("server", "client", "said"), PAIRS, ids=lambda each: each if isinstance(each, str) else each[0]
)
def test_both_sides_prove_who_they_are(folder: Path, server: str, client: tuple[str, ...], said: str) -> None:
    with _serving(folder, server, "server") as port:
        through = _ask(folder, client, port, "client")
        assert through.stdout.strip() == said, through.stderr
        refused = _ask(folder, client, port, "client-one-way")
        assert refused.returncode != 0
        assert refused.stdout == ""


@pytest.mark.parametrize(
    ("server", "client", "said"), PAIRS, ids=lambda each: each if isinstance(each, str) else each[0]
)
def test_one_way_the_server_does(folder: Path, server: str, client: tuple[str, ...], said: str) -> None:
    with _serving(folder, server, "server-one-way") as port:
        through = _ask(folder, client, port, "client-one-way")
        assert through.stdout.strip() == said, through.stderr


def test_mail_is_not_sent_in_plain_text(folder: Path) -> None:
    """STARTTLS that is not offered ends the client, and a client that does not ask for it gets nowhere."""
    import asyncio

    from aiosmtpd.controller import Controller

    class Nothing:
        async def handle_DATA(self, _server: object, _session: object, _envelope: object) -> str:  # noqa: N802  # its name
            taken.append(1)
            return "250 taken"

    taken: list[int] = []
    plain = Controller(Nothing(), hostname="127.0.0.1", port=free_port())
    plain.start()
    try:
        assert _ask(folder, ("smtp_client.py",), plain.port, "client").returncode != 0
        assert taken == []
    finally:
        plain.stop()

    import aiosmtplib

    with _serving(folder, "smtp_server.py", "server-one-way") as port:

        async def send_plainly() -> None:
            await aiosmtplib.send(
                "Subject: x\r\n\r\nx", sender="a@b.c", recipients=["d@e.f"], hostname="127.0.0.1", port=port,
                start_tls=False,
            )  # fmt: skip

        with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
            asyncio.run(send_plainly())
