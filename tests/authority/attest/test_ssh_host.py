"""OpenSSH host certificates as evidence, made by ssh-keygen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from handsel.agent import evidence
from handsel.authority.attest import ssh_host
from handsel.errors import Refused
from tests.authority.attest.world import rule
from tests.support import mutations


def _keygen(folder: Path, *arguments: str) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", *arguments], cwd=folder, check=True, capture_output=True)


def _key(folder: Path, name: str, kind: str = "ed25519") -> Path:
    _keygen(folder, "-t", kind, "-N", "", "-f", name)
    return folder / name


def _certify(folder: Path, name: str, *options: str, ca: str = "ca") -> None:
    _keygen(folder, "-s", ca, "-I", f"id of {name}", *options, f"{name}.pub")


def _prove(folder: Path, name: str, key: str = "") -> evidence.Prove:
    return evidence.ssh_host((folder / f"{name}-cert.pub").read_bytes(), (folder / (key or name)).read_bytes())


@pytest.fixture
def folder(tmp_path) -> Path:
    _key(tmp_path, "ca")
    return tmp_path


@pytest.fixture
def doors(folder, doors_with):
    return doors_with(rule("ssh_host", roots=str(folder / "ca.pub"), when={"principal": ("*.example",)}))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_a_host_with_a_certificate_joins(folder, doors, kind):
    _key(folder, "host", kind)
    _certify(folder, "host", "-h", "-n", "a.example", "-V", "-1m:+1h")
    joined = await doors.join(doors.way("ssh_host", _prove(folder, "host")))
    assert (await doors.directory.host(joined.answer.agent_id)).services == ("web",)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-n", "a.example"), "a user's, not a host's"),
        (("-h", "-n", "a.example", "-V", "-2h:-1h"), "not valid now"),
        (("-h", "-n", "a.example", "-V", "+1h:+2h"), "not valid now"),
        (("-h",), "names no host"),
        (("-h", "-n", "elsewhere.test"), "does not fit"),
        (("-h", "-n", "a.example", "-O", "critical:x@example.com=1"), "critical options"),
    ],
)
async def test_a_certificate_for_something_else_is_refused(folder, doors, options, reason):
    _key(folder, "host")
    _certify(folder, "host", *options)
    with pytest.raises(Refused, match=reason):
        await doors.join(doors.way("ssh_host", _prove(folder, "host")))
    _certify(folder, "host", "-h", "-n", "a.example")
    assert await doors.join(doors.way("ssh_host", _prove(folder, "host")))


async def test_another_ca_or_another_key_is_refused(folder, doors):
    for name in ("host", "other", "other-ca"):
        _key(folder, name)
    _certify(folder, "host", "-h", "-n", "a.example", ca="other-ca")
    with pytest.raises(Refused, match="of a CA that the rule does not name"):
        await doors.join(doors.way("ssh_host", _prove(folder, "host")))
    _certify(folder, "host", "-h", "-n", "a.example")
    with pytest.raises(Refused, match="not signed by the host's key"):
        await doors.join(doors.way("ssh_host", _prove(folder, "host", key="other")))
    assert await doors.join(doors.way("ssh_host", _prove(folder, "host")))


async def test_a_signature_for_one_join_is_good_for_no_other(folder, doors):
    _key(folder, "host")
    _certify(folder, "host", "-h", "-n", "a.example")
    kept = (await doors.join(doors.way("ssh_host", _prove(folder, "host")))).sent.request.evidence
    with pytest.raises(Refused, match="not signed by the host's key"):
        await doors.join(doors.way("ssh_host", lambda _: kept))


LINE = (
    b"ssh-ed25519-cert-v01@openssh.com "
    b"AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA"
)


@given(mutations(LINE))
def test_what_is_no_certificate_is_refused_with_a_line(line):
    with pytest.raises(Refused):
        ssh_host.read(line)


@pytest.mark.parametrize("key", ["ed25519", "ecdsa"])
def test_a_damaged_certificate_is_not_believed(folder, key):
    """Each byte of a real one changed in turn: it is unreadable, or its signature does not hold."""
    import base64

    from tests.support import NOW

    _key(folder, "host", key)
    _certify(folder, "host", "-h", "-n", "a.example", "-V", "20200101:20400101")
    kind, body = (folder / "host-cert.pub").read_bytes().split()[:2]
    authorities = ssh_host.read_trust((folder / "ca.pub").read_bytes())
    ssh_host.check(ssh_host.read(kind + b" " + body), authorities, NOW)
    blob = bytearray(base64.b64decode(body))
    for place in range(len(blob)):
        changed = bytes(blob[:place]) + bytes([blob[place] ^ 0x41]) + bytes(blob[place + 1 :])
        with pytest.raises(Refused):
            ssh_host.check(ssh_host.read(kind + b" " + base64.b64encode(changed)), authorities, NOW)


@pytest.mark.parametrize("content", [b"", b"# only words\n", b"ssh-ed25519 nonsense", b"a\nb\n" * 500])
def test_a_file_without_keys_is_no_file_of_cas(content):
    with pytest.raises(ValueError):
        ssh_host.read_trust(content)
