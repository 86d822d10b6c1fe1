"""Hosts that join a real server by the real command: tickets, replays, somebody in between, other evidence, recovery."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handsel.agent.adapters.files import AgentFolder
from handsel.agent.layout import Layout
from tests.authority.attest.issuer import AUDIENCE, NAME, Issuer
from tests.authority.attest.test_tokens import BOUND
from tests.authority.attest.test_tpm import attestation_key
from tests.authority.attest.test_tpm import machine as machine  # noqa: PLC0414  # a fixture
from tests.authority.attest.test_x509pop import CLIENT, Ca
from tests.ca_keys import with_keys
from tests.e2e.mesh_process import (
    HANDSEL,
    Handsel,
    end_everything_in,
    environment,
    free_port,
    run,
    short_folder,
    wait_for,
)
from tests.support import TestAuthority, write_pair

pytestmark = pytest.mark.e2e

MESH = """
trust_domain: joining.internal
services:
  web: {calls: [emoji]}
  emoji: {}
authority:
  registration:
    - {name: machines, attestor: x509pop, roots: root.pem, when: {common_name: "*.example"}, services: [web]}
    - {name: pods, attestor: kubernetes, issuer: "https://cluster", audience: handsel, keys: jwks.json,
       identities: ["spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"]}
    - {name: racks, attestor: tpm, roots: tpm-root.pem, when: {registers: "sha256:0,7"}, services: ["*"]}
    - {name: hosts, attestor: ssh_host, roots: ca.pub, when: {principal: "*.example"}, services: [emoji]}
    - name: pipelines
      attestor: oidc
      issuer: https://token.example
      audience: handsel
      keys: jwks.json
      when: {repository: "acme/*"}
      services: ["{repository_name}"]
"""


@dataclass(frozen=True)
class Served:
    """A server on a state folder of its own."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def ok(self, *arguments: str) -> str:
        """What a command prints that must succeed, about the server's state."""
        done = run(*arguments, "--state", str(self.folder / "server"), cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def join(self, host: str, *arguments: str):
        return run("join", *arguments, "--state", str(self.folder / host), cwd=self.folder)

    def hosts(self) -> list[dict]:
        return json.loads(self.ok("agent", "list", "-o", "json"))["hosts"]


@pytest.fixture
def served() -> Iterator[Served]:
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(with_keys(folder, MESH))
        port = free_port()
        _serve(folder, port)
        try:
            yield Served(folder, port)
        finally:
            end_everything_in(folder)


def _serve(folder: Path, port: int) -> Handsel:
    arguments = (
        "-f",
        "handsel.yaml",
        "--state",
        "server",
        "--listen",
        f"127.0.0.1:{port}",
        "--metrics-port",
        "0",
        "--status-port",
        "0",
    )
    server = Handsel(folder, "server", "server", *arguments)
    server.wait_for("server https")
    return server


def test_a_ticket_that_comes_twice_raises_the_alarm_until_somebody_has_looked(served):
    ticket = served.ok("agent", "ticket", "--services", "web")
    assert len(ticket) <= 200
    assert served.join("first", "--ticket", ticket).returncode == 0
    (first,) = served.hosts()
    assert first["standing"] == "good"

    again = served.join("second", "--ticket", ticket)
    assert again.returncode != 0
    assert "HS-A002 the ticket was used before" in again.stderr
    assert "QUARANTINED: its ticket" in served.ok("agent", "list")
    assert "ticket replayed" in (served.folder / "server.log").read_text()
    agent = first["agent"]
    with_agent = Handsel(served.folder, "first", "agent", "run", "--state", "first")
    with_agent.wait_for("in quarantine")
    would = served.ok("agent", "quarantine", "lift", agent, "--dry-run")
    assert "would be good, before: quarantined" in would
    assert served.hosts()[0]["standing"] == "quarantined"
    served.ok("agent", "quarantine", "lift", agent, "--cause", "it was us")
    wait_for(lambda: list((served.folder / "first" / "agent" / "workloads" / "web").glob("*.crt")))
    assert served.hosts()[0]["standing"] == "good"

    would = json.loads(served.ok("agent", "ban", agent, "--dry-run", "-o", "json"))
    assert len(would["revoked"]) >= 2, "its own certificate, and the one of web"
    assert served.hosts()[0]["standing"] == "good"
    served.ok("agent", "ban", agent)
    assert served.hosts()[0]["standing"] == "banned"
    with_agent.wait_for("is banned")
    listed = json.loads(served.ok("cert", "list", "-o", "json"))["certificates"]
    assert {each["serial"]: each["state"] for each in listed if each["serial"] in would["revoked"]} == dict.fromkeys(
        would["revoked"], "revoked"
    )
    refused = run("agent", "quarantine", "lift", agent, "--state", str(served.folder / "server"))
    assert refused.returncode != 0
    assert "is banned" in refused.stderr
    served.ok("agent", "unban", agent)
    assert served.hosts()[0]["standing"] == "good"
    # What it had stays revoked: it comes back by its recovery key.
    wait_for(lambda: "recovered" in served.ok("ca", "journal", "list", "--last", "5"), seconds=40)


def test_a_ticket_for_a_key_is_good_on_the_host_that_has_it(served):
    pin = run("agent", "key", "--state", str(served.folder / "right")).stdout.strip()
    ticket = served.ok("agent", "ticket", "--for-key", pin, "--for-network", "127.0.0.0/8")
    wrong = served.join("wrong", "--ticket", ticket)
    assert wrong.returncode != 0
    assert "for another key" in wrong.stderr
    assert served.join("right", "--ticket", ticket).returncode == 0
    assert not (served.folder / "right" / "agent" / "join.key").exists()
    assert (served.folder / "right" / "agent" / "recovery.key").stat().st_mode & 0o777 == 0o600


@contextlib.asynccontextmanager
async def _between(port: int, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Somebody in between, who passes everything on: as it is, or with a certificate of its own."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE

    async def pass_on(reader, writer) -> None:
        to_server = await asyncio.open_connection("127.0.0.1", port, ssl=unchecked if context else None)
        await asyncio.gather(_copy(reader, to_server[1]), _copy(to_server[0], writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    writer.close()


async def _join_through(served: Served, host: str, port: int, ticket: str) -> tuple[int, str]:
    arguments = ["join", f"https://127.0.0.1:{port}", "--ticket", ticket, "--state", str(served.folder / host)]
    process = await asyncio.create_subprocess_exec(
        *HANDSEL, *arguments, stderr=asyncio.subprocess.PIPE, env=environment()
    )
    _, error = await process.communicate()
    return process.returncode, error.decode()


def test_somebody_in_between_with_another_certificate_gains_nothing(served, tmp_path):
    async def both() -> None:
        stranger = TestAuthority.make(datetime.now(UTC))
        pair = stranger.pair(stranger.trust_domain.server, ip_names=("127.0.0.1",))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*write_pair(tmp_path, "between", pair))
        ticket = served.ok("agent", "ticket")
        async with _between(served.port, context) as port:
            code, said = await _join_through(served, "host", port, ticket)
            assert code != 0
            assert "somebody sits between" in said
        assert not served.hosts()
        async with _between(served.port, None) as port:
            code, said = await _join_through(served, "host", port, ticket)
            assert code == 0, said
        assert len(served.hosts()) == 1

    asyncio.run(both())


def test_a_machine_with_a_certificate_of_its_own_joins(served):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    ca = Ca.make(served.folder)
    ca.issue("a.example", extensions=CLIENT)
    ca.issue("b.elsewhere", extensions=CLIENT)
    (served.folder / "handsel-root.pem").write_text(served.ok("ca", "bundle") + "\n")

    def join(host: str, name: str, *known: str):
        evidence = ("--attestor", "x509pop", "--certificate", f"{name}.pem", "--key", f"{name}.key")
        return served.join(host, served.url, *evidence, *known)

    refused = join("elsewhere", "b.elsewhere", "--roots", "handsel-root.pem")
    assert refused.returncode != 0
    assert "machines: common_name 'b.elsewhere' does not fit '*.example'" in refused.stderr
    stranger = join("stranger", "a.example", "--pin", "00" * 32)
    assert "does not fit the pin" in stranger.stderr
    blind = join("blind", "a.example")
    assert "--roots or by --pin" in blind.stderr
    assert not served.hosts()
    joined = join("machine", "a.example", "--roots", "handsel-root.pem")
    assert joined.returncode == 0, joined.stderr
    assert [host["services"] for host in served.hosts()] == [["web"]]


def test_a_pipeline_joins_by_a_token_once_and_the_preview_said_so(served):
    issuer = Issuer()
    (served.folder / "jwks.json").write_bytes(issuer.jwks())
    claims = {"repository": "acme/emoji", "sub": "repo:acme/emoji", "iss": NAME, "aud": AUDIENCE}
    (served.folder / "claims.json").write_text(json.dumps(claims))
    (served.folder / "token.jwt").write_bytes(issuer.token(**claims))
    (served.folder / "handsel-root.pem").write_text(served.ok("ca", "bundle") + "\n")

    command = ("ca", "registration", "preview", "--attestor", "oidc", "--claims", "claims.json", "-o", "json")
    previewed = json.loads(run(*command, cwd=served.folder).stdout)
    assert previewed["services"] == ["emoji"]
    assert previewed["rules"] == [{"rule": "pipelines", "decides": True, "services": ["emoji"], "reason": ""}]

    by_token = (served.url, "--roots", "handsel-root.pem", "--attestor", "oidc", "--token-file", "token.jwt")
    joined = served.join("pipeline", *by_token)
    assert joined.returncode == 0, joined.stderr
    assert [host["services"] for host in served.hosts()] == [["emoji"]]
    again = served.join("again", *by_token)
    assert again.returncode != 0
    assert "used before" in again.stderr


def test_a_pod_joins_by_the_token_of_its_service_account(served):
    issuer = Issuer("https://cluster")
    (served.folder / "jwks.json").write_bytes(issuer.jwks())
    bound = {**BOUND, "namespace": "default"}
    claims = {"sub": "system:serviceaccount:default:web", "kubernetes.io": bound}
    (served.folder / "token.jwt").write_bytes(issuer.token(**claims))
    (served.folder / "handsel-root.pem").write_text(served.ok("ca", "bundle") + "\n")
    by_token = ("--roots", "handsel-root.pem", "--attestor", "kubernetes", "--token-file", "token.jwt")
    joined = served.join("pod", served.url, *by_token)
    assert joined.returncode == 0, joined.stderr
    assert [host["services"] for host in served.hosts()] == [["web"]]


def test_a_host_joins_by_its_ssh_certificate(served):
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    for name in ("ca", "host"):
        _keygen(served.folder, "-t", "ed25519", "-N", "", "-f", name)
    (served.folder / "handsel-root.pem").write_text(served.ok("ca", "bundle") + "\n")
    by_ssh = (
        served.url, "--roots", "handsel-root.pem", "--attestor", "ssh_host", "--certificate", "host-cert.pub",
        "--key", "host",
    )  # fmt: skip
    for name, good in (("a.elsewhere", False), ("a.example", True)):
        _keygen(served.folder, "-s", "ca", "-I", "id", "-h", "-n", name, "host.pub")
        joined = served.join("host-by-ssh", *by_ssh)
        assert (joined.returncode == 0) == good, joined.stderr
    assert [host["services"] for host in served.hosts()] == [["emoji"]]


def test_a_machine_joins_by_its_tpm(served, machine):
    (served.folder / "ak.pem").write_bytes(machine.certify("rack-7", attestation_key(machine, "ecc")))
    (served.folder / "tpm-root.pem").write_bytes(machine.root.pem)
    (served.folder / "handsel-root.pem").write_text(served.ok("ca", "bundle") + "\n")
    by_tpm = (
        served.url, "--roots", "handsel-root.pem", "--attestor", "tpm", "--certificate", "ak.pem",
        "--tpm-key", str(machine.folder / "ak.ctx"),
    )  # fmt: skip
    other = served.join("rack", *by_tpm, "--tpm-registers", "sha256:0")
    assert other.returncode != 0
    assert "racks: registers 'sha256:0' does not fit" in other.stderr
    joined = served.join("rack", *by_tpm)
    assert joined.returncode == 0, joined.stderr
    assert [host["services"] for host in served.hosts()] == [["*"]]


def _keygen(folder: Path, *arguments: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *arguments], cwd=folder, check=True, capture_output=True)


def test_a_host_that_slept_longer_than_its_certificate_lives_comes_back(served):
    """The agent's certificate lives for a day; server and agent wake up two days later."""
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime")
    ticket = served.ok("agent", "ticket", "--services", "web")
    assert served.join("host", "--ticket", ticket).returncode == 0
    folder = AgentFolder(Layout(served.folder / "host" / "agent", served.folder / "r"))
    before = folder.own().leaf
    end_everything_in(served.folder)
    with _two_days_later():
        _serve(served.folder, served.port)
        agent = Handsel(served.folder, "agent", "agent", "run", "--state", "host")
        wait_for(lambda: folder.own().leaf != before, 30, agent.output())
    after = folder.own().leaf
    assert after.not_before > before.not_after
    assert (after.spiffe_id, after.public_key_der != before.public_key_der) == (before.spiffe_id, True)
    assert "host recovered" in (served.folder / "server.log").read_text()


@contextlib.contextmanager
def _two_days_later() -> Iterator[None]:
    HANDSEL[:0] = ["faketime", "-f", "+2d"]
    try:
        yield
    finally:
        del HANDSEL[:3]
