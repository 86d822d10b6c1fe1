"""What the mesh file says about SPIFFE beyond the mesh: tokens, the bundle, and other trust domains, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from handsel.pki.names import SpiffeId, TrustDomain


class EndpointProfile(StrEnum):
    """How the server of a bundle proves itself (SPIFFE Federation, section 5.2).

    `WEB`: by a certificate for the host in its URL. `SPIFFE`: by its own X.509-SVID, checked with the bundle that is
    known already.
    """

    WEB = "https_web"
    SPIFFE = "https_spiffe"


@dataclass(frozen=True)
class Federated:
    """Another trust domain, and where its bundle is found.

    `endpoint_id`: who serves it, for `https_spiffe`. `bundle`: a file with the bundle for the first contact. `roots`: a
    PEM file that `https_web` checks with instead of the system's. Paths are absolute; empty: none.
    """

    trust_domain: TrustDomain
    url: str
    profile: EndpointProfile
    endpoint_id: SpiffeId | None = None
    bundle: str = ""
    roots: str = ""


@dataclass(frozen=True)
class SpiffeSettings:
    """`jwt_lifetime`: of a JWT-SVID. `jwt_key_lifetime`: how long a key signs them. `refresh_hint`: how often others
    should look at our bundle."""

    jwt_lifetime: timedelta = timedelta(minutes=5)
    jwt_key_lifetime: timedelta = timedelta(days=1)
    refresh_hint: timedelta = timedelta(minutes=5)
