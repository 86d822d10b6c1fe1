"""Credentials: a certificate with its key, and roots, that come as a group of secrets.

The names in a group are those of Kubernetes and of Istio. What SDS serves of the group `web` is called `credential:web`
and `credential-roots:web`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from handsel.pki.secret import Secret
from handsel.xds import secret
from handsel.xds.resources import Resource

CERTIFICATE, KEY, ROOTS, LISTS, STAPLE = "tls.crt", "tls.key", "ca.crt", "ca.crl", "tls.ocsp-staple"
_ALSO = {CERTIFICATE: "cert", KEY: "key", ROOTS: "cacert", LISTS: "crl"}
_PREFIXES = ("credential:", "credential-roots:")
_PEM_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def group_of(name: str) -> str:
    """The group behind the name of a secret; empty when it is of no credential."""
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    return name.removeprefix(prefix) if prefix else ""


def certificate(group: str, values: Mapping[str, Secret], now: datetime) -> Resource | None:
    """What a proxy shows; None when there is no such thing in the group. Raises `ValueError` when it is not sound."""
    chain, key = _value(values, CERTIFICATE), _value(values, KEY)
    if chain is None or key is None:
        return None
    staple = _value(values, STAPLE)
    return secret.tls_certificate(
        _PREFIXES[0] + group, chain.reveal(), key, now=now, staple=staple.reveal() if staple else b""
    )


def roots(group: str, values: Mapping[str, Secret]) -> Resource | None:
    """Whom a proxy believes; None when there are no roots in the group. Raises `ValueError` when they are not sound."""
    found, lists = _value(values, ROOTS), _value(values, LISTS)
    if found is None:
        return None
    crls = lists_of(lists.reveal()) if lists else ()
    return secret.validation_context(_PREFIXES[1] + group, found.reveal(), crls=crls, whole_chain=True)


def lists_of(pem: bytes) -> Sequence[bytes]:
    """Revocation lists, PEM, as DER. Raises `ValueError` when there are none."""
    found = [x509.load_pem_x509_crl(each).public_bytes(serialization.Encoding.DER) for each in _PEM_LIST.findall(pem)]
    if not found:
        raise ValueError("there is no revocation list in PEM")
    return found


def _value(values: Mapping[str, Secret], name: str) -> Secret | None:
    return values.get(name) or values.get(_ALSO.get(name, ""))
