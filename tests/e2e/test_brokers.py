"""The examples of protocols that need a server of somebody else's: SFTP, AMQP, STOMP and JMS, each refused beside allowed.

Every server is the real one, started once, in a folder of its own; a test skips without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from handsel.pki import keystore
from handsel.pki.certificate import to_pem
from handsel.pki.keystore import Entry, Passwords, jks, pkcs12
from handsel.pki.secret import Secret
from tests.e2e.servers import activemq, rabbitmq, ssh
from tests.e2e.servers.activemq import Ports
from tests.e2e.servers.process import ask
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


def _refused(answer: CompletedProcess[str], *why: str) -> None:
    print("@@@", answer.args[-4:], answer.stderr[:100000])
    assert (answer.returncode != 0, answer.stdout) == (True, "")
    assert any(each in answer.stderr for each in why), answer.stderr


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
def sshd(ssh_folder: Path) -> Iterator[int]:
    with ssh.serving(ssh_folder) as port:
        ssh.certify(ssh_folder, "certified")
        ssh.certify(ssh_folder, "by_other_ca", by="other_ca")
        ssh.certify(ssh_folder, "for_another", "somebody-else")
        ssh.certify(ssh_folder, "expired", validity="-2h:-1h")
        for name in ("host", "other_host"):
            key = (ssh_folder / f"{name}.pub").read_text()
            (ssh_folder / f"known_{name}").write_text(f"[localhost]:{port} {key}")
        for name in ("ssh_ca", "other_ca"):
            key = (ssh_folder / f"{name}.pub").read_text()
            (ssh_folder / f"known_{name}").write_text(f"@cert-authority localhost {key}")
        (ssh_folder / "known_nobody").write_text("")
        yield port


def _sftp(folder: Path, port: int, key: str, known: str) -> CompletedProcess[str]:
    return ask(folder, "sftp_client.py", str(port), key, f"known_{known}")


def test_sftp_with_keys_that_both_sides_know(ssh_folder: Path, sshd: int) -> None:
    _through(_sftp(ssh_folder, sshd, "user", "host"))
    assert (ssh_folder / "files" / "hello.txt").read_text() == "hello\n"
    _refused(_sftp(ssh_folder, sshd, "user", "other_host"), "is not trusted for host localhost")
    _refused(_sftp(ssh_folder, sshd, "user", "nobody"), "is not trusted for host localhost")
    _refused(_sftp(ssh_folder, sshd, "stranger", "host"), "Permission denied")


def test_sftp_with_certificates_of_an_ssh_authority(ssh_folder: Path, sshd: int) -> None:
    _through(_sftp(ssh_folder, sshd, "certified", "ssh_ca"))
    _refused(_sftp(ssh_folder, sshd, "certified", "other_ca"), "is not trusted for host localhost")
    for key in ("by_other_ca", "for_another", "expired"):
        _refused(_sftp(ssh_folder, sshd, key, "ssh_ca"), "Permission denied")


# AMQP


@pytest.fixture(scope="module")
def amqp(folder: Path) -> Iterator[int]:
    with rabbitmq.serving(folder, two_way=False) as port:
        yield port


@pytest.fixture(scope="module")
def amqp_two_way(folder: Path) -> Iterator[int]:
    with rabbitmq.serving(folder, two_way=True) as port:
        yield port


def test_amqp_one_way(folder: Path, amqp: int) -> None:
    _through(ask(folder, "amqp_client.py", str(amqp), "client-one-way"))
    _refused(ask(folder, "amqp_client.py", str(amqp), "believes-others"), "CERTIFICATE_VERIFY_FAILED")


def test_amqp_two_way(folder: Path, amqp_two_way: int) -> None:
    _through(ask(folder, "amqp_client.py", str(amqp_two_way), "client"))
    for name in ("client-one-way", "stranger"):
        _refused(ask(folder, "amqp_client.py", str(amqp_two_way), name), "Error")
    _refused(ask(folder, "amqp_client.py", str(amqp_two_way), "believes-others"), "CERTIFICATE_VERIFY_FAILED")


# STOMP and JMS, by one broker of Java's


def _entries(folder: Path, name: str) -> list[Entry]:
    """What is in a file of PEM, each with an alias of its own."""
    found = keystore.read((folder / f"{name}.pem").read_bytes(), Passwords()).entries
    return [replace(each, alias=f"{name}-{number}") for number, each in enumerate(found)]


@pytest.fixture(scope="module", params=["p12", "jks"])
def broker(request: pytest.FixtureRequest, folder: Path) -> Iterator[Ports]:
    """A broker whose two stores are ours, in each format."""
    passwords, kind = Passwords(Secret(PASSWORD.encode())), request.param
    for name in ("server", "roots", "client", "stranger", "others"):
        entries = _entries(folder, name)
        (folder / f"{name}.p12").write_bytes(pkcs12.write(entries, passwords))
        (folder / f"{name}.jks").write_bytes(jks.write(entries, passwords, datetime.now(UTC)))
    with activemq.serving(
        folder, key_store=f"server.{kind}", trust_store=f"roots.{kind}", password=PASSWORD
    ) as ports:
        yield ports


def test_stomp_one_way(folder: Path, broker: Ports) -> None:
    _through(ask(folder, "stomp_client.py", str(broker.stomp), "client-one-way"))
    _refused(ask(folder, "stomp_client.py", str(broker.stomp), "believes-others"), "CERTIFICATE_VERIFY_FAILED")


def test_stomp_two_way(folder: Path, broker: Ports) -> None:
    _through(ask(folder, "stomp_client.py", str(broker.stomp_two_way), "client"))
    for name in ("client-one-way", "stranger"):
        _refused(ask(folder, "stomp_client.py", str(broker.stomp_two_way), name), "ConnectFailedException", "SSLError")


@pytest.fixture(scope="module")
def java(folder: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("needs a Java compiler")


def _jms(folder: Path, address: str, *stores: str) -> CompletedProcess[str]:
    return ask(
        folder, "java", *activemq.OPTIONS, "-cp", activemq.JARS, "jms/JmsClient.java", f"ssl://{address}", *stores,
        more={"STORE_PASSWORD": PASSWORD},
    )  # fmt: skip


@pytest.mark.usefixtures("java")
def test_jms_one_way(folder: Path, broker: Ports) -> None:
    _through(_jms(folder, f"localhost:{broker.jms}", "roots.p12"))
    _refused(_jms(folder, f"localhost:{broker.jms}", "others.p12"), "unable to find valid certification path")
    _refused(_jms(folder, f"127.0.0.1:{broker.jms}", "roots.p12"), "No subject alternative names matching IP address")


@pytest.mark.usefixtures("java")
def test_jms_two_way(folder: Path, broker: Ports) -> None:
    _through(_jms(folder, f"localhost:{broker.jms_two_way}", "roots.p12", "client.p12"))
    _refused(_jms(folder, f"localhost:{broker.jms_two_way}", "roots.p12"), "Exception")
    _refused(_jms(folder, f"localhost:{broker.jms_two_way}", "roots.p12", "stranger.p12"), "Exception")
