"""The certificates in a PKCS7 file: a signed message without signers (RFC 5652, section 5.1)."""

from __future__ import annotations

from handsel.pki import der
from handsel.pki.keystore import ber

SIGNED = "1.2.840.113549.1.7.2"


def certificates(data: bytes) -> list[bytes]:
    """Each in DER, in the file's order. Raises `ValueError` for what is no such file."""
    return ber.either(_certificates, data)


def _certificates(data: bytes) -> list[bytes]:
    file = der.Reader(data)
    outer, found = file.inside(der.SEQUENCE), list[bytes]()
    file.end()
    if outer.read_oid() != SIGNED:
        raise ValueError("it is PKCS7 of another kind than signed data, which holds certificates")
    signed = outer.inside(der.CONTEXT).inside(der.SEQUENCE)
    signed.skip(der.INTEGER, der.SET, der.SEQUENCE)
    inside = signed.optional(der.CONTEXT)
    while inside is not None and inside.next_tag is not None:
        # CertificateSet (RFC 5652, section 10.2.2): beside X.509 there are kinds that nobody writes
        whole = inside.read_whole(inside.next_tag)
        if whole[0] == der.SEQUENCE:
            found.append(whole)
    return found
