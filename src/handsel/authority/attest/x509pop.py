"""A certificate of another CA, and a signature by its key: proof of possession.

Name constraints of CAs hold for alternative names, not for common names: where CAs below the root are limited by them,
guards are written over `dns`. Revocation by the other CA is not looked at.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from handsel.authority.attest.model import Attested
from handsel.errors import Refused
from handsel.link.joining import Evidence
from handsel.link.transcript import Transcript
from handsel.model.authority import Registration
from handsel.pki import signature
from handsel.pki.certificate import Certificate, parse_pem

_MOST_CERTIFICATES = 8
Roots = tuple[Certificate, ...]


def read_trust(content: bytes) -> Roots:
    """The roots in a PEM file. Raises `ValueError`."""
    return parse_pem(content)


def attest(_rule: Registration, roots: Roots, evidence: Evidence, transcript: Transcript, now: datetime) -> Attested:
    """The holder of a certificate below one of the roots. Raises `Refused`."""
    leaf = certified(evidence.chain, roots, now)
    usages = leaf_usages(leaf)
    if usages is not None and not usages & _FOR_CLIENTS:
        raise Refused("the certificate's extended key usage is not for clients")
    if not signature.holds(leaf.parsed.public_key(), evidence.signature, transcript.signed()):
        raise Refused("the challenge is not signed by the certificate's key")
    return Attested("x509pop", leaf.subject, selectors(leaf))


def certified(chain: tuple[bytes, ...], roots: Roots, now: datetime) -> Certificate:
    """The leaf of a chain that leads to a root (RFC 5280, section 6). Raises `Refused`."""
    if not 1 <= len(chain) <= _MOST_CERTIFICATES:
        raise Refused(f"a chain has 1 to {_MOST_CERTIFICATES} certificates")
    try:
        leaf, *between = (Certificate(der) for der in chain)
    except ValueError as error:
        raise Refused(f"a certificate of the chain is malformed: {error}") from error
    # Certificates of hosts from elsewhere often have no alternative name, so less is asked of leaves than on the web.
    verifier = (
        PolicyBuilder()
        .store(Store([root.parsed for root in roots]))
        .time(now)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf.parsed, [each.parsed for each in between])
    except (VerificationError, ValueError) as error:
        raise Refused(f"the certificate does not lead to a root of the rule: {str(error)[:200]}") from error
    _check_usage(leaf)
    return leaf


def selectors(leaf: Certificate) -> dict[str, tuple[str, ...]]:
    """What a certificate says: common_name, organization, dns, uri, issuer, serial, fingerprint."""
    parsed = leaf.parsed
    found = {
        "common_name": _attributes(parsed.subject, NameOID.COMMON_NAME),
        "organization": _attributes(parsed.subject, NameOID.ORGANIZATION_NAME),
        "dns": tuple(leaf.dns_names),
        "uri": tuple(leaf.uri_names),
        "issuer": _attributes(parsed.issuer, NameOID.COMMON_NAME),
        "serial": (leaf.serial,),
        "fingerprint": (leaf.fingerprint,),
    }
    return {name: values for name, values in found.items() if values}


def leaf_usages(leaf: Certificate) -> set[x509.ObjectIdentifier] | None:
    """The extended key usages, or None when it is for anything."""
    try:
        return set(leaf.parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None


def _attributes(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(each.value) for each in name.get_attributes_for_oid(oid))


def _check_usage(leaf: Certificate) -> None:
    extensions = leaf.parsed.extensions
    if leaf.is_ca:
        raise Refused("the certificate is a CA's, not a host's")
    for extension in extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            raise Refused("the certificate's key is not for signatures")
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            raise Refused(f"the certificate has a critical extension that is not known: {extension.oid.dotted_string}")


_FOR_CLIENTS = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
