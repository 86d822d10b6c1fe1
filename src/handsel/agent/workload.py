"""What a workload is told by the SPIFFE Workload API, from what the agent holds. Bundles of trust domains never mix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives import serialization

from handsel.agent.model import Holdings, KeyPair
from handsel.errors import NotAuthorised, Unreachable
from handsel.link.messages import FederatedBundle
from handsel.pki.certificate import Certificate
from handsel.pki.names import SpiffeId
from handsel.pki.secret import Secret

NO_KEYS = b'{"keys":[]}'


@dataclass(frozen=True)
class X509Svid:
    """An X.509-SVID as the standard hands it over (Workload API, section 5.1): all DER, the leaf first, no root."""

    spiffe_id: SpiffeId
    chain: bytes
    key: Secret = field(repr=False)
    bundle: bytes


def identity_of(service: str, holdings: Holdings) -> SpiffeId:
    """Who the workload is. Raises `NotAuthorised` when it is nobody (any more)."""
    workload = holdings.workloads.get(service)
    if workload is None:
        raise NotAuthorised("no identity is registered for this workload")
    return workload.assigned.identity


def x509_svid(service: str, holdings: Holdings, now: datetime) -> X509Svid:
    """The workload's X.509-SVID. Raises `NotAuthorised`, and `Unreachable` while there is none that is valid."""
    identity, pair = identity_of(service, holdings), holdings.workloads[service].key_pair
    if pair is None:
        raise Unreachable("the identity is being made; try again")
    if not now < pair.leaf.not_after:
        raise Unreachable("the identity has ended and is not renewed yet; try again")
    key = _pkcs8(pair)
    return X509Svid(identity, together(pair.chain), key, together(holdings.roots))


def federated_with(service: str, holdings: Holdings) -> list[FederatedBundle]:
    """The trust domains that this workload federates with."""
    return [each for each in holdings.federated if service in each.services]


def x509_bundles(service: str, holdings: Holdings, *, own: bool) -> dict[str, bytes]:
    """The CAs by the SPIFFE ID of their trust domain; one that has none left is not there. Raises `NotAuthorised`."""
    here = identity_of(service, holdings).trust_domain
    found = {f"spiffe://{here}": together(holdings.roots)} if own else {}
    for each in federated_with(service, holdings):
        if each.x509_authorities and each.trust_domain != here:
            found[f"spiffe://{each.trust_domain}"] = together(each.x509_authorities)
    return found


def jwt_bundles(service: str, holdings: Holdings) -> Mapping[str, bytes]:
    """The keys that sign JWT-SVIDs, a JWKS by the SPIFFE ID of each trust domain. Raises `NotAuthorised`."""
    here = identity_of(service, holdings).trust_domain
    found = {f"spiffe://{each.trust_domain}": each.jwks or NO_KEYS for each in federated_with(service, holdings)}
    return {**found, f"spiffe://{here}": holdings.jwks or NO_KEYS}


def together(certificates: Iterable[Certificate]) -> bytes:
    """Certificates one after the other, DER."""
    return b"".join(each.der for each in certificates)


def _pkcs8(pair: KeyPair) -> Secret:
    handle = pair.key.handle
    plain = handle.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Secret(plain)
