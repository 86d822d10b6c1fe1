"""OCSP and CRLs of a running server, looked at by other people's programs."""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
import subprocess
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from handsel.authority import service
from handsel.authority.adapters.signers import KeyFolder
from handsel.authority.model import Approval, Domain, Issuers
from handsel.authority.profile import Profiles
from handsel.authority.status_places import StatusPlaces
from handsel.errors import ExitCode
from handsel.link.messages import Bundle
from handsel.model.authority import Profile
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names, TrustDomain
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import JournalEntry
from handsel.wiring.storage import APPLIERS
from tests.ca_keys import keys_of_server
from tests.e2e.authority_process import Authority, authority
from tests.e2e.mesh_process import run, wait_for

pytestmark = pytest.mark.e2e

LONG = "authority:\n  profiles:\n    web: {lifetime: 30d}\n"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str) -> bytes:
    with DIRECT.open(url, timeout=10) as answer:
        return answer.read()


class Readers:
    """Somebody with OpenSSL and GnuTLS who knows a leaf and the root, and follows what the leaf says."""

    def __init__(self, running: Authority) -> None:
        self.folder = running.folder
        self.leaf_file = self.folder / "leaf.pem"

    def look(self, leaf: x509.Certificate) -> None:
        self.leaf = leaf
        self.leaf_file.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        self.ocsp, self.issuer_url = (each.access_location.value for each in access)
        (point,) = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        (freshest,) = leaf.extensions.get_extension_for_class(x509.FreshestCRL).value
        self.shard, self.delta = point.full_name[0].value, freshest.full_name[0].value
        issuer = x509.load_der_x509_certificate(fetch(self.issuer_url))
        (self.folder / "issuer.pem").write_bytes(issuer.public_bytes(serialization.Encoding.PEM))

    def run(self, *command: str) -> str:
        if not shutil.which(command[0]):
            pytest.skip(f"needs {command[0]}")
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, env=environment)
        return done.stdout + done.stderr

    def openssl_ocsp(self, *more: str, digest: str = "-sha256") -> str:
        return self.run(
            "openssl", "ocsp", digest, "-issuer", "issuer.pem", "-cert", "leaf.pem", "-url", self.ocsp, "-CAfile",
            "roots.pem", *more,
        )  # fmt: skip

    def verify(self, *crls: str, flags: tuple[str, ...] = ("-crl_check_all",)) -> str:
        pem = b""
        for url in crls:
            crl = x509.load_der_x509_crl(fetch(url))
            pem += crl.public_bytes(serialization.Encoding.PEM)
        (self.folder / "crls.pem").write_bytes(pem)
        return self.run(
            "openssl", "verify", *flags, "-CAfile", "roots.pem", "-untrusted", "issuer.pem", "-CRLfile", "crls.pem",
            "leaf.pem",
        )  # fmt: skip


def issued(running: Authority, count: int = 1) -> list[x509.Certificate]:
    """Certificates of the running server's own CA, put into its directory from beside: what an ACME client would get."""
    folder, moment, trust_domain = running.state / "server", datetime.now(UTC), TrustDomain("mesh.internal")
    profile = Profile("web", timedelta(days=30))
    domain = Domain(trust_domain, {}, Profiles({"web": profile}), status=places_of(running))
    keys = [PrivateKey.generate().handle.public_key() for _ in range(count)]
    approvals = [
        Approval(Names(dns=("shop.internal",)), None, key, profile, profile.lifetime, "account/test") for key in keys
    ]
    with keys_of_server(running.folder) as keys:
        issuer, _ = KeyFolder(folder / "authority", keys).open(trust_domain, now=moment, may_make=False)
        intent = service.intend(approvals, domain, Issuers.only(issuer), moment)
        outcome = service.issue(intent, now=moment)
    store = SqliteStore(folder / "handsel.db", APPLIERS)
    try:
        # Without its lines: the journal is the running server's own.
        writes = [each for each in (*intent.writes, *outcome.writes) if not isinstance(each, JournalEntry)]
        store.submit(tuple(writes)).result()
    finally:
        store.close()
    return [leaf.certificate.parsed for leaf in outcome.answer]


@pytest.fixture
def running():
    with authority(LONG) as started:
        yield started


def places_of(running: Authority) -> StatusPlaces:
    """Where the running server says the status is, by what its own shard says of itself."""
    shard = x509.load_der_x509_crl((running.state / "server/crl/issuing/0-of-4.crl").read_bytes())
    scope = shard.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    return StatusPlaces(scope.value.full_name[0].value.partition("/crl/")[0])


def revoke(running: Authority, leaf: x509.Certificate, *more: str) -> None:
    done = running.run("cert", "revoke", f"{leaf.serial_number:x}", *more)
    assert done.returncode == ExitCode.OK, done.stderr


def test_a_revocation_is_in_ocsp_within_a_second_and_both_programs_agree(running):
    readers = Readers(running)
    leaf, other = issued(running, 2)
    readers.look(leaf)
    for digest in ("-sha1", "-sha256"):
        assert "leaf.pem: good" in readers.openssl_ocsp(digest=digest)
    planned = running.run("cert", "revoke", "leaf.pem", "--reason", "superseded", "--dry-run")
    assert "would be revoked" in planned.stdout
    assert "leaf.pem: good" in readers.openssl_ocsp()
    revoke(running, leaf, "--reason", "key-compromise")
    answered = readers.openssl_ocsp()
    assert "Response verify OK" in answered
    assert "leaf.pem: revoked" in answered
    assert "keyCompromise" in answered
    # The control: another certificate of the same CA, asked in the same way.
    readers.look(other)
    assert "leaf.pem: good" in readers.openssl_ocsp()
    assert "0x1234: unknown" in readers.openssl_ocsp("-serial", "0x1234")
    again = running.run("cert", "revoke", f"{leaf.serial_number:x}")
    assert (again.returncode, "was revoked at" in again.stderr) == (ExitCode.FAILED, True)
    strange = running.run("cert", "revoke", "4711")
    assert (strange.returncode, "was issued here" in strange.stderr) == (ExitCode.FAILED, True)
    (line,) = running.json("ca", "journal", "list", "--kind", "revoked")["lines"]
    assert (line["fields"]["by"], line["fields"]["reason"]) == ("local", "key_compromise")


def test_gnutls_believes_the_answers_too(running):
    readers = Readers(running)
    leaf, other = issued(running, 2)
    revoke(running, leaf)
    for each, expected in ((leaf, "revoked"), (other, "good")):
        readers.look(each)
        said = readers.run(
            "ocsptool", f"--ask={readers.ocsp}", "--load-issuer", "issuer.pem", "--load-cert", "leaf.pem",
            "--load-trust", "issuer.pem",
        )  # fmt: skip
        assert f"Certificate Status: {expected}" in said
        assert "Verifying OCSP Response: Success" in said


def test_several_certificates_in_one_request_and_requests_by_get(running):
    readers = Readers(running)
    first, second = issued(running, 2)
    readers.look(first)
    (running.folder / "second.pem").write_bytes(second.public_bytes(serialization.Encoding.PEM))
    revoke(running, second)
    said = readers.openssl_ocsp("-cert", "second.pem", "-reqout", "request.der")
    assert "leaf.pem: good" in said
    assert "second.pem: revoked" in said
    readers.run("openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-no_nonce", "-reqout", "request.der")
    text = base64.b64encode((running.folder / "request.der").read_bytes()).decode()
    for path in (quote(text, safe=""), f"/{text}"):
        (running.folder / "answer.der").write_bytes(fetch(f"{readers.ocsp}/{path}"))
        read = readers.run(
            "openssl", "ocsp", "-respin", "answer.der", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-CAfile",
            "roots.pem", "-no_nonce",
        )  # fmt: skip
        assert "leaf.pem: good" in read, read


def test_the_lists_of_a_leafs_own_shard_decide_about_it(running):
    """2.4: openssl verify -crl_check_all with shard, full list and delta; each refusal beside its control."""
    readers = Readers(running)
    leaf = issued(running)[0]
    readers.look(leaf)
    root_list = f"{readers.issuer_url.partition('/ca/')[0]}/crl/root/full.crl"
    full = readers.shard.replace(readers.shard.rpartition("/")[2], "full.crl")
    other_shard = next(
        url
        for url in (readers.shard.replace(f"/{i}-of", f"/{j}-of") for i in range(4) for j in range(4))
        if url != readers.shard
    )
    assert "leaf.pem: OK" in readers.verify(readers.shard, root_list)
    assert "leaf.pem: OK" in readers.verify(full, root_list)
    # A shard says nothing about certificates that do not name it.
    assert "different CRL scope" in readers.verify(other_shard, root_list)
    revoke(running, leaf, "--reason", "superseded")
    # The published lists wait for their schedule; the delta is made with the next one.
    assert "leaf.pem: OK" in readers.verify(readers.shard, root_list)
    built = running.json("ca", "crl", "build")["crls"]
    assert {each["name"] for each in built} >= {"full", "full-delta", "0-of-4", "3-of-4-delta"}
    for crl in (readers.shard, full):
        assert "certificate revoked" in readers.verify(crl, root_list)
    control = issued(running)[0]
    readers.look(control)
    assert "leaf.pem: OK" in readers.verify(readers.shard, root_list)
    readers.run("openssl", "crl", "-inform", "DER", "-in", "s/server/crl/issuing/full.crl", "-out", "full.pem")
    said = readers.run("certtool", "--verify-crl", "--load-ca-certificate", "issuer.pem", "--infile", "full.pem")
    assert "Verified" in said
    assert (running.state / "server/crl/issuing/full.crl").read_bytes() == fetch(full)
    with DIRECT.open(urllib.request.Request(full, method="HEAD"), timeout=10) as head:
        assert (int(head.headers["content-length"]), head.read()) == (len(fetch(full)), b"")


def test_a_delta_speaks_of_what_came_after_its_base():
    """2.4: openssl with deltas; the schedule makes one by itself, within its short life."""
    with authority(LONG + "  crl: {delta_lifetime: 2s}\n") as running:
        readers = Readers(running)
        leaf = issued(running)[0]
        readers.look(leaf)
        root_list = f"{readers.issuer_url.partition('/ca/')[0]}/crl/root/full.crl"
        revoke(running, leaf)
        deadline = time.monotonic() + 15
        while not any(True for _ in x509.load_der_x509_crl(fetch(readers.delta))) and time.monotonic() < deadline:
            time.sleep(0.2)
        flags = ("-crl_check", "-extended_crl", "-use_deltas")
        assert "certificate revoked" in readers.verify(readers.shard, readers.delta, root_list, flags=flags)
        assert "leaf.pem: OK" in readers.verify(readers.shard, root_list, flags=("-crl_check",))


def test_status_survives_a_restart_and_list_numbers_only_grow(running):
    leaf, _ = issued(running, 2)
    revoke(running, leaf)
    before = {(each["issuer"], each["name"]): each["number"] for each in running.json("ca", "crl", "list")["crls"]}
    running.server.stop()
    running.start()
    wait_for(lambda: running.run("ca", "crl", "build").returncode == ExitCode.OK, 20, "the server, again")
    after = {(each["issuer"], each["name"]): each["number"] for each in running.json("ca", "crl", "list")["crls"]}
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in before if name[1] != "mesh")
    readers = Readers(running)
    readers.look(issued(running)[0])
    readers.leaf_file.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    assert "leaf.pem: revoked" in readers.openssl_ocsp()


def test_a_revoked_identity_is_handed_to_the_hosts_within_a_second():
    """2.4 local: the mesh issuer's list is pushed with the bundle; the published lists wait for their schedule."""
    with authority("services: {web: {}}\n") as running:
        ticket = running.run("agent", "ticket").stdout.strip()
        joined = run("join", "--ticket", ticket, "--state", "host", cwd=running.folder)
        assert joined.returncode == 0, joined.stderr
        wait_for(lambda: bundle(running), 10, "the bundle of the host")
        (agent,) = running.json("cert", "list", "--profile", "agent")["certificates"]
        assert [serials(each) for each in bundle(running).crls] == [set()]
        published = {each["name"]: each["number"] for each in running.json("ca", "crl", "list")["crls"]}
        revoked = time.monotonic()
        assert running.run("cert", "revoke", agent["serial"]).returncode == 0
        wait_for(lambda: serials(bundle(running).crls[0]), 5, "the list in the bundle")
        assert time.monotonic() - revoked < 2  # with the start of the command
        assert serials(bundle(running).crls[0]) == {int(agent["serial"], 16)}
        after = {each["name"]: each["number"] for each in running.json("ca", "crl", "list")["crls"]}
        assert {name for name in after if after[name] != published[name]} == {"mesh"}


def serials(crl: bytes) -> set[int]:
    return {each.serial_number for each in x509.load_der_x509_crl(crl)}


def bundle(running: Authority) -> Bundle | None:
    """What the only host was sent last."""
    with sqlite3.connect(running.state / "server" / "handsel.db") as database:
        found = database.execute("SELECT body FROM publications WHERE kind = 'bundle'").fetchall()
    return Bundle.decode(found[0][0]) if found else None
