"""`handsel cert create`: what openssl says of what it makes, and what it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.authority_process import authority
from tests.e2e.mesh_process import run, short_folder

pytestmark = pytest.mark.e2e


def _create(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("cert", "create", *arguments, cwd=folder)


def _openssl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder():
    with short_folder() as made:
        yield made


@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa2048"])
def test_a_chain_of_ones_own_is_what_openssl_believes(folder: Path, kind: str) -> None:
    for arguments in (
        ("Test root", "--ca", "--self-signed", "--lifetime", "365d", "--out", f"{kind}-root.pem"),
        ("Test issuing", "--ca", "--issuer", f"{kind}-root.pem", "--out", f"{kind}-ca.pem"),
        ("orders.internal", "10.0.0.7", "spiffe://x.y/orders", "--issuer", f"{kind}-ca.pem", "--out", f"{kind}.pem"),
    ):
        done = _create(folder, *arguments, "--key", kind)
        assert done.returncode == 0, done.stderr
    for purpose in ("sslserver", "sslclient"):
        said = _openssl(
            folder, "verify", "-purpose", purpose, "-CAfile", f"{kind}-root.pem", "-untrusted", f"{kind}-ca.pem",
            "-verify_hostname", "orders.internal", f"{kind}.pem",
        )  # fmt: skip
        assert said == f"{kind}.pem: OK\n"
    assert "hostname mismatch" in _openssl(
        folder, "verify", "-CAfile", f"{kind}-root.pem", "-untrusted", f"{kind}-ca.pem", "-verify_hostname", "other",
        f"{kind}.pem",
    )  # fmt: skip
    assert (folder / f"{kind}.pem").read_text().count("BEGIN CERTIFICATE") == 2  # the leaf and what is below the root
    assert (folder / f"{kind}.pem").stat().st_mode & 0o777 == 0o600


def test_a_request_is_what_another_ca_can_sign(folder: Path) -> None:
    assert _create(folder, "orders.internal", "--request", "--out", "r.key").returncode == 0
    said = _openssl(folder, "req", "-in", "r.csr", "-noout", "-verify", "-text")
    assert "verify OK" in said
    assert "DNS:orders.internal" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.internal", "--out", "x"), "say one of --state, --self-signed"),
        (("a.internal", "--self-signed", "--request", "--out", "x"), "say one of"),
        (("a b", "--self-signed", "--out", "x"), "is no DNS name"),
        (("a.internal", "--issuer", "nowhere.pem", "--out", "x"), "nowhere.pem cannot be read"),
        (("a.internal", "--issuer", "leaf.pem", "--out", "x"), "is no CA's"),
        (("a.internal", "--self-signed", "--out", "leaf.pem"), "is there already"),
        (("A", "--ca", "--request", "--out", "x"), "--ca goes with"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    if not (folder / "leaf.pem").exists():
        _create(folder, "leaf.internal", "--self-signed", "--out", "leaf.pem")
    done = _create(folder, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "x").exists()


POLICY = """
trust_domain: create.internal
authority:
  policy:
    - {allow: {dns: ["*.internal"]}}
"""


def test_the_authority_signs_what_its_policy_allows_and_has_it_in_its_books() -> None:
    with authority(POLICY) as running:
        made = running.run("cert", "create", "orders.internal", "--out", "orders.pem")
        assert made.returncode == 0, made.stderr
        assert "orders.pem: OK" in _openssl(
            running.folder, "verify", "-CAfile", "roots.pem", "-untrusted", "orders.pem", "orders.pem"
        )
        assert [
            each["names"] for each in running.json("cert", "list", "--name", "orders.internal")["certificates"]
        ] == [["orders.internal"]]
        refused = running.run("cert", "create", "orders.example", "--out", "no.pem")
        assert refused.returncode == 1
        assert "orders.example" in refused.stderr
        assert not (running.folder / "no.pem").exists()
        own = running.run("cert", "create", "orders.internal", "--profile", "workload", "--out", "no.pem")
        assert own.returncode == 1
        assert "there is no profile 'workload'" in own.stderr


def test_whether_a_certificate_is_one_of_a_server_or_client_is_said(folder: Path) -> None:
    """A leaf of ours is both; a CA is neither; one that OpenSSL makes for clients is no server's."""
    assert _create(folder, "Use root", "--ca", "--self-signed", "--out", "use-root.pem").returncode == 0
    assert _create(folder, "both.internal", "--issuer", "use-root.pem", "--out", "both.pem").returncode == 0
    (folder / "client.cnf").write_text("[x]\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:client.internal\n")
    assert _create(folder, "client.internal", "--request", "--out", "client.key").returncode == 0
    _openssl(
        folder, "x509", "-req", "-in", "client.csr", "-CA", "use-root.pem", "-CAkey", "use-root.pem", "-days", "5",
        "-extfile", "client.cnf", "-extensions", "x", "-out", "client.pem",
    )  # fmt: skip

    def said(file: str, role: str) -> str:
        return run("cert", "inspect", file, "--for", role, cwd=folder).stdout

    assert "wrong use" not in said("both.pem", "server") + said("both.pem", "client") + said("client.pem", "client")
    assert "wrong use: it is for clientAuth, and not for a TLS server" in said("client.pem", "server")
    assert "wrong use: a CA's certificate is no server's" in said("use-root.pem", "server")
