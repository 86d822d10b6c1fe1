"""OpenSSH's server, with a host key, the keys that may come in, and an SSH authority that signs for both sides."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.mesh_process import free_port
from tests.e2e.servers.process import Server, running

_SSHD = "/usr/sbin/sshd"
_SEPARATION = Path("/run/sshd")
"""An empty folder that sshd demands when root runs it. It stays, as after Debian's service: another run may use it."""


def by_ssh_keygen(folder: Path) -> None:
    """An SSH authority made by hand: its public key, and the host's certificate."""
    make_key(folder, "ssh_ca")
    certify(folder, "host", "localhost", host=True)


@contextmanager
def serving(folder: Path, certified: Callable[[Path], None] = by_ssh_keygen) -> Iterator[Server]:
    """Files by SFTP from `folder`/files, on a free port.

    Taken are the key `user`, and keys with a certificate of `ssh_ca` for whoever runs the test. The host has the key
    `host`, and a certificate for `localhost`. `certified` writes `ssh_ca.pub` and `host-cert.pub`.
    """
    if not Path(_SSHD).exists() or shutil.which("ssh-keygen") is None:
        pytest.skip("needs sshd and ssh-keygen")
    for name in ("host", "user"):
        make_key(folder, name)
    certified(folder)
    files, port = folder / "files", free_port()
    files.mkdir()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nHostCertificate {folder}/host-cert.pub\n"
        f"AuthorizedKeysFile {folder}/user.pub\nTrustedUserCAKeys {folder}/ssh_ca.pub\n"
        f"AuthenticationMethods publickey\nPermitRootLogin prohibit-password\nPidFile none\nLogLevel VERBOSE\n"
        # Without PAM it takes every account for a locked one whose shadow it may not read.
        f"UsePAM {'no' if os.geteuid() == 0 else 'yes'}\n"
        "StrictModes no\n"  # it wants no folder on the way that others may write to, and /tmp is one
        f"Subsystem sftp internal-sftp\nForceCommand internal-sftp -d {files}\n"
    )
    if os.geteuid() == 0:
        _SEPARATION.mkdir(0o755, exist_ok=True)
    with running("sshd", (_SSHD, "-D", "-e", "-f", "sshd_config"), folder, ports=[port]) as log:
        yield Server(port, log)


def make_key(folder: Path, name: str) -> None:
    """A key and its public half: `NAME`, `NAME.pub`."""
    _keygen(folder, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name)


def certify(
    folder: Path, name: str, principal: str | None = None, *, by: str = "ssh_ca", host: bool = False,
    validity: str = "-1m:+1h",
) -> None:  # fmt: skip
    """A certificate for a key, `NAME-cert.pub`, for a host or a user; without `principal` for whoever runs the test."""
    _keygen(
        folder, "-q", "-s", by, "-I", name, "-n", principal or getpass.getuser(), "-V", validity,
        *(("-h",) if host else ()), f"{name}.pub",
    )  # fmt: skip


def _keygen(folder: Path, *arguments: str) -> None:
    subprocess.run(["ssh-keygen", *arguments], cwd=folder, check=True, capture_output=True, timeout=10)
