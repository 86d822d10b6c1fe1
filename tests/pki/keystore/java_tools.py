"""Java's own view of key stores, through keytool and a small program; and keys with chains to put into them."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from handsel.pki.keystore.java import EPOCH
from handsel.pki.keystore.model import Entry, KeyEntry, SecretEntry, StoredCertificate, StoredKey, TrustedEntry
from handsel.pki.secret import Secret

NOW = datetime(2030, 1, 1, 12, 30, 15, 250_000, tzinfo=UTC)
_KEYS = {
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
    "DSA": lambda: dsa.generate_private_key(1024),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
ALGORITHMS = tuple(_KEYS)


@functools.cache
def key_and_chain(algorithm: str, length: int = 3) -> tuple[StoredKey, tuple[StoredCertificate, ...]]:
    """A key of this kind, made once, with a chain that begins with its certificate; the others have keys on P-256."""
    keys: list[CertificateIssuerPrivateKeyTypes] = [
        _KEYS[algorithm](),
        *(ec.generate_private_key(ec.SECP256R1()) for _ in range(length - 1)),
    ]
    chain = []
    for number, key in enumerate(keys):
        above = min(number + 1, length - 1)
        chain.append(_certificate(key, f"{algorithm} {number}", keys[above], f"{algorithm} {above}", above > 0))
    pkcs8 = keys[0].private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return StoredKey(Secret(pkcs8)), tuple(StoredCertificate(each) for each in chain)


def _certificate(key, subject: str, issuing_key, issuer: str, is_ca: bool) -> bytes:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (subject, issuer)]
    builder = x509.CertificateBuilder(*reversed(names), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=9000)).not_valid_after(NOW + timedelta(days=9000))
    builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    digest = None if isinstance(issuing_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuing_key, digest).public_bytes(serialization.Encoding.DER)


def key_entry(alias: str, algorithm: str = "EC", length: int = 3, created: datetime | None = NOW) -> KeyEntry:
    key, chain = key_and_chain(algorithm, length)
    return KeyEntry(alias, key, chain, created)


def trusted_entry(alias: str, algorithm: str = "EC", created: datetime | None = NOW) -> TrustedEntry:
    return TrustedEntry(alias, key_and_chain(algorithm)[1][-1], created)


def pem_of(chain: tuple[StoredCertificate, ...]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each.der).public_bytes(serialization.Encoding.PEM) for each in chain)


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def keytool(*arguments: object, said: bytes = b"") -> str:
    """What it says, in English, to what is `said` to it; it must succeed."""
    command = [tool("keytool"), "-J-Duser.language=en", "-J-Xshare:auto", *(str(each) for each in arguments)]
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, input=said, capture_output=True, env=environment, timeout=100, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout.decode()


@functools.cache
def _program() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="hs-")
    source = Path(__file__).with_name("JavaStores.java")
    subprocess.run([tool("javac"), "-d", folder.name, str(source)], capture_output=True, check=True, timeout=100)
    return folder


def java(verb: str, *arguments: object) -> str:
    """What `JavaStores` says."""
    command = [tool("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", _program().name, "JavaStores", verb]
    done = subprocess.run([*command, *(str(each) for each in arguments)], capture_output=True, timeout=100, check=False)
    if done.returncode:
        raise JavaSaysNo(done.stderr.decode(errors="replace"))
    return done.stdout.decode()


class JavaSaysNo(Exception):
    """It threw; the text is its trace."""


def hexed(text: str) -> str:
    return text.encode().hex()


def dump(kind: str, file: Path, password: str | None, by_alias: dict[str, str] | None = None) -> set[tuple[str, ...]]:
    """What Java finds in a store, as `described` says it."""
    pairs = [hexed(each) for pair in (by_alias or {}).items() for each in pair]
    said = java("dump", kind, file, "-" if password is None else hexed(password), *pairs)
    return {tuple(line.split("\t")) for line in said.splitlines()}


def described(entry: Entry) -> tuple[str, ...]:
    """An entry as `JavaStores dump` says it."""
    assert entry.created
    since = str((entry.created - EPOCH) // timedelta(milliseconds=1))
    alias = hexed(entry.alias)
    match entry:
        case TrustedEntry():
            return (alias, "trusted", since, "", "", entry.certificate.fingerprint)
        case KeyEntry():
            assert entry.key, entry.locked
            chain = (each.fingerprint for each in entry.chain)
            return (alias, "key", since, _algorithm(entry), entry.key.pkcs8.reveal().hex(), *chain)
        case SecretEntry():
            assert entry.key, entry.locked
            return (alias, "secret", since, entry.algorithm, entry.key.reveal().hex())


def _algorithm(entry: KeyEntry) -> str:
    """As Java calls it."""
    assert entry.key
    names = {rsa.RSAPrivateKey: "RSA", ec.EllipticCurvePrivateKey: "EC", dsa.DSAPrivateKey: "DSA"}
    return next((name for kind, name in names.items() if isinstance(entry.key.handle, kind)), "EdDSA")
