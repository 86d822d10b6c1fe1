"""A certificate of another CA as evidence, with certificates that OpenSSL made."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from handsel.agent import evidence
from handsel.errors import Refused
from handsel.link.joining import Evidence
from tests.authority.attest.world import BEFORE, SHOWN, in_file, rule


@dataclass(frozen=True)
class Ca:
    """A CA of somebody else's, by OpenSSL."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Ca:
        ca = cls(folder)
        ca.run(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key",
            "-out", "root.pem", "-days", "2", "-subj", "/CN=elsewhere root",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip
        return ca

    def run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    @property
    def root(self) -> str:
        return str(self.folder / "root.pem")

    def issue(self, name: str, *, extensions: str = "", days: int = 1, by: str = "root", kind: str = "ec") -> None:
        """`<name>.pem` and `<name>.key`."""
        options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else []
        self.run("genpkey", "-algorithm", kind, *options, "-out", f"{name}.key")
        self.run("req", "-new", "-key", f"{name}.key", "-subj", f"/O=elsewhere/CN={name}", "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text(
            f"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{extensions}\n"
        )
        self.run(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-days", str(days),
            "-extfile", f"{name}.ext", "-out", f"{name}.pem",
        )  # fmt: skip

    def prove(self, name: str, *, key: str = "", above: str = "") -> evidence.Prove:
        chain = (self.folder / f"{name}.pem").read_bytes()
        if above:
            chain += (self.folder / f"{above}.pem").read_bytes()
        return evidence.possession(chain, (self.folder / f"{key or name}.key").read_bytes())


@pytest.fixture
def ca(tmp_path) -> Ca:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return Ca.make(tmp_path)


CLIENT = "extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature"


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
async def test_the_holder_of_a_certificate_joins(ca, doors_with, kind):
    ca.issue("a.example", extensions=CLIENT, kind=kind)
    doors = doors_with(rule("x509pop", roots=ca.root, when={"common_name": ("*.example",)}))
    joined = await doors.join(doors.way("x509pop", ca.prove("a.example")))
    host = await doors.directory.host(joined.answer.agent_id)
    assert host.services == ("web",)
    journal = "\n".join(entry for _, entry, _ in await doors.store.journal_lines())
    assert '"admitted":"x509pop, the rule"' in journal
    assert '"subject":"a.example"' in journal


async def test_a_chain_with_a_ca_between_is_followed(ca, doors_with):
    ca.issue("between", extensions="basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign")
    ca.issue("b.example", extensions=CLIENT, by="between")
    doors = doors_with(rule("x509pop", roots=ca.root))
    with pytest.raises(Refused, match="does not lead to a root"):
        await doors.join(doors.way("x509pop", ca.prove("b.example")))
    assert await doors.join(doors.way("x509pop", ca.prove("b.example", above="between")))


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ("extendedKeyUsage=serverAuth", "not for clients"),
        ("keyUsage=critical,keyEncipherment", "not for signatures"),
        ("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", "root of the rule|a CA's"),
        ("1.2.3.4=critical,DER:0500", "root of the rule|critical extension"),
    ],
)
async def test_a_certificate_for_something_else_is_refused(ca, doors_with, extensions, reason):
    ca.issue("good.example", extensions=CLIENT)
    ca.issue("other.example", extensions=extensions)
    doors = doors_with(rule("x509pop", roots=ca.root))
    with pytest.raises(Refused, match=reason):
        await doors.join(doors.way("x509pop", ca.prove("other.example")))
    assert await doors.join(doors.way("x509pop", ca.prove("good.example")))


async def test_without_the_key_the_certificate_is_worth_nothing(ca, doors_with):
    for name in ("a.example", "b.example"):
        ca.issue(name, extensions=CLIENT)
    doors = doors_with(rule("x509pop", roots=ca.root))
    with pytest.raises(Refused, match="not signed by the certificate's key"):
        await doors.join(doors.way("x509pop", ca.prove("a.example", key="b.example")))
    assert await doors.join(doors.way("x509pop", ca.prove("a.example")))


async def test_a_signature_for_one_join_is_good_for_no_other(ca, doors_with):
    """What is copied from one join, or was relayed through another endpoint, is worthless."""
    ca.issue("a.example", extensions=CLIENT)
    doors = doors_with(rule("x509pop", roots=ca.root))
    way = doors.way("x509pop", ca.prove("a.example"))
    kept = (await doors.join(way)).sent.request.evidence
    with pytest.raises(Refused, match="not signed by the certificate's key"):
        await doors.join(doors.way("x509pop", lambda _: kept))
    relayed = doors.way("x509pop", lambda seen: way.prove(replace(seen, server_certificate_sha256=BEFORE)))
    with pytest.raises(Refused, match="not signed by the certificate's key"):
        await doors.join(relayed, seen=SHOWN)
    assert await doors.join(way)


async def test_a_certificate_of_another_ca_is_refused(ca, doors_with, tmp_path, living_authority):
    ca.issue("a.example", extensions=CLIENT)
    other = in_file(tmp_path, "other.pem", living_authority.issuer.root.pem)
    doors = doors_with(rule("x509pop", roots=other))
    with pytest.raises(Refused, match="does not lead to a root"):
        await doors.join(doors.way("x509pop", ca.prove("a.example")))


@pytest.mark.parametrize("chain", [(), (b"nonsense",), (b"",) * 9])
async def test_what_is_no_chain_is_refused(ca, doors_with, chain):
    doors = doors_with(rule("x509pop", roots=ca.root))
    with pytest.raises(Refused):
        await doors.join(doors.way("x509pop", lambda _: Evidence(chain, b"signature")))


async def test_a_rule_whose_roots_cannot_be_read_lets_nobody_in(ca, doors_with):
    ca.issue("a.example", extensions=CLIENT)
    way_of = lambda doors: doors.way("x509pop", ca.prove("a.example"))  # noqa: E731
    broken = doors_with(rule("x509pop", roots=ca.root + ".not-there"))
    with pytest.raises(Refused, match="cannot be read: the server's log"):
        await broken.join(way_of(broken))
