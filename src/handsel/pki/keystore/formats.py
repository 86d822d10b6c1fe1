"""Which format a store has, and its reader."""

from __future__ import annotations

from collections.abc import Callable

from handsel.errors import StoreRefused, StoreUnreadable
from handsel.pki import der
from handsel.pki.keystore import bcfks, jceks, jks, pem, pkcs12
from handsel.pki.keystore.model import LARGEST, Passwords, Store, StoreKind

_READERS: dict[StoreKind, Callable[[bytes, Passwords], Store]] = {
    StoreKind.JKS: jks.read,
    StoreKind.JCEKS: jceks.read,
    StoreKind.PKCS12: pkcs12.read,
    StoreKind.BCFKS: bcfks.read,
    StoreKind.PEM: pem.read,
}


def detect(content: bytes) -> StoreKind:
    """The format, by the first bytes. Raises `StoreUnreadable` for what is no store.

    One certificate or key in DER counts as PEM without its dress.
    """
    if content[:4] == b"\xfe\xed\xfe\xed":
        return StoreKind.JKS
    if content[:4] == b"\xce\xce\xce\xce":
        return StoreKind.JCEKS
    if b"-----BEGIN " in content:
        return StoreKind.PEM
    if content[:1] == b"\x30":
        return _detect_der(content)
    raise StoreUnreadable(
        "it is no key store that is known here" if content else "it is empty",
        next_step="JKS, JCEKS, PKCS12, BCFKS and PEM are read",
    )


def _detect_der(content: bytes) -> StoreKind:
    """What begins with a SEQUENCE: PFX has its version first, BCFKS a SEQUENCE of a store and its check."""
    start = 2 + (content[1] & 0x7F if content[1:2] > b"\x80" else 0)
    if content[start : start + 3] == b"\x02\x01\x03":  # also of one that is cut off, or of indefinite length
        return StoreKind.PKCS12
    try:
        first = der.Reader(content).inside(der.SEQUENCE).inside(der.SEQUENCE)
        return StoreKind.BCFKS if bcfks.begins_like_one(first) else StoreKind.PEM
    except ValueError:
        return StoreKind.PEM


def read(content: bytes, passwords: Passwords = Passwords()) -> Store:  # noqa: B008  # it is frozen
    """A store of any format.

    Raises `StoreUnreadable`, `StorePasswordWrong` (also when one is needed and none was given), `StoreRefused` for one
    that is too large or asks for too much.
    """
    if len(content) > LARGEST:
        raise StoreRefused(f"it is larger than {LARGEST >> 20} MiB")
    return _READERS[detect(content)](content, passwords)
