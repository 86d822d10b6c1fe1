"""Certificate revocation lists (RFC 5280, section 5), written from entries that are already DER.

The entries of a large list are made once, when each certificate is revoked: a list of 100 000 is then joined, hashed
and signed, which takes some 20 ms of work instead of two seconds with the builder of `cryptography`. In a thread it
takes breaks, in which the others get on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from handsel.pki import der
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.signing import sign_parts, signature_algorithm

_VERSION_2 = der.integer(1)
_EXTENSIONS = 0xA0
_REASON = der.oid("2.5.29.21")
_STRETCH_BYTES, _BREAK_SECONDS = 1 << 16, 2e-5
"""What is done in one go: some 0.1 ms. The break lets go of the interpreter until another thread has it."""


@dataclass(frozen=True)
class ListHead:
    """What a list says besides its entries.

    `number`: grows with each list of the same scope. `base_number`: it is a delta, of what changed since that list.
    `scope_urls`: it covers only the certificates that name one of these as their distribution point. `delta_url`: where
    the delta to this list is.
    """

    number: int
    this_update: datetime
    next_update: datetime
    base_number: int | None = None
    scope_urls: tuple[str, ...] = ()
    delta_url: str | None = None


def entry(serial: int, at: datetime, reason: int) -> bytes:
    """One revoked certificate, DER. The reason `unspecified` (0) is left out (section 5.3.1)."""
    if not reason:
        return der.sequence(der.integer(serial), der.time(at))
    value = der.element(der.OCTET_STRING, der.element(der.ENUMERATED, bytes((reason,))))
    return der.sequence(der.integer(serial), der.time(at), der.sequence(der.sequence(_REASON, value)))


def make_list(head: ListHead, entries: Iterable[bytes], issuer: Certificate, key: PrivateKey) -> bytes:
    """A signed list of this issuer, DER. `entries` may come one by one, or many in a piece."""
    algorithm = signature_algorithm(key)
    pieces = list(_with_breaks(entries))
    begin = b"".join((
        _VERSION_2, algorithm, issuer.parsed.subject.public_bytes(), der.time(head.this_update),
        der.time(head.next_update),
    ))  # fmt: skip
    end = der.element(_EXTENSIONS, der.sequence(*(_extension(*each) for each in _extensions(head, issuer))))
    body = _sequence([begin, *(_sequence(pieces) if pieces else ()), end])
    signature = der.bit_string(sign_parts(key, _with_breaks(body)))
    # Joined once, and at the end: above a megabyte that lets go of the interpreter, which adding bytes does not.
    return b"".join(_sequence([*body, algorithm, signature]))


def _sequence(parts: list[bytes]) -> list[bytes]:
    """These parts as one SEQUENCE, still apart."""
    return [der.head(der.SEQUENCE, sum(map(len, parts))), *parts]


def _with_breaks(parts: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for part in parts:
        yield part
        size += len(part)
        if size > _STRETCH_BYTES:
            time.sleep(_BREAK_SECONDS)
            size = 0


def _extensions(head: ListHead, issuer: Certificate) -> Iterable[tuple[x509.ExtensionType, bool]]:
    key_id = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    yield x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), False
    yield x509.CRLNumber(head.number), False
    if head.base_number is not None:
        yield x509.DeltaCRLIndicator(head.base_number), True
    if head.scope_urls:
        yield x509.IssuingDistributionPoint(
            full_name=[x509.UniformResourceIdentifier(each) for each in head.scope_urls], relative_name=None,
            only_contains_user_certs=False, only_contains_ca_certs=False, only_some_reasons=None, indirect_crl=False,
            only_contains_attribute_certs=False,
        ), True  # fmt: skip
    if head.delta_url is not None:
        yield x509.FreshestCRL([point(head.delta_url)]), False


def scope_urls(crl: bytes) -> tuple[str, ...]:
    """The URLs of a list's scope; none when it covers everything."""
    try:
        extension = x509.load_der_x509_crl(crl).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(each.value) for each in extension.value.full_name or ())


def signer_key_id(crl: bytes) -> bytes | None:
    """The key identifier of the CA that signed a list."""
    extensions = x509.load_der_x509_crl(crl).extensions
    return extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier


def serials(crl: bytes) -> tuple[int, ...]:
    """The serial numbers on a list. Raises `ValueError` when it is none."""
    return tuple(each.serial_number for each in x509.load_der_x509_crl(crl))


def point(url: str) -> x509.DistributionPoint:
    """A distribution point at this URL (section 4.2.1.13)."""
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def _extension(value: x509.ExtensionType, critical: bool) -> bytes:  # as X.509 has it
    marked = der.element(der.BOOLEAN, b"\xff") if critical else b""
    return der.sequence(der.oid(value.oid.dotted_string), marked, der.element(der.OCTET_STRING, value.public_bytes()))
