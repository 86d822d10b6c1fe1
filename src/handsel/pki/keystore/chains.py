"""The certificates of a store joined into chains, for formats that keep them in a heap (RFC 5280, section 6.1).

What joins them is looked for in their bytes: reading each whole would cost more than all the rest of a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from handsel.pki import der
from handsel.pki.keys import public_der
from handsel.pki.keystore.model import StoredCertificate, StoredKey

_LONGEST, _CANDIDATES = 32, 8
_EXTENSIONS = der.CONTEXT | 3
_OCTETS = bytes([der.OCTET_STRING])
_KEY_ID, _ISSUER_KEY_ID = der.oid("2.5.29.14"), der.oid("2.5.29.35")


class _Marks(NamedTuple):
    """What a certificate says of itself and its issuer, as it is encoded."""

    subject: bytes
    issuer: bytes
    extensions: bytes

    @property
    def key_id(self) -> bytes | None:
        """RFC 5280, section 4.2.1.2; None where it is silent, or not to be understood."""
        return self._find(_KEY_ID, lambda value: value.read(der.OCTET_STRING))

    @property
    def issuer_key_id(self) -> bytes | None:
        """RFC 5280, section 4.2.1.1; None as above, or where the issuer is named in another way."""
        return self._find(_ISSUER_KEY_ID, lambda value: value.inside(der.SEQUENCE).read(der.CONTEXT_PRIMITIVE))

    def _find(self, name: bytes, read: Callable[[der.Reader], bytes]) -> bytes | None:
        """From the value of an extension that is not critical, which these two never are."""
        at = self.extensions.find(name + _OCTETS)
        try:
            return read(der.Reader(self.extensions, at + len(name)).inside(der.OCTET_STRING)) if at >= 0 else None
        except ValueError:
            return None


class Heap:
    """Certificates, found by their keys and as issuers of one another."""

    def __init__(self, certificates: Iterable[StoredCertificate]) -> None:
        self._all = {each.der: each for each in certificates}

    def of_key(self, key: StoredKey) -> StoredCertificate | None:
        """The first certificate for this key."""
        return self._by_key.get(public_der(key.handle.public_key())) if key.handle else None

    def chain(self, leaf: StoredCertificate) -> tuple[StoredCertificate, ...]:
        """The leaf and what is above it, as far as it is there."""
        chain = [leaf]
        while len(chain) < _LONGEST and len(self._all) > 1 and (above := self._above(chain[-1], chain)):
            chain.append(above)
        return tuple(chain)

    def _above(self, below: StoredCertificate, chain: list[StoredCertificate]) -> StoredCertificate | None:
        """The issuer: by its name, then by its key identifier; when several are left, the one that did sign."""
        marks = self._marks.get(below.der)
        if marks is None or marks.issuer == marks.subject:
            return None
        named, told = self._by_subject.get(marks.issuer, {}), marks.issuer_key_id
        # it decides where both tell it (RFC 5280, section 4.2.1.1)
        same = [each for some in named.values() for each in some] if told is None else named.get(told, [])
        silent = named.get(None, []) if told is not None else []
        fitting = [each for each in (*same[:_CANDIDATES], *silent[:_CANDIDATES]) if each not in chain]
        if len(fitting) > 1:
            return next((each for each in fitting if _issued(below, each)), fitting[0])
        return fitting[0] if fitting else None

    @cached_property
    def _by_key(self) -> dict[bytes, StoredCertificate]:
        found: dict[bytes, StoredCertificate] = {}
        for each in self._all.values():
            if each.certificate:
                found.setdefault(each.certificate.public_key_der, each)
        return found

    @cached_property
    def _marks(self) -> dict[bytes, _Marks]:
        return {data: marks for data in self._all if (marks := _marks(data))}

    @cached_property
    def _by_subject(self) -> dict[bytes, dict[bytes | None, list[StoredCertificate]]]:
        """By name, then by key identifier."""
        found: dict[bytes, dict[bytes | None, list[StoredCertificate]]] = {}
        for data, marks in self._marks.items():
            found.setdefault(marks.subject, {}).setdefault(marks.key_id, []).append(self._all[data])
        return found


def _marks(data: bytes) -> _Marks | None:
    """RFC 5280, section 4.1. None for what is no certificate."""
    try:
        inside = der.Reader(data).inside(der.SEQUENCE).inside(der.SEQUENCE)
        if inside.next_tag == der.CONTEXT:
            inside.skip(der.CONTEXT)  # the version
        inside.skip(der.INTEGER, der.SEQUENCE)  # the serial number, the algorithm of the signature
        issuer = inside.read(der.SEQUENCE)
        inside.skip(der.SEQUENCE)  # the validity
        subject = inside.read(der.SEQUENCE)
        inside.skip(der.SEQUENCE)  # the key
        return _Marks(subject, issuer, inside.read(_EXTENSIONS) if inside.next_tag == _EXTENSIONS else b"")
    except ValueError:
        return None


def _issued(below: StoredCertificate, above: StoredCertificate) -> bool:
    """Whether it is signed by the other one's key."""
    if below.certificate is None or above.certificate is None:
        return False
    try:
        below.certificate.parsed.verify_directly_issued_by(above.certificate.parsed)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
