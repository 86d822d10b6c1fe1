"""OCSP and CRLs of a running server, looked at by other people's programs. pki.md, sections 2.4 and 2.5."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.authority import ca, service
from handsel.authority.adapters.signers import KeyFolder
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Approval
from handsel.authority.status_places import StatusPlaces
from handsel.errors import ExitCode
from handsel.model.authority import Profile
from handsel.pki.certificate import to_pem
from handsel.pki.names import Names, TrustDomain
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.e2e.authority_process import Authority, authority

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

    def openssl_ocsp(self, *more: str) -> str:
        return self.run(
            "openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-url", self.ocsp, "-CAfile", "roots.pem",
            *more,
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


def issue_beside(running: Authority, places: StatusPlaces, count: int = 1) -> list[x509.Certificate]:
    """Certificates of the server's own CA, put into its directory while it is down."""
    import asyncio
    from datetime import UTC, datetime, timedelta

    from handsel.authority.model import Domain, Issuers
    from handsel.authority.profile import Profiles

    trust_domain = TrustDomain("mesh.internal")
    folder = running.state / "server"
    issuer, _ = KeyFolder(folder / "authority").open(trust_domain, now=datetime.now(UTC), may_make=False)
    profile = Profile("web", timedelta(days=30))
    domain = Domain(trust_domain, {}, Profiles({"web": profile}), status=places)

    async def issue() -> list[x509.Certificate]:
        store = SqliteStore(folder / "handsel.db", APPLIERS)
        try:
            approvals = [
                Approval(
                    Names(dns=("shop.internal",)), None, ec.generate_private_key(ec.SECP256R1()).public_key(), profile,
                    profile.lifetime, "test",
                )
                for _ in range(count)
            ]  # fmt: skip
            moment = datetime.now(UTC)
            intent = service.intend(approvals, domain, Issuers.only(issuer), moment)
            await store.commit(intent.writes)
            outcome = service.issue(intent, now=moment)
            await store.commit(outcome.writes)
            assert await Directory(store).issued(outcome.answer[0].certificate.serial)
            return [leaf.certificate.parsed for leaf in outcome.answer]
        finally:
            store.close()

    assert ca
    return asyncio.run(issue())


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
