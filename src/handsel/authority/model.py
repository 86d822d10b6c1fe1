"""The nouns of issuing. Each type is the proof of a step: a request that was approved, a draft that was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from cryptography import x509

from handsel.authority.profile import Profiles
from handsel.authority.status_places import StatusPlaces
from handsel.model.authority import MESH_ISSUER, Profile
from handsel.model.policy import Policy
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey, PublicKey, pin, public_der
from handsel.pki.names import Names, SpiffeId, TrustDomain


@dataclass(frozen=True)
class Issuer:
    """A CA that signs leaves: its key, its certificate and the root that it hangs from.

    `between` are the certificates between it and the root, nearest first; usually none. `links` lead on from the root
    to those before it, for clients that trust only an older one (RFC 4210, section 4.4). `stored` is the name of its
    key, when that is not the first one of this CA.
    """

    key: PrivateKey
    certificate: Certificate
    root: Certificate
    name: str = MESH_ISSUER
    between: tuple[Certificate, ...] = ()
    links: tuple[Certificate, ...] = ()
    stored: str = ""

    @property
    def place(self) -> str:
        """Where the status of its leaves is: a CA with another key has lists of its own, so each key has a place."""
        return self.stored or self.name

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """What a leaf is shown with: this CA and what is above it, without the root."""
        return (self.certificate, *self.between)

    @property
    def linked_chain(self) -> tuple[Certificate, ...]:
        """The same for clients that may trust an older root only."""
        return (*self.chain, *self.links)

    @property
    def not_after(self) -> datetime:
        """When the first certificate of the chain ends, the root's included."""
        return min(each.not_after for each in (*self.chain, self.root))


def name_of(place: str) -> str:
    """The CA whose key has this place: the keys of `partners` are `partners`, `partners.2` and so on."""
    return place.partition(".")[0]


@dataclass(frozen=True)
class Issuers:
    """The CAs that sign now, by name, and every root that is to be trusted, the one that signs first.

    `root_issuers`: the roots whose keys are here; they sign their own revocation lists, and in a rotation a CA.
    `known`: the chains of every CA that ever signed here, by its key id, for leaves that are older than a rotation.
    `retiring`: CAs that were replaced and still have leaves; they sign only how those stand. `coming`: those that will
    sign soon; holders have their lists before. `removed`: the key ids of those that nobody should believe any more.
    `mesh_since`: since when the mesh's CA signs.
    """

    by_name: Mapping[str, Issuer]
    roots: tuple[Certificate, ...]
    known: Mapping[bytes, tuple[tuple[Certificate, ...], ...]] = field(default_factory=dict)
    retiring: tuple[Issuer, ...] = ()
    root_issuers: tuple[Issuer, ...] = ()
    mesh_since: datetime | None = None
    coming: tuple[Issuer, ...] = ()
    removed: frozenset[bytes | None] = frozenset()

    @classmethod
    def only(cls, issuer: Issuer) -> Issuers:
        """One CA and its root."""
        return cls({issuer.name: issuer}, (issuer.root,))

    def __getitem__(self, name: str) -> Issuer:
        return self.by_name[name]

    def chains(self, leaf: Certificate) -> tuple[tuple[Certificate, ...], ...]:
        """The chains that a leaf can be shown with, without itself and the root; the usual one first.

        While an older root is still trusted here, that is the one which leads to it too.
        """
        for issuer in self.by_name.values():
            if issuer.certificate.key_id == leaf.authority_key_id:
                return ways(issuer.chain, issuer.links, self.roots)
        return self.known.get(leaf.authority_key_id or b"", ())

    @property
    def mesh(self) -> Issuer:
        """The CA of the mesh's own certificates."""
        return self.by_name[MESH_ISSUER]


def ways(
    chain: tuple[Certificate, ...], links: tuple[Certificate, ...], trusted: tuple[Certificate, ...]
) -> tuple[tuple[Certificate, ...], ...]:
    """A chain, and the same with the links to older roots; first the one for most clients."""
    if not links:
        return (chain,)
    linked = (*chain, *links)
    older = {link.authority_key_id for link in links} & {root.key_id for root in trusted}
    return (linked, chain) if older else (chain, linked)


@dataclass(frozen=True)
class Requester:
    """Who asks. `kind`: `agent`, `acme`, `server`, or whoever else may; the rest as far as it is known.

    `account` is an ACME account, `eab` the external account key that opened it, `attestor` what proved the requester.
    `limits` are patterns, such as an external account key has, that its names must match; empty: no limit.
    """

    kind: str = ""
    account: str | None = None
    eab: str | None = None
    attestor: str | None = None
    profile: str | None = None
    limits: tuple[str, ...] = ()

    def said(self, word: str) -> str | None:
        """What is known by a word of the mesh file: `profile`, `account`, `eab` or `attestor`."""
        return {"profile": self.profile, "account": self.account, "eab": self.eab, "attestor": self.attestor}[word]


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
    requester: Requester = Requester()


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
    requester: Requester = Requester()

    @property
    def title(self) -> str:
        """The name by which people know it: the SPIFFE ID, or the first name."""
        return str(self.identity) if self.identity else next((name for _, name in self.names), "")

    @cached_property
    def public_key_der(self) -> bytes:
        """The SubjectPublicKeyInfo, DER."""
        return public_der(self.public_key)

    @cached_property
    def key_pin(self) -> str:
        """The pin of its key, see `handsel.pki.keys.pin`."""
        return pin(self.public_key_der)


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
class TicketBounds:
    """Who may redeem a ticket; empty: whoever knows its secret.

    `network`: the addresses that the host comes from, as CIDR. `key_pin`: the thumbprint of the key that it brings.
    """

    host_name: str = ""
    network: str = ""
    key_pin: str = ""


UNBOUND = TicketBounds()


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


class Standing(StrEnum):
    """What a host that has joined may do.

    `QUARANTINED`: nothing is signed for it until somebody lifts that. `BANNED`: it is not listened to.
    """

    GOOD = "good"
    QUARANTINED = "quarantined"
    BANNED = "banned"


@dataclass(frozen=True)
class Host:
    """A host that has joined: the id of its agent, the services registered to it, and its standing, with the cause."""

    agent_id: str
    name: str
    services: tuple[str, ...]
    joined: datetime
    standing: Standing = Standing.GOOD
    cause: str = ""

    def may_run(self, service: str) -> bool:
        return self.services == ALL_SERVICES or service in self.services


@dataclass(frozen=True)
class Spent:
    """Evidence that may be used once: what is remembered of it, and for how long."""

    digest: bytes = field(repr=False)
    until: datetime


@dataclass(frozen=True)
class Admission:
    """A host may join: for these services, by this ticket or rule.

    `subject`: the name that the evidence gives. `spent`: what may not be used again. `ticket_id`: what burns.
    `ticket_key`: the derived key of a ticket, by which the server proves itself to the host.
    """

    services: tuple[str, ...]
    by: str
    subject: str
    spent: Spent | None = None
    ticket_id: str = ""
    ticket_key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Domain:
    """What the registration authority must know of the mesh: its trust domain, identities, profiles and policy.

    `status`: where readers find out how a certificate stands; None: nowhere.
    """

    trust_domain: TrustDomain
    identities: Mapping[str, SpiffeId]
    profiles: Profiles
    policy: Policy = None
    status: StatusPlaces | None = None
