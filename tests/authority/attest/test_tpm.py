"""A quote of a TPM as evidence: swtpm and tpm2-tools, the same commands that a host has."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given

from handsel.agent.adapters.tpm import quoting
from handsel.authority import ca
from handsel.authority.attest import tpm
from handsel.errors import Refused, UsageError
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from tests.authority.attest.world import in_file, rule
from tests.support import TRUST_DOMAIN, mutations

TOOLS = ("swtpm", "tpm2_startup", "tpm2_createek", "tpm2_createak", "tpm2_readpublic", "tpm2_quote")


@dataclass(frozen=True)
class Machine:
    """A machine with a TPM of its own, and the CA that has looked at its attestation key."""

    folder: Path
    socket: Path
    root_key: PrivateKey
    root: Certificate

    def tool(self, *arguments: str) -> str:
        done = subprocess.run(arguments, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout

    def certify(self, name: str, public_pem: bytes, usage: x509.ObjectIdentifier = tpm.ATTESTATION_KEY) -> bytes:
        """What the CA says of an attestation key."""
        now = datetime.now(UTC)
        public_key = load_pem_public_key(public_pem)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.root.parsed.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.parsed.public_key()), critical=False
            )
            .sign(self.root_key.handle, self.root_key.digest)
        )
        return Certificate.of(made).pem


@pytest.fixture
def machine(tmp_path, short_folder, monkeypatch) -> Iterator[Machine]:
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    state, socket = tmp_path / "tpm", short_folder / "tpm"
    state.mkdir()
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear",
         "--server", f"type=unixio,path={socket}", "--ctrl", f"type=unixio,path={socket}.ctrl"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        monkeypatch.setenv("TPM2TOOLS_TCTI", f"swtpm:path={socket}")
        root_key = PrivateKey.generate()
        root = ca.make_root(TRUST_DOMAIN, root_key, serial=1 << 120, now=datetime.now(UTC))
        yield Machine(tmp_path, socket, root_key, root)
    finally:
        process.kill()
        process.wait()


def attestation_key(machine: Machine, kind: str, name: str = "ak") -> bytes:
    algorithm = {"ecc": ("ecc", "ecdsa"), "rsa": ("rsa", "rsassa")}[kind]
    machine.tool("tpm2_createek", "-Q", "-c", f"{name}.ek", "-G", "rsa", "-u", f"{name}.ek.pub")
    machine.tool(
        "tpm2_createak", "-Q", "-C", f"{name}.ek", "-c", f"{name}.ctx", "-G", algorithm[0], "-g", "sha256",
        "-s", algorithm[1], "-u", f"{name}.pub", "-f", "pem", "-n", f"{name}.name",
    )  # fmt: skip
    machine.tool("tpm2_flushcontext", "-t")
    return (machine.folder / f"{name}.pub").read_bytes()


@pytest.mark.parametrize("kind", ["ecc", "rsa"])
async def test_a_machine_joins_by_a_quote_over_the_challenge(machine, doors_with, kind):
    """Section 3: TPM evidence must be testable with a software TPM."""
    public_pem = attestation_key(machine, kind)
    chain = machine.certify("rack-7", public_pem)
    doors = doors_with(
        rule("tpm", roots=in_file(machine.folder, "root.pem", machine.root.pem),
             when={"common_name": ("rack-*",), "registers": ("sha256:0,7",)})
    )  # fmt: skip
    prove = quoting(chain, str(machine.folder / "ak.ctx"), "sha256:0,7")
    joined = await doors.join(doors.way("tpm", prove))
    assert (await doors.directory.host(joined.answer.agent_id)).services == ("web",)

    kept = joined.sent.request.evidence
    with pytest.raises(Refused, match="for another challenge"):
        await doors.join(doors.way("tpm", lambda _: kept))
    other = quoting(chain, str(machine.folder / "ak.ctx"), "sha256:1")
    with pytest.raises(Refused, match="registers 'sha256:1' does not fit"):
        await doors.join(doors.way("tpm", other))
    damaged = replace(kept, quote=kept.quote[:-1] + bytes([kept.quote[-1] ^ 1]))
    with pytest.raises(Refused, match="not signed by the attestation key"):
        await doors.join(doors.way("tpm", lambda _: damaged))


async def test_a_key_in_software_below_the_same_ca_cannot_say_what_a_tpm_says(machine, doors_with):
    public_pem = attestation_key(machine, "ecc")
    doors = doors_with(rule("tpm", roots=in_file(machine.folder, "root.pem", machine.root.pem)))
    context = str(machine.folder / "ak.ctx")
    plain = machine.certify("rack-7", public_pem, ExtendedKeyUsageOID.CLIENT_AUTH)
    with pytest.raises(Refused, match="not for an attestation key"):
        await doors.join(doors.way("tpm", quoting(plain, context, "sha256:0")))
    assert await doors.join(doors.way("tpm", quoting(machine.certify("rack-7", public_pem), context, "sha256:0")))


def test_a_tpm_that_gives_no_quote_is_a_mistake_with_a_line(machine):
    chain = machine.certify("rack-7", attestation_key(machine, "ecc"))
    from tests.link.test_ticket import TRANSCRIPT

    with pytest.raises(UsageError, match="the TPM gave no quote"):
        quoting(chain, str(machine.folder / "nothing.ctx"), "sha256:0")(TRANSCRIPT)
    with pytest.raises(UsageError, match="cannot be read"):
        quoting(b"no certificate", "0x81010002", "sha256:0")


QUOTE = (
    b"\xffTCG\x80\x18" + b"\x00\x02kn" + b"\x00\x04once" + b"\0" * 25
    + b"\0\0\0\1" + b"\x00\x0b\x03\x81\x00\x00" + b"\x00\x04\1\2\3\4"
)  # fmt: skip


def test_a_quote_is_read():
    quote = tpm.parse_quote(QUOTE)
    assert (quote.nonce, quote.registers, quote.digest) == (b"once", "sha256:0,7", b"\1\2\3\4")


@given(mutations(QUOTE))
def test_a_damaged_quote_is_refused_or_is_another_one(content):
    try:
        quote = tpm.parse_quote(content)
    except Refused:
        return
    assert content.startswith(b"\xffTCG\x80\x18")
    assert len(quote.nonce) < 4096


def test_what_another_key_signed_as_something_else_is_no_quote():
    for magic in (b"\0TCG", b"\xffTCH"):
        with pytest.raises(Refused, match="not made by a TPM"):
            tpm.parse_quote(magic + QUOTE[4:])
    with pytest.raises(Refused, match="not a quote"):
        tpm.parse_quote(QUOTE[:4] + b"\x80\x17" + QUOTE[6:])
    with pytest.raises(Refused, match="more than"):
        tpm.parse_quote(QUOTE + b"\0")
