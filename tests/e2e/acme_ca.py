"""ACME CAs for the agent to take certificates from: our own server, and Pebble. Both see the names of the test."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from dnslib.server import DNSServer

from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import PrivateKey
from tests.e2e.authority_process import Authority
from tests.e2e.mesh_process import environment, free_port, wait_for
from tests.e2e.test_acme_clients import Zone

PEBBLE = "github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.3"
SHORT_SECONDS = 40
"""How long certificates of the profile `short` live."""
_OURS = """
trust_domain: ca.internal
authority:
  acme:
    external_account_required: {external}
    validation: {{http_port: {http_port}, tls_port: {tls_port}, resolver: "127.0.0.1:{dns_port}"}}
  profiles:
    short: {{lifetime: {short}s, description: a moment}}
"""


class Ca:
    """A CA: where its directory is, whom to believe, and where it looks for challenges."""

    usual_profile = ""
    directory: str
    roots: Path

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http_port, self.tls_port, self.dns_port = free_port(), free_port(), free_port()

    def stop(self) -> None:
        raise NotImplementedError

    def start_again(self) -> None:
        """At the same address, with what it knew."""
        raise NotImplementedError

    def trusting_its_certificates(self) -> ssl.SSLContext:
        """A client that believes what this CA has signed."""
        return self.context

    def revoke(self, leaf: Certificate) -> None:
        """So that its renewal window lies in the past."""
        raise NotImplementedError

    @property
    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=self.roots)
        return context


class Ours(Ca):
    def __init__(self, folder: Path, *, external: bool = False) -> None:
        super().__init__(folder)
        text = _OURS.format(
            http_port=self.http_port, tls_port=self.tls_port, dns_port=self.dns_port, short=SHORT_SECONDS,
            external=str(external).lower(),
        )  # fmt: skip
        self.port = free_port()
        self.authority = Authority(folder, text, "--listen", f"127.0.0.1:{self.port}")
        self.directory, self.roots = f"{self.authority.url}/acme/directory", self.authority.roots

    def stop(self) -> None:
        self.authority.server.stop()

    def start_again(self) -> None:
        self.authority.start()

    def revoke(self, leaf: Certificate) -> None:
        done = self.authority.run("cert", "revoke", leaf.serial, "--reason", "superseded")
        assert done.returncode == 0, done.stderr


class Pebble(Ca):
    usual_profile = "default"

    def __init__(self, folder: Path, binary: str) -> None:
        super().__init__(folder)
        self._binary, self.process = binary, None
        self.port, self.managing = free_port(), free_port()
        _own_pair(folder)
        self.directory, self.roots = f"https://localhost:{self.port}/dir", folder / "own.pem"
        content = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.managing}",
            "certificate": str(folder / "own.pem"), "privateKey": str(folder / "own.key"), "httpPort": self.http_port,
            "tlsPort": self.tls_port, "ocspResponderURL": "", "externalAccountBindingRequired": False,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "usual", "validityPeriod": 7776000},
                         "short": {"description": "a moment", "validityPeriod": SHORT_SECONDS}},
        }  # fmt: skip
        (folder / "pebble.json").write_text(json.dumps({"pebble": content}))
        self.start_again()

    def start_again(self) -> None:
        """Pebble keeps nothing: it comes back as another CA at the same address."""
        log = self.folder / "pebble.log"
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [self._binary, "-config", "pebble.json", "-dnsserver", f"127.0.0.1:{self.dns_port}"], cwd=self.folder,
                stdout=out, stderr=out,
                env={**environment(), "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_ALTERNATE_ROOTS": "1"},
            )  # fmt: skip
        wait_for(lambda: "ACME directory available" in log.read_text(), 20, "Pebble")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def root_name(self, number: int) -> str:
        """Of its roots; chains lead to the first one unless another is asked for."""
        return parse_pem(self._root(number))[0].subject

    def trusting_its_certificates(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self._root(0).decode())
        return context

    def _root(self, number: int) -> bytes:
        url = f"https://localhost:{self.managing}/roots/{number}"
        with urllib.request.urlopen(url, context=self.context, timeout=10) as answer:
            content: bytes = answer.read()
        return content

    def revoke(self, leaf: Certificate) -> None:
        past = {"suggestedWindow": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}
        body = json.dumps({"Certificate": leaf.pem.decode(), "ARIResponse": json.dumps(past)}).encode()
        url = f"https://localhost:{self.managing}/set-renewal-info/"
        with urllib.request.urlopen(url, body, context=self.context, timeout=10) as answer:
            assert answer.status == 200


@pytest.fixture(scope="session")
def pebble_binary(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Where Pebble is; built once where there is Go."""
    built: list[str] = []

    def find() -> str:
        if not built:
            built.append(shutil.which("pebble") or _build(tmp_path_factory.mktemp("pebble")))
        return built[0]

    return find


def _build(folder: Path) -> str:
    if shutil.which("go") is None:
        pytest.skip("needs go")
    done = subprocess.run(
        ["go", "install", PEBBLE], capture_output=True, text=True, check=False, cwd=folder, timeout=110,
        env={**environment(), "GOBIN": str(folder)},
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"needs Pebble: {done.stderr[-200:]}")
    return str(folder / "pebble")


@contextlib.contextmanager
def running(ca: Ca) -> Iterator[Ca]:
    """With a name server in which every name of test.internal is this machine."""
    servers = [
        DNSServer(Zone(ca.folder / "records"), address="127.0.0.1", port=ca.dns_port, tcp=t) for t in (False, True)
    ]
    for server in servers:
        server.start_thread()
    try:
        yield ca
    finally:
        for server in servers:
            server.stop()
            server.server.server_close()
        ca.stop()


def _own_pair(folder: Path) -> None:
    """The TLS of a Pebble."""
    key, now = PrivateKey.generate(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Pebble's own")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.handle.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key.handle, key.digest)
    )  # fmt: skip
    (folder / "own.pem").write_bytes(Certificate.of(made).pem)
    (folder / "own.key").write_bytes(key.pem().reveal())
