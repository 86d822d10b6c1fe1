"""The nouns of issuing. Each type is the proof of a step: a request that was approved, a draft that was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509

from handsel.authority.profile import Profiles
from handsel.model.authority import MESH_ISSUER, Profile
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey, PublicKey
from handsel.pki.names import Names, SpiffeId, TrustDomain


@dataclass(frozen=True)
class Issuer:
    """A CA that signs leaves: its key, its certificate and the root that it hangs from.

    `between` are the certificates between it and the root, nearest first; usually none. `alternates` are other ways
    from it to a root, each nearest first, for clients that trust another one (RFC 8555, section 7.4.2).
    """

    key: PrivateKey
    certificate: Certificate
    root: Certificate
    name: str = MESH_ISSUER
    between: tuple[Certificate, ...] = ()
    alternates: tuple[tuple[Certificate, ...], ...] = ()

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """What a leaf is shown with: this CA and what is above it, without the root."""
        return (self.certificate, *self.between)

    @property
    def not_after(self) -> datetime:
        """When the first certificate of the chain ends, the root's included."""
        return min(each.not_after for each in (*self.chain, self.root))


@dataclass(frozen=True)
class Issuers:
    """The CAs that sign now, by name, and every root that is to be trusted."""

    by_name: Mapping[str, Issuer]
    roots: tuple[Certificate, ...]

    @classmethod
    def only(cls, issuer: Issuer) -> Issuers:
        """One CA and its root."""
        return cls({issuer.name: issuer}, (issuer.root,))

    def __getitem__(self, name: str) -> Issuer:
        return self.by_name[name]

    def chains(self, leaf: Certificate) -> tuple[tuple[Certificate, ...], ...]:
        """The chains that a leaf can be shown with, without itself and the root; the usual one first."""
        for issuer in self.by_name.values():
            if issuer.certificate.key_id == leaf.authority_key_id:
                return (issuer.chain, *issuer.alternates)
        return ()

    @property
    def mesh(self) -> Issuer:
        """The CA of the mesh's own certificates."""
        return self.by_name[MESH_ISSUER]


@dataclass(frozen=True)
class Approval:
    """The answer of the registration authority: this key may have these names, of this profile, for so long.

    `identity` is the SPIFFE ID among the names, for a certificate of the mesh.
    """

    names: Names
    identity: SpiffeId | None
    public_key: PublicKey
    profile: Profile
    lifetime: timedelta
    requested_by: str


@dataclass(frozen=True)
class Draft:
    """What is about to be signed, before anybody has checked it. `made` is now; `not_before` lies a little before."""

    builder: x509.CertificateBuilder = field(repr=False)
    issuer: Issuer = field(repr=False)
    names: Names
    identity: SpiffeId | None
    profile: Profile
    public_key: PublicKey = field(repr=False)
    serial: str
    made: datetime
    not_before: datetime
    not_after: datetime
    requested_by: str

    @property
    def title(self) -> str:
        """The name by which people know it: the SPIFFE ID, or the first name."""
        return str(self.identity) if self.identity else next((name for _, name in self.names), "")


@dataclass(frozen=True)
class CheckedDraft:
    """A draft that passed `check.check`. Only this can be signed."""

    draft: Draft


@dataclass(frozen=True)
class Leaf:
    """A certificate that was just issued, and by whom."""

    certificate: Certificate
    issuer: Issuer

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """What its holder shows: the leaf first, the root left out."""
        return (self.certificate, *self.issuer.chain)


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
    """What the registration authority must know of the mesh: its trust domain, who each service is, the profiles."""

    trust_domain: TrustDomain
    identities: Mapping[str, SpiffeId]
    profiles: Profiles
