"""PKCS12 files that OpenSSL, keytool and NSS write, and parts of files that none of them would."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from handsel.pki import der, pem_blocks
from handsel.pki.keystore import Entry, KeyEntry, Passwords, Store, TrustedEntry, read
from handsel.pki.keystore import pkcs12_bags as form
from handsel.pki.secret import Secret
from tests.pki.keystore.java_tools import key_and_chain, pem_of, tool

CHANGEIT = Passwords(Secret(b"changeit"))
LEGACY = ("-provider", "legacy", "-provider", "default")


def with_password(password: str, **by_alias: str) -> Passwords:
    return Passwords(Secret(password.encode()), by_alias={a: Secret(each.encode()) for a, each in by_alias.items()})


def openssl(*arguments: object, given: bytes = b"") -> bytes:
    """What it writes; it must succeed."""
    command = [tool("openssl"), *(str(each) for each in arguments)]
    done = subprocess.run(command, capture_output=True, input=given, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def key_pem(algorithm: str = "EC") -> bytes:
    return pem_blocks.written("PRIVATE KEY", key_and_chain(algorithm)[0].pkcs8.reveal())


def exported(
    folder: Path, *options: str, algorithm: str = "EC", password: str = "changeit", name: str = "web"
) -> bytes:
    """A key with its chain, as `openssl pkcs12 -export` writes it."""
    (folder / "key").write_bytes(key_pem(algorithm))
    (folder / "chain").write_bytes(pem_of(key_and_chain(algorithm)[1]))
    named = ["-name", name] if name else []
    return openssl("pkcs12", "-export", "-inkey", folder / "key", "-in", folder / "chain", "-passout", f"pass:{password}",
                   *named, *options)  # fmt: skip


def content_of(entry: Entry) -> tuple[object, ...]:
    """All that a format can keep of an entry, dates aside, its alias as Java compares it."""
    match entry:
        case KeyEntry():
            assert entry.key, entry.locked
            assert entry.key.handle
            # the same key may be encoded with its public half or without
            plain = entry.key.handle.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            return ("key", entry.alias.lower(), plain, *(each.der for each in entry.chain))
        case TrustedEntry():
            return ("trusted", entry.alias.lower(), entry.certificate.der)
    assert entry.key, entry.locked
    return ("secret", entry.alias.lower(), entry.algorithm, entry.key.reveal())


def contents(store: Store) -> set[tuple[object, ...]]:
    return {content_of(each) for each in store.entries}


def opened(content: bytes, password: str | None = "changeit") -> Store:
    return read(content, Passwords() if password is None else with_password(password))


# Files by hand


def octets(content: bytes) -> bytes:
    return der.element(der.OCTET_STRING, content)


def data_part(content: bytes) -> bytes:
    return der.sequence(der.oid(form.DATA), der.element(der.CONTEXT, octets(content)))


def file_of(*parts: bytes, version: int = 3, mac: bytes = b"") -> bytes:
    return der.sequence(der.integer(version), data_part(der.sequence(*parts)), mac)


def bag(kind: str, value: bytes, *attributes: bytes) -> bytes:
    marks = (der.element(der.SET, *attributes),) if attributes else ()
    return der.sequence(der.oid(kind), der.element(der.CONTEXT, value), *marks)


def certificate_bag(certificate: bytes, *attributes: bytes) -> bytes:
    value = der.sequence(der.oid(form.X509), der.element(der.CONTEXT, octets(certificate)))
    return bag(form.CERTIFICATE_BAG, value, *attributes)


def named(alias: str) -> bytes:
    text = der.element(der.BMP_STRING, alias.encode("utf-16-be"))
    return der.sequence(der.oid(form.FRIENDLY_NAME), der.element(der.SET, text))


def key_id(value: bytes) -> bytes:
    return der.sequence(der.oid(form.LOCAL_KEY_ID), der.element(der.SET, octets(value)))


def mac_of(rounds: int) -> bytes:
    """A check that asks for so many rounds, and is wrong."""
    digest = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.element(der.NULL))
    return der.sequence(der.sequence(digest, octets(bytes(32))), octets(b"saltsalt"), der.integer(rounds))


def pbes2(rounds: int, salt: bytes = b"saltsalt") -> bytes:
    """PBES2 with AES-256 that asks for so many rounds."""
    hmac = der.sequence(der.oid("1.2.840.113549.2.9"), der.element(der.NULL))
    derived = der.sequence(der.oid("1.2.840.113549.1.5.12"), der.sequence(octets(salt), der.integer(rounds), hmac))
    cipher = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), octets(bytes(16)))
    return der.sequence(der.oid("1.2.840.113549.1.5.13"), der.sequence(derived, cipher))


def encrypted_part(scheme: bytes, hidden: bytes = bytes(32)) -> bytes:
    info = der.sequence(der.oid(form.DATA), scheme, der.element(der.CONTEXT_PRIMITIVE, hidden))
    data = der.sequence(der.integer(0), info)
    return der.sequence(der.oid(form.ENCRYPTED), der.element(der.CONTEXT, data))


def in_ber(data: bytes, piece: int = 5) -> bytes:
    """Elements in DER as BER may have them: the ends of what has parts are marked, octet strings come in pieces."""
    made, reader = b"", der.Reader(data)
    while (tag := reader.next_tag) is not None:
        inside = reader.read(tag)
        if tag == der.OCTET_STRING:
            pieces = (octets(inside[at : at + piece]) for at in range(0, len(inside), piece))
            made += b"\x24\x80" + b"".join(pieces) + b"\0\0"
        elif tag & 0x20:
            made += bytes([tag, 0x80]) + in_ber(inside, piece) + b"\0\0"
        else:
            made += der.element(tag, inside)
    return made
