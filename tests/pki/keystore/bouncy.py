"""BCFKS stores that tests make, and BouncyCastle in keytool to say whether they are ones."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handsel.pki import der

JAR = Path("/usr/share/java/bcprov.jar")
NULL = der.element(der.NULL)
HMAC_SHA512 = der.sequence(der.oid("1.2.840.113549.2.11"), NULL)
WHEN = datetime(2030, 1, 1, tzinfo=UTC)


def keytool(store: Path, *arguments: str, password: str = "secret", accept: bool = True) -> str:
    """What keytool with BouncyCastle says of a store of BCFKS."""
    found = shutil.which("keytool")
    if found is None:
        pytest.skip("needs keytool")
    if not JAR.exists():
        pytest.skip("needs libbcprov-java")
    command = [
        found, *arguments, "-keystore", str(store), "-storetype", "BCFKS", "-storepass", password, "-providerpath", str(JAR),
        "-providerclass", "org.bouncycastle.jce.provider.BouncyCastleProvider",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, input="\n")
    assert (done.returncode == 0) is accept, done.stdout + done.stderr
    return done.stdout


def octets(content: bytes) -> bytes:
    return der.element(der.OCTET_STRING, content)


def text(password: str) -> bytes:
    """A password or a purpose, as keys are derived from it."""
    return f"{password}\0".encode("utf-16-be") if password else b""


def pbkdf2(salt: bytes, rounds: int, length: int) -> bytes:
    """How a key is derived, as the file says it."""
    given = der.sequence(octets(salt), der.integer(rounds), der.integer(length), HMAC_SHA512)
    return der.sequence(der.oid("1.2.840.113549.1.5.12"), given)


def entry(kind: int, alias: str, data: bytes) -> bytes:
    moment = der.generalized_time(WHEN)
    return der.sequence(der.integer(kind), der.element(der.UTF8_STRING, alias.encode()), moment, moment, octets(data))


def data_of(*entries: bytes) -> bytes:
    """The data of a store."""
    moment = der.generalized_time(WHEN)
    return der.sequence(der.integer(1), HMAC_SHA512, moment, moment, der.sequence(*entries))


def checked(data: bytes, password: str = "secret", rounds: int = 1024) -> bytes:
    """A whole store of data that is plain or encrypted already: the check goes behind it."""
    salt = b"s" * 64
    key = hashlib.pbkdf2_hmac("sha512", text(password) + text("INTEGRITY_CHECK"), salt, rounds, 64)
    check = der.sequence(HMAC_SHA512, pbkdf2(salt, rounds, 64), octets(hmac.digest(key, data, "sha512")))
    return der.sequence(data, check)
