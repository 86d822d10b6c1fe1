"""Several issuing CAs of one server, seen by other people's programs; a root elsewhere; keys in a token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.errors import ExitCode
from handsel.link.ticket import TicketText
from tests.authority.signers.token import soft_token
from tests.ca_keys import with_keys
from tests.e2e.authority_process import Authority, authority
from tests.e2e.mesh_process import Handsel, environment, free_port, run, short_folder

pytestmark = pytest.mark.e2e

PARTNERS = """
services: {{}}
authority:
  acme: {{validation: {{http_port: {port}}}}}
  issuing:
    partners: {{key: p384, permitted: {{dns: [localhost]}}}}
  profiles:
    partners: {{issuer: partners, lifetime: 30d}}
"""


_CERTBOT = Path(sys.executable).parent / "certbot"


def certbot(running: Authority, port: int, directory: str) -> subprocess.CompletedProcess[str]:
    """Order a certificate for `localhost` from an ACME directory of a running authority."""
    if not _CERTBOT.exists():
        pytest.skip("needs certbot")
    folders = [f"--{name}-dir={running.folder / 'certbot' / name}" for name in ("config", "work", "logs")]
    return subprocess.run(
        [str(_CERTBOT), "certonly", *folders, "--server", f"{running.url}/acme/{directory}", "-n", "--agree-tos",
         "--standalone", f"--http-01-port={port}", "--register-unsafely-without-email", "-d", "localhost",
         "--force-renewal"], check=False, capture_output=True, text=True, timeout=60,
        env={**environment(), "REQUESTS_CA_BUNDLE": str(running.roots)},
    )  # fmt: skip


def ordered(running: Authority, port: int, directory: str = "directory") -> list[x509.Certificate]:
    """The chain that certbot got."""
    done = certbot(running, port, directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return x509.load_pem_x509_certificates(
        (running.folder / "certbot/config/live/localhost/fullchain.pem").read_bytes()
    )


def openssl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment()
    )
    return done.stdout + done.stderr


def verify(running: Authority, chain: list[x509.Certificate]) -> str:
    """What OpenSSL thinks of it."""
    leaf, *between = (each.public_bytes(Encoding.PEM) for each in chain)
    (running.folder / "leaf.pem").write_bytes(leaf)
    (running.folder / "between.pem").write_bytes(b"".join(between))
    return openssl(
        running.folder, "verify", "-x509_strict", "-CAfile", "roots.pem", "-untrusted", "between.pem", "leaf.pem"
    )


def test_a_second_ca_has_a_directory_ocsp_and_lists_of_its_own():
    port = free_port()
    with authority(PARTNERS.format(port=port)) as running:
        chain = ordered(running, port, "ca/partners/directory")
        assert "leaf.pem: OK" in verify(running, chain)
        assert "partners" in chain[1].subject.rfc4514_string()
        access = chain[0].extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        ocsp = next(each.access_location.value for each in access if "ocsp" in each.access_location.value)
        ask = (
            "ocsp", "-sha256", "-issuer", "between.pem", "-cert", "leaf.pem", "-url", ocsp, "-CAfile", "roots.pem",
        )  # fmt: skip
        assert "leaf.pem: good" in openssl(running.folder, *ask)
        assert running.run("cert", "revoke", f"{chain[0].serial_number:x}").returncode == ExitCode.OK
        answered = openssl(running.folder, *ask)
        assert "leaf.pem: revoked" in answered
        assert "Response verify OK" in answered
        assert running.run("ca", "crl", "build").returncode == ExitCode.OK
        lists = [
            x509.load_der_x509_crl(file.read_bytes()) for file in (running.state / "server/crl/partners").glob("*.crl")
        ]
        assert any(each.get_revoked_certificate_by_serial_number(chain[0].serial_number) for each in lists)
        assert all(each.is_signature_valid(chain[1].public_key()) for each in lists)
        # The control: the mesh's own CA signs for the usual directory.
        assert "partners" not in ordered(running, port)[1].subject.rfc4514_string()


def test_its_name_constraints_are_told_to_who_asks_for_another_name():
    port = free_port()
    text = PARTNERS.format(port=port).replace("dns: [localhost]", "dns: [partners.internal]")
    with authority(text) as running:
        done = certbot(running, port, "ca/partners/directory")
        assert done.returncode != 0
        assert "name constraints" in done.stdout + done.stderr
        assert ordered(running, port)


@pytest.fixture
def folder():
    with short_folder() as made:
        for name in ("password", "root-password"):
            (made / name).write_text(f"the {name} of a test\n")
            (made / name).chmod(0o600)
        if text := with_keys(made):
            (made / "handsel.yaml").write_text(text)
        yield made


def handsel(folder: Path, *arguments: str, code: int = ExitCode.OK) -> str:
    done = run(*arguments, cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def shown(folder: Path, *more: str) -> dict:
    return json.loads(handsel(folder, "ca", "show", "--state", "s", "-o", "json", *more))


SERVER = ("server", "--state", "s", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0")


def starts(folder: Path, *more: str) -> None:
    """A server starts on the state of this folder, and stops."""
    (folder / "server.log").unlink(missing_ok=True)
    server = Handsel(folder, "server", *SERVER, *more)
    try:
        server.wait_for("server https://")
    finally:
        server.stop()


def test_what_the_mesh_file_says_otherwise_is_told_by_server_and_show(folder):
    (folder / "handsel.yaml").write_text(with_keys(folder, PARTNERS.format(port=80)))
    starts(folder)
    (before,) = (each for each in shown(folder)["authorities"] if each["name"] == "partners")
    assert shown(folder)["warnings"] == []
    (folder / "handsel.yaml").write_text(with_keys(folder, PARTNERS.format(port=80).replace("p384", "rsa2048")))
    (warning,) = shown(folder)["warnings"]
    assert "has a p384 key, and the mesh file says rsa2048" in warning
    starts(folder)
    assert warning in (folder / "server.log").read_text()
    assert before in shown(folder)["authorities"]


@pytest.mark.key_files("they are encrypted")
def test_keys_are_shown_without_their_password_and_a_wrong_one_is_one_line(folder):
    handsel(folder, "ca", "init", "--state", "s")
    before = shown(folder)
    encrypt = ("ca", "keys", "encrypt", "--new-password-file", "password", "--state", "s")
    handsel(folder, *encrypt, "--dry-run")
    assert shown(folder) == before
    handsel(folder, *encrypt)
    after = shown(folder)
    assert {**after, "custody": before["custody"]} == before
    assert "encrypted with a password" in after["custody"]
    said = handsel(folder, *SERVER, "--key-password-file", "root-password", code=ExitCode.FAILED)
    assert "cannot be read" in said
    assert len(said.strip().splitlines()) <= 2
    starts(folder, "--key-password-file", "password")


@pytest.mark.key_files("they are encrypted")
def test_keys_are_not_encrypted_under_a_running_server(folder):
    server = Handsel(folder, "server", *SERVER)
    try:
        server.wait_for("server https://")
        encrypt = ("ca", "keys", "encrypt", "--new-password-file", "password", "--state", "s")
        assert "in use" in handsel(folder, *encrypt, code=ExitCode.FAILED)
    finally:
        server.stop()
    handsel(folder, *encrypt)


def test_tickets_pin_a_root_that_is_elsewhere_and_the_one_after_it(folder):
    handsel(folder, "ca", "init", "--state", "s", "--offline-root", "away")
    pins = shown(folder)["pins"]
    assert len(set(pins)) == 2
    (folder / "server.log").unlink(missing_ok=True)
    server = Handsel(folder, "server", *SERVER)
    try:
        server.wait_for("server https://")
        words = handsel(folder, "agent", "ticket", "--state", "s").split()
    finally:
        server.stop()
    (ticket,) = (TicketText.decode(word) for word in words if word.startswith("hs2."))
    assert list(ticket.pins) == pins


def test_a_root_elsewhere_without_a_password_is_told_to_be_so(folder):
    assert "NOT encrypted" in handsel(folder, "ca", "init", "--state", "s", "--offline-root", "away")
    handsel(folder, "ca", "request", "issuing", "--state", "s", "--out", "a.csr")
    handsel(folder, "ca", "sign", "--root", "away", "--csr", "a.csr", "--out", "a.crt")
    assert "already" in handsel(folder, "ca", "init", "--state", "t", "--offline-root", "away", code=ExitCode.USAGE)
    assert not (folder / "t/server/authority/root.crt").exists()


def test_what_is_not_for_this_authority_is_not_installed(folder):
    protected = ("--offline-password-file", "root-password")
    handsel(folder, "ca", "init", "--state", "s", "--offline-root", "away", *protected)
    (folder / "handsel.yaml").write_text(with_keys(folder, PARTNERS.format(port=80)))
    (folder / "other.yaml").write_text(with_keys(folder, PARTNERS.format(port=80), prefix="other-"))
    other = ("--state", "other", "-f", "other.yaml")
    handsel(folder, "ca", "init", *other, "--offline-root", "elsewhere", *protected)
    handsel(folder, "ca", "request", "partners", "--state", "s", "--out", "partners.csr")

    def signed_by(root: str, csr: str = "partners.csr") -> None:
        handsel(
            folder, "ca", "sign", "--root", root, "--password-file", "root-password", "--csr", csr, "--name",
            "partners", "--out", "partners.crt",
        )  # fmt: skip

    install = ("ca", "install", "partners.crt", "--name", "partners", "--state", "s")
    signed_by("elsewhere")
    assert "not signed by this authority's root" in handsel(folder, *install, code=ExitCode.FAILED)
    handsel(folder, "ca", "request", "partners", *other, "--out", "others.csr")
    signed_by("away", "others.csr")
    assert "not for the key" in handsel(folder, *install, code=ExitCode.FAILED)
    handsel(
        folder, "ca", "sign", "--root", "away", "--password-file", "root-password", "--csr", "partners.csr", "--out",
        "partners.crt",
    )  # fmt: skip
    assert "the subject of another CA, 'issuing'" in handsel(folder, *install, code=ExitCode.FAILED)
    signed_by("away")
    handsel(folder, *install)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("--csr", "nowhere"), "cannot be read"),
        (("--csr", "password"), "no certificate request"),
        (("--root", "nowhere"), "no authority"),
        (("--password-file", "nowhere"), "cannot be read"),
        (("--password-file", "password"), "cannot be read"),
        (("--permit", "localhost"), "dns:NAME"),
        (("--permit", "ip:10.0.0.1/8"), "ip:10.0.0.1/8"),
        (("--lifetime", "soon"), "--lifetime"),
        (("--lifetime", "0s"), "between 1m and 3650d"),
        (("--lifetime", "3000000d"), "between 1m and 3650d"),
        (("--name", "root"), "does not begin with root"),
        (("--name", "../x"), "a CA's name has"),
    ],
)
def test_what_cannot_be_signed_is_one_line(folder, change, why):
    handsel(folder, "ca", "init", "--state", "s", "--offline-root", "away", "--offline-password-file", "root-password")
    handsel(folder, "ca", "request", "issuing", "--state", "s", "--out", "a.csr")
    sign = ("ca", "sign", "--root", "away", "--password-file", "root-password", "--csr", "a.csr", "--out", "a.crt")
    done = run(*sign, *change, cwd=folder)
    assert done.returncode in (ExitCode.FAILED, ExitCode.USAGE)
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "a.crt").exists()
    handsel(folder, *sign)


def test_a_server_whose_keys_are_in_a_token_starts_again_and_signs(folder):
    port = free_port()
    with soft_token(folder / "token") as uri:
        text = PARTNERS.format(port=port).replace("authority:\n", f"authority:\n  keys: '{uri}'\n")
        with authority(text) as running:
            for _ in range(2):
                chain = ordered(running, port, "ca/partners/directory")
                assert "leaf.pem: OK" in verify(running, chain)
                held = {path.name for path in (running.state / "server/authority").glob("*.key")}
                assert held <= {"journal.key"}
                running.server.stop()
                running.start()
            assert "PKCS #11 token 'handsel'" in running.json("ca", "show")["custody"]
