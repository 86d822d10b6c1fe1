"""The example `sidecars`: the same program behind handsel's Envoy, and behind a Caddy that uses our ACME door."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from handsel.pki.certificate import Certificate
from tests.e2e.mesh_process import (
    Handsel,
    end_everything_in,
    environment,
    free_port,
    run,
    short_folder,
    wait_for,
    workload,
)

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "sidecars"


@contextlib.contextmanager
def example(*ports: str) -> Iterator[tuple[Path, list[int]]]:
    """The example in a folder of its own, with free ports in the place of these."""
    with short_folder() as folder:
        place = folder / "e"
        shutil.copytree(EXAMPLE, place)
        free = [free_port() for _ in ports]
        for file in place.iterdir():
            text = file.read_text()
            for before, after in zip(ports, free, strict=True):
                text = text.replace(before, str(after))
            file.write_text(text)
        try:
            yield place, free
        finally:
            end_everything_in(place)


def test_envoy_lets_in_whom_the_mesh_file_names() -> None:
    with example("8081") as (place, _):
        Handsel(place, "up", "up", "-f", "envoy.yaml", "--state", "s").wait_for("stop: Ctrl-C")
        program = ["--state", str(place / "s"), "--", "sh", "-c", 'curl -s --max-time 10 "$SHOP_URL"']
        asked = run("run", "--service", "client", *program, cwd=place)
        assert asked.stdout == "apples\n", asked.stderr
        port = int(workload(place / "s", "shop")["ports"]["mesh"])
        folders = {name: place / "s" / "agent" / "workloads" / name for name in ("client", "stranger")}
        roots = place / "s" / "agent" / "roots.crt"
        pairs = {name: (each / "identity.crt", each / "identity.key") for name, each in folders.items()}
        assert _get(port, _context(roots, pairs["client"], by_name=False)) == "apples"
        with pytest.raises(OSError):
            _get(port, _context(roots, pairs["stranger"], by_name=False))


def test_the_whole_mesh_of_the_envoy_variant_is_proven() -> None:
    with example("8081") as (place, _):
        done = run("up", "-f", "envoy.yaml", "--once", cwd=place)
        assert done.returncode == 0, done.stdout + done.stderr


def test_caddy_gets_renews_and_serves_a_certificate_of_ours() -> None:
    if shutil.which("caddy") is None:
        pytest.skip("needs caddy")
    with example("8081", "8089", "9443") as (place, (_, _, port)):
        up = Handsel(place, "up", "up", "-f", "caddy.yaml", "--state", "s")
        up.wait_for("stop: Ctrl-C")
        roots = place / "run" / "roots.pem"
        roots.parent.mkdir(exist_ok=True)
        roots.write_text(run("ca", "bundle", "--state", str(place / "s")).stdout)
        with _caddy(place, _directory(up)):
            client = place / "run" / "client"
            wait_for((client / "cert.pem").exists, what="the client's certificate")
            context = _context(client / "ca.pem", (client / "cert.pem", client / "key.pem"))
            first = wait_for(lambda: _shown(port, context), 40, (place / "caddy.log").read_text())
            assert first.dns_names == ["localhost"]
            assert _get(port, context) == "apples"
            with pytest.raises(OSError):
                _get(port, _context(roots))  # without an identity
            # Between half and two thirds of its life, a minute, it is another one; meanwhile all is served.
            second = wait_for(lambda: _other(port, context, first), 70, "a renewal")
            assert second.not_after > first.not_after
            assert _get(port, _context(client / "ca.pem", (client / "cert.pem", client / "key.pem"))) == "apples"


def _other(port: int, context: ssl.SSLContext, than: Certificate) -> Certificate | None:
    shown = _shown(port, context)
    assert shown is not None
    return shown if shown.serial != than.serial else None


@contextlib.contextmanager
def _caddy(place: Path, directory: str) -> Iterator[None]:
    home = {**environment(), "HOME": str(place), "XDG_DATA_HOME": str(place), "ACME_DIRECTORY": directory}
    with (place / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            ["caddy", "run", "--config", "Caddyfile"], cwd=place, stdout=log, stderr=log, env=home
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def _directory(up: Handsel) -> str:
    words = next(line for line in up.output().splitlines() if "https://" in line and "server" in line).split()
    address = next(word for word in words if word.startswith("https://"))
    return f"{address.rstrip(',')}/acme/directory"


def _context(roots: Path, pair: tuple[Path, Path] | None = None, *, by_name: bool = True) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = by_name
    context.load_verify_locations(cafile=roots)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def _shown(port: int, context: ssl.SSLContext) -> Certificate | None:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return Certificate(secure.getpeercert(binary_form=True) or b"")
    return None


def _get(port: int, context: ssl.SSLContext) -> str:
    """The body of a GET. With TLS 1.3 a client that is refused hears of it when it reads."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while piece := secure.recv(4096):
            answer += piece
    if not answer:
        raise ConnectionError("no answer")
    return answer.partition(b"\r\n\r\n")[2].decode().strip()
