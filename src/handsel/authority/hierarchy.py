"""The CAs of one authority: what each should be, which are known, and how near their end they are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509

from handsel.authority.model import ways
from handsel.model.authority import EVERY_NAME, MESH_ISSUER, IssuingCa, NameSet
from handsel.pki.certificate import Certificate
from handsel.pki.constraints import NameConstraints, Subtrees, constraints_of
from handsel.pki.keys import KeyType, kind_of
from handsel.pki.names import TrustDomain

ROOT = "root"
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True)
class CaPlan:
    """What an issuing CA should be. `lifetime` None: the usual one."""

    name: str = MESH_ISSUER
    kind: KeyType = KeyType.P256
    lifetime: timedelta | None = None
    permitted: NameSet = EVERY_NAME
    excluded: NameSet = EVERY_NAME

    @classmethod
    def of(cls, written: IssuingCa) -> CaPlan:
        """The plan that the mesh file has for a CA."""
        return cls(written.name, written.key, written.lifetime, written.permitted, written.excluded)

    def title(self, trust_domain: TrustDomain) -> str:
        """Its common name: what tells CAs of one authority apart stands first, since long names are cut."""
        prefix = "" if self.name == MESH_ISSUER else f"{self.name}, "
        return f"{prefix}{trust_domain} issuing CA"[:_LONGEST_COMMON_NAME]

    def constraints(self) -> x509.NameConstraints | None:
        """Its name constraints (RFC 5280, section 4.2.1.10); None when it may sign for any name."""
        if not self.permitted and not self.excluded:
            return None
        return x509.NameConstraints(_subtrees(self.permitted), _subtrees(self.excluded))


def plans(written: Mapping[str, IssuingCa]) -> tuple[CaPlan, ...]:
    """Every issuing CA that an authority should have, the mesh's own first."""
    mesh = CaPlan.of(written[MESH_ISSUER]) if MESH_ISSUER in written else CaPlan()
    return (mesh, *(CaPlan.of(each) for name, each in written.items() if name != MESH_ISSUER))


def differences(plan: CaPlan, certificate: Certificate) -> list[str]:
    """What the mesh file says of a CA and its certificate does not, a line each, for people.

    A CA that exists stays what it is until it is replaced: its leaves would not be believed under another.
    """
    found: list[str] = []
    kind = kind_of(certificate.parsed.public_key())
    if kind is not plan.kind:
        found.append(f"{plan.name} has a {kind} key, and the mesh file says {plan.kind}: so will its next one")
    wanted, has = plan.constraints(), constraints_of(certificate) or NameConstraints()
    halves = (
        (Subtrees.of(wanted.permitted_subtrees if wanted else None), has.permitted, "may sign for"),
        (Subtrees.of(wanted.excluded_subtrees if wanted else None), has.excluded, "must not sign for"),
    )
    for said, made, what in halves:
        if _names_of(said) != _names_of(made):
            shown = ", ".join(sorted(_names_of(made))) or ("any name" if what.startswith("may") else "none")
            found.append(f"{plan.name} was made as one that {what} {shown}, and the mesh file says otherwise")
    return found


def _names_of(names: Subtrees) -> set[str]:
    return {f"{kind}:{each}" for kind in ("dns", "ip", "uri", "mail") for each in getattr(names, kind)}


def _subtrees(names: NameSet) -> list[x509.GeneralName] | None:
    found: list[x509.GeneralName] = [
        *(x509.DNSName(each) for each in names.dns),
        *(x509.IPAddress(ipaddress.ip_network(each)) for each in names.ip),
        *(x509.UniformResourceIdentifier(each) for each in names.uri),
        *(x509.RFC822Name(each) for each in names.mail),
    ]
    return found or None


class State(StrEnum):
    """Where a CA stands, see `rotation`."""

    NEXT = "next"
    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRING = "retiring"
    REMOVED = "removed"
    TAINTED = "tainted"


TRUSTED = (State.PUBLISHED, State.ACTIVE, State.RETIRING, State.TAINTED)
"""The states in which a root is believed. A tainted one still is: until its successor is used by everybody."""


@dataclass(frozen=True)
class Known:
    """A CA's certificate that this authority knows of, whether it still signs or not.

    `name` is the CA's; after a rotation several certificates have it. `key` is the name of its key in the key store.
    `parent`: the key id of who signed it, its own for a root. `since`: when it came into its state.
    """

    certificate: Certificate
    name: str
    state: State
    key: str
    since: datetime

    @property
    def key_id(self) -> str:
        """The SubjectKeyIdentifier, hex."""
        return (self.certificate.key_id or b"").hex()

    @property
    def parent(self) -> str:
        return (self.certificate.authority_key_id or self.certificate.key_id or b"").hex()

    @property
    def is_root(self) -> bool:
        return self.certificate.parsed.subject == self.certificate.parsed.issuer


@dataclass(frozen=True)
class CaKnown:
    """A CA is known in this state from now on, as a write."""

    known: Known


def climb(root: Certificate, links: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """The links that lead from a root to those before it, nearest first."""
    by_key = {link.key_id: link for link in links}
    found: list[Certificate] = []
    while (link := by_key.pop(root.key_id if not found else found[-1].authority_key_id, None)) is not None:
        found.append(link)
    return tuple(found)


def chains_known(
    known: Iterable[Known], links: Sequence[Certificate], trusted: tuple[Certificate, ...]
) -> dict[bytes, tuple[tuple[Certificate, ...], ...]]:
    """The chains, without a root, that leaves of each issuing CA can be shown with, by the CA's key id."""
    cas = list(known)
    roots = {each.certificate.key_id: each.certificate for each in cas if each.is_root}
    found: dict[bytes, tuple[tuple[Certificate, ...], ...]] = {}
    for each in cas:
        if not each.is_root and each.certificate.key_id:
            root = roots.get(each.certificate.authority_key_id)
            above = climb(root, links) if root else ()
            found[each.certificate.key_id] = ways((each.certificate,), above, trusted)
    return found


class Nearness(StrEnum):
    """How near a certificate is to its end."""

    FAR = "far"
    SOON = "soon"
    VERY_SOON = "very soon"
    OVER = "over"


def nearness(certificate: Certificate, now: datetime) -> Nearness:
    """`SOON` when less than a third of its life is left, `VERY_SOON` when less than a fifth."""
    life, left = certificate.not_after - certificate.not_before, certificate.not_after - now
    if left <= timedelta():
        return Nearness.OVER
    if left < life / 5:
        return Nearness.VERY_SOON
    return Nearness.SOON if left < life / 3 else Nearness.FAR
