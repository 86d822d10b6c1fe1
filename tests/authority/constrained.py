"""Issuers whose chain has name constraints."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from handsel.authority.model import Issuer
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from tests.ca_keys import ca_key
from tests.support import TestAuthority


def constrained(
    authority: TestAuthority, *, permitted: dict[str, list[str]] | None = None, excluded: dict[str, list[str]] | None = None,
    at_root: bool = True,
) -> Issuer:  # fmt: skip
    """The authority's CA with constraints in its root's certificate, or in its own."""
    issuer = authority.issuer
    said = x509.NameConstraints(_general(permitted), _general(excluded))
    if at_root:
        return replace(issuer, root=_again(issuer.root, said))
    return replace(issuer, certificate=_again(issuer.certificate, said))


@functools.cache
def _root_key() -> PrivateKey:
    return ca_key()


def _again(certificate: Certificate, said: x509.NameConstraints) -> Certificate:
    old = certificate.parsed
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc,
        list(old.extensions),
    )  # fmt: skip
    return Certificate.of(builder.add_extension(said, critical=True).sign(_root_key().handle, hashes.SHA256()))


def _general(names: dict[str, list[str]] | None) -> list[x509.GeneralName] | None:
    makers = {"dns": x509.DNSName, "ip": lambda text: x509.IPAddress(ipaddress.ip_network(text))}
    return [makers[kind](text) for kind, texts in (names or {}).items() for text in texts] or None
