"""The nouns of issuing. Each type is the proof of a step: a request that was approved, a draft that was checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import SpiffeId, TrustDomain


@dataclass(frozen=True)
class Lifetimes:
    """How long certificates live.

    `leaf`: a workload's certificate (1 h by default: short enough that a stolen key is soon worthless).
    `agent`: an agent's own (24 h: a host may be off for a night and still renew).
    `backdate`: how far `not_before` lies in the past, for clocks that run behind.
    """

    leaf: timedelta = timedelta(hours=1)
    agent: timedelta = timedelta(hours=24)
    backdate: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class Issuer:
    """A CA that signs leaves: its key, its certificate and the root that it hangs from."""

    key: PrivateKey
    certificate: Certificate
    root: Certificate


@dataclass(frozen=True)
class Approval:
    """The answer of the registration authority: this key may have these names, for so long."""

    identity: SpiffeId
    dns_names: tuple[str, ...]
    ip_names: tuple[str, ...]
    public_key: ec.EllipticCurvePublicKey
    lifetime: timedelta
    requested_by: str


@dataclass(frozen=True)
class Draft:
    """What is about to be signed, before anybody has checked it. `made` is now; `not_before` lies a little before."""

    builder: x509.CertificateBuilder
    identity: SpiffeId
    serial: str
    made: datetime
    not_before: datetime
    not_after: datetime
    requested_by: str


@dataclass(frozen=True)
class CheckedDraft:
    """A draft that passed `check.check`. Only this can be signed."""

    draft: Draft


@dataclass(frozen=True)
class Ticket:
    """What the server keeps of a join ticket: a key derived from its secret, never the secret.

    `services` are the ones that the joining host may run; `ALL_SERVICES` stands for every service of the mesh file.
    """

    ticket_id: str
    derived_key: bytes
    services: tuple[str, ...]
    expires: datetime
    redeemed: bool = False


ALL_SERVICES = ("*",)


@dataclass(frozen=True)
class Host:
    """A host that has joined: the id of its agent and the services registered to it."""

    agent_id: str
    name: str
    services: tuple[str, ...]
    joined: datetime

    def may_run(self, service: str) -> bool:
        return self.services == ALL_SERVICES or service in self.services


@dataclass(frozen=True)
class Domain:
    """What the registration authority must know of the mesh: its trust domain and who each service is."""

    trust_domain: TrustDomain
    identities: dict[str, SpiffeId]
    lifetimes: Lifetimes
