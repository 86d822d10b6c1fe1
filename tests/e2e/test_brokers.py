"""The examples of protocols that need a server of somebody else's: SFTP, AMQP, STOMP and JMS, each refused beside allowed.

Every server is the real one, started once, in a folder of its own; a test skips without it.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from handsel.pki import keystore
from handsel.pki.certificate import to_pem
from handsel.pki.keystore import Entry, Passwords, jks, pkcs12
from handsel.pki.secret import Secret
from tests.e2e.mesh_process import wait_for
from tests.e2e.servers import activemq, rabbitmq, ssh
from tests.e2e.servers.activemq import Broker
from tests.e2e.servers.process import Server, ask
from tests.support import TestAuthority
from tests.tls.world import World

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples" / "protocols"
PASSWORD = "changeit"
_MORE_CONTEXTS = """\
  stranger: {key_store: {path: stranger.pem}, trust_store: {path: roots.pem}}
  believes-others: {key_store: {path: client.pem}, trust_store: {path: others.pem}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples with their certificates, and what another authority issued: `stranger.pem`, under `others.pem`."""
    made: Path = tmp_path_factory.mktemp("brokers")
    shutil.copytree(EXAMPLES, made, dirs_exist_ok=True)
    world = World(made)
    world.issue("server", dns=("localhost",))
    world.issue("client", dns=("orders.internal",))
    others = TestAuthority.make(datetime.now(UTC)).issuer
    world.issue("stranger", dns=("orders.internal",), issuer=others)
    world.write("others.pem", to_pem((others.root,)))
    with (made / "handsel.yaml").open("a") as file:
        file.write(_MORE_CONTEXTS)
    return made


def _through(answer: CompletedProcess[str]) -> None:
    assert (answer.returncode, answer.stdout.strip()) == (0, "hello"), answer.stderr


def _client_refuses(answer: CompletedProcess[str], why: str) -> None:
    assert (answer.returncode != 0, answer.stdout) == (True, "")
    assert why in answer.stderr, answer.stderr


def _server_refuses(log: Path, why: str, client: Callable[[], CompletedProcess[str]]) -> None:
    """The client ends with an error, whichever it comes upon first, and the server says why."""
    before = log.stat().st_size
    answer = client()
    assert (answer.returncode != 0, answer.stdout) == (True, ""), answer.stderr
    wait_for(lambda: why in log.read_bytes()[before:].decode(errors="replace"), 5, f"{why!r} in {log}")


# SFTP


@pytest.fixture(scope="module")
def ssh_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, and keys that the server does not take: `stranger`, and `other_ca` with what it certifies."""
    made: Path = tmp_path_factory.mktemp("ssh")
    shutil.copy(EXAMPLES / "sftp_client.py", made)
    for name in ("other_host", "stranger", "certified", "other_ca", "by_other_ca", "for_another", "expired"):
        ssh.make_key(made, name)
    return made


@pytest.fixture(scope="module")
def sshd(ssh_folder: Path) -> Iterator[Server]:
    with ssh.serving(ssh_folder) as server:
        ssh.certify(ssh_folder, "certified")
        ssh.certify(ssh_folder, "by_other_ca", by="other_ca")
        ssh.certify(ssh_folder, "for_another", "somebody-else")
        ssh.certify(ssh_folder, "expired", validity="-2h:-1h")
        for known in ("host", "other_host", "ssh_ca", "other_ca"):
            key = (ssh_folder / f"{known}.pub").read_text()
            name = "@cert-authority localhost" if known.endswith("ca") else f"[localhost]:{server.port}"
            (ssh_folder / f"known_{known}").write_text(f"{name} {key}")
        (ssh_folder / "known_nobody").write_text("")
        yield server


def _sftp(folder: Path, server: Server, key: str, known: str) -> CompletedProcess[str]:
    return ask(folder, "sftp_client.py", str(server.port), key, f"known_{known}")


def test_sftp_with_keys_that_both_sides_know(ssh_folder: Path, sshd: Server) -> None:
    _through(_sftp(ssh_folder, sshd, "user", "host"))
    assert (ssh_folder / "files" / "hello.txt").read_text() == "hello\n"
    for known in ("other_host", "nobody"):
        _client_refuses(_sftp(ssh_folder, sshd, "user", known), "is not trusted for host localhost")
    _server_refuses(sshd.log, "Failed publickey for", lambda: _sftp(ssh_folder, sshd, "stranger", "host"))


def test_sftp_with_certificates_of_an_ssh_authority(ssh_folder: Path, sshd: Server) -> None:
    _through(_sftp(ssh_folder, sshd, "certified", "ssh_ca"))
    assert "Accepted certificate ID" in sshd.log.read_text()
    _client_refuses(_sftp(ssh_folder, sshd, "certified", "other_ca"), "is not trusted for host localhost")
    reasons = {
        "by_other_ca": "Failed publickey for", "for_another": "name is not a listed principal",
        "expired": "Certificate invalid: expired",
    }  # fmt: skip
    for key, why in reasons.items():
        _server_refuses(sshd.log, why, functools.partial(_sftp, ssh_folder, sshd, key, "ssh_ca"))


# AMQP


@pytest.fixture(scope="module")
def amqp(folder: Path) -> Iterator[Server]:
    with rabbitmq.serving(folder, two_way=False) as server:
        yield server


@pytest.fixture(scope="module")
def amqp_two_way(folder: Path) -> Iterator[Server]:
    with rabbitmq.serving(folder, two_way=True) as server:
        yield server


def _by(program: str, folder: Path, port: int, context: str) -> CompletedProcess[str]:
    return ask(folder, program, str(port), context)


def test_amqp_one_way(folder: Path, amqp: Server) -> None:
    client = functools.partial(_by, "amqp_client.py", folder, amqp.port)
    _through(client("client-one-way"))
    _client_refuses(client("believes-others"), "CERTIFICATE_VERIFY_FAILED")


def test_amqp_two_way(folder: Path, amqp_two_way: Server) -> None:
    client = functools.partial(_by, "amqp_client.py", folder, amqp_two_way.port)
    _through(client("client"))
    _client_refuses(client("believes-others"), "CERTIFICATE_VERIFY_FAILED")
    _server_refuses(amqp_two_way.log, "Certificate required", lambda: client("client-one-way"))
    _server_refuses(amqp_two_way.log, "Unknown CA", lambda: client("stranger"))


# STOMP and JMS, by one broker of Java's

_NONE_SHOWN, _UNKNOWN = "Empty client certificate chain", "PKIX path validation failed"


@pytest.fixture(scope="module", params=["p12", "jks"])
def broker(request: pytest.FixtureRequest, folder: Path) -> Iterator[Broker]:
    """A broker whose two stores are ours, in each format."""
    passwords, kind = Passwords(Secret(PASSWORD.encode())), request.param
    for name in ("server", "roots", "client", "stranger", "others"):
        entries = _entries(folder, name)
        (folder / f"{name}.p12").write_bytes(pkcs12.write(entries, passwords))
        (folder / f"{name}.jks").write_bytes(jks.write(entries, passwords, datetime.now(UTC)))
    with activemq.serving(
        folder, key_store=f"server.{kind}", trust_store=f"roots.{kind}", password=PASSWORD
    ) as running:
        yield running


def _entries(folder: Path, name: str) -> list[Entry]:
    """What is in a file of PEM, each with an alias of its own."""
    found = keystore.read((folder / f"{name}.pem").read_bytes(), Passwords()).entries
    return [replace(each, alias=f"{name}-{number}") for number, each in enumerate(found)]


def test_stomp_one_way(folder: Path, broker: Broker) -> None:
    client = functools.partial(_by, "stomp_client.py", folder, broker.stomp)
    _through(client("client-one-way"))
    _client_refuses(client("believes-others"), "CERTIFICATE_VERIFY_FAILED")


def test_stomp_two_way(folder: Path, broker: Broker) -> None:
    client = functools.partial(_by, "stomp_client.py", folder, broker.stomp_two_way)
    _through(client("client"))
    _server_refuses(broker.log, _NONE_SHOWN, lambda: client("client-one-way"))
    _server_refuses(broker.log, _UNKNOWN, lambda: client("stranger"))


@pytest.fixture(scope="module")
def java(folder: Path) -> None:
    """The program, compiled once: `java` of the source would do it for each run."""
    activemq.skip_without()
    if shutil.which("javac") is None:
        pytest.skip("needs a Java compiler")
    done = ask(folder, "javac", "-cp", activemq.JARS, "-d", "jms", "jms/JmsClient.java")
    assert done.returncode == 0, done.stderr


def _jms(folder: Path, address: str, *stores: str) -> CompletedProcess[str]:
    return ask(
        folder, "java", *activemq.OPTIONS, "-cp", f"{activemq.JARS}:jms", "JmsClient", f"ssl://{address}", *stores,
        more={"STORE_PASSWORD": PASSWORD},
    )  # fmt: skip


@pytest.mark.usefixtures("java")
def test_jms_one_way(folder: Path, broker: Broker) -> None:
    _through(_jms(folder, f"localhost:{broker.jms}", "roots.p12"))
    _client_refuses(_jms(folder, f"localhost:{broker.jms}", "others.p12"), _UNKNOWN)
    _client_refuses(_jms(folder, f"127.0.0.1:{broker.jms}", "roots.p12"), "No subject alternative names")


@pytest.mark.usefixtures("java")
def test_jms_two_way(folder: Path, broker: Broker) -> None:
    client = functools.partial(_jms, folder, f"localhost:{broker.jms_two_way}", "roots.p12")
    _through(client("client.p12"))
    _server_refuses(broker.log, _NONE_SHOWN, client)
    _server_refuses(broker.log, _UNKNOWN, lambda: client("stranger.p12"))
