"""SSH certificates by the authority, as OpenSSH's own programs, a real sshd and asyncssh take them."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.authority_process import Authority, authority
from tests.e2e.mesh_process import environment
from tests.e2e.servers import ssh
from tests.e2e.servers.process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.key_files("SSH certificates are signed by a key in a file")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "protocols" / "sftp_client.py"


@pytest.fixture(scope="module")
def running() -> Iterator[Authority]:
    with authority() as made:
        yield made


@pytest.fixture(scope="module")
def sshd(running: Authority) -> Iterator[Server]:
    """A server that knows nobody but the authority's CA, and has its host certificate from it."""

    def by_authority(folder: Path) -> None:
        (folder / "ssh_ca.pub").write_text(running.run("cert", "ssh", "ca").stdout)
        made = running.run("cert", "ssh", "host", "host.pub", "--name", "localhost")
        assert made.returncode == 0, made.stderr

    shutil.copy(EXAMPLE, running.folder)
    with ssh.serving(running.folder, by_authority) as server:
        known = running.run("cert", "ssh", "ca", "--known-hosts")
        (running.folder / "known_ca").write_text(known.stdout)
        yield server


def _certify(running: Authority, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    ssh.make_key(running.folder, name)
    return running.run("cert", "ssh", "user", f"{name}.pub", *arguments)


def _sftp(running: Authority, server: Server, key: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "sftp_client.py", str(server.port), key, "known_ca"], cwd=running.folder, text=True,
        env=environment(), capture_output=True, timeout=30, check=False,
    )  # fmt: skip


def test_both_sides_know_each_other_by_the_authority_alone(running: Authority, sshd: Server) -> None:
    made = _certify(running, "mine", "--principal", getpass.getuser())
    assert made.returncode == 0, made.stderr
    through = _sftp(running, sshd, "mine")
    assert through.stdout == "hello\n", through.stderr
    assert "Accepted certificate ID" in sshd.log.read_text()

    assert _certify(running, "other", "--principal", "somebody-else").returncode == 0
    assert _sftp(running, sshd, "other").returncode != 0
    ssh.make_key(running.folder, "bare")
    assert _sftp(running, sshd, "bare").returncode != 0


def test_ssh_keygen_reads_what_was_said(running: Authority) -> None:
    assert _certify(running, "read", "--principal", "deploy", "--principal", "ann", "--lifetime", "1h").returncode == 0
    said = subprocess.run(
        ["ssh-keygen", "-L", "-f", "read-cert.pub"], cwd=running.folder, capture_output=True, text=True, check=True
    ).stdout
    assert "user certificate" in said
    assert "deploy" in said
    assert "ann" in said
    assert "permit-pty" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--principal", "a b"), "'a b' is no user's name"),
        (("--principal", "deploy", "--lifetime", "10s"), "between a minute and 365 days"),
        (("--principal", "deploy", "--lifetime", "soon"), "--lifetime"),
    ],
)
def test_what_is_refused_is_one_line(running: Authority, arguments: tuple[str, ...], message: str) -> None:
    (running.folder / "bad-cert.pub").unlink(missing_ok=True)
    for name in ("bad", "bad.pub"):
        (running.folder / name).unlink(missing_ok=True)
    done = _certify(running, "bad", *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (running.folder / "bad-cert.pub").exists()


def test_what_is_no_key_is_refused(running: Authority) -> None:
    (running.folder / "junk.pub").write_text("ssh-ed25519 AAAA junk")
    done = running.run("cert", "ssh", "user", "junk.pub", "--principal", "deploy")
    assert done.returncode == 1
    assert "no public key in OpenSSH's form" in done.stderr
    host = running.run("cert", "ssh", "host", "junk.pub", "--name", "*.internal")
    assert host.returncode == 1
