"""The certificates of a store joined into chains, for formats that keep them in a heap (RFC 5280, section 6.1)."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from handsel.pki.certificate import Certificate
from handsel.pki.keys import public_der
from handsel.pki.keystore.model import StoredCertificate, StoredKey

_LONGEST, _CANDIDATES = 32, 8


class Heap:
    """Certificates, found by their names and by their keys. They are read when that is asked for, not before."""

    def __init__(self, certificates: Iterable[StoredCertificate]) -> None:
        self._all = list({each.der: each for each in certificates}.values())
        self._by_subject: dict[bytes, list[StoredCertificate]] | None = None
        self._by_key: dict[bytes, StoredCertificate] | None = None

    def of_key(self, key: StoredKey) -> StoredCertificate | None:
        """The first certificate for this key."""
        if self._by_key is None:
            self._by_key = {}
            for each in self._all:
                if each.certificate:
                    self._by_key.setdefault(each.certificate.public_key_der, each)
        return self._by_key.get(public_der(key.handle.public_key())) if key.handle else None

    def chain(self, leaf: StoredCertificate) -> tuple[StoredCertificate, ...]:
        """The leaf and what is above it, as far as it is there."""
        if len(self._all) < 2:
            return (leaf,)
        chain = [leaf]
        while len(chain) < _LONGEST and (above := self._above(chain[-1], chain)):
            chain.append(above)
        return tuple(chain)

    def _above(self, below: StoredCertificate, chain: list[StoredCertificate]) -> StoredCertificate | None:
        """The issuer: by its name, then by its key identifier; when several are left, the one that did sign."""
        certificate = below.certificate
        if certificate is None or certificate.parsed.issuer == certificate.parsed.subject:
            return None
        named = self._subjects().get(certificate.parsed.issuer.public_bytes(), [])[:_CANDIDATES]
        fitting = [each for each in named if each not in chain and _key_fits(certificate, each.certificate)]
        if len(fitting) > 1:
            return next((each for each in fitting if issued(certificate, each.certificate)), fitting[0])
        return fitting[0] if fitting else None

    def _subjects(self) -> dict[bytes, list[StoredCertificate]]:
        if self._by_subject is None:
            self._by_subject = {}
            for each in self._all:
                if each.certificate:
                    self._by_subject.setdefault(each.certificate.parsed.subject.public_bytes(), []).append(each)
        return self._by_subject


def issued(below: Certificate, above: Certificate | None) -> bool:
    """Whether it is signed by the other one's key."""
    try:
        if above is not None:
            below.parsed.verify_directly_issued_by(above.parsed)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return above is not None


def _key_fits(below: Certificate, above: Certificate | None) -> bool:
    """RFC 5280, section 4.2.1.1; also when one of them does not tell."""
    if above is None:
        return False
    return None in (below.authority_key_id, above.key_id) or below.authority_key_id == above.key_id
