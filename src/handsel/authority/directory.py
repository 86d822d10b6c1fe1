"""The directory: what the authority remembers, as writes. `adapters/tables` says how each is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from handsel.authority.model import CheckedDraft, Host, Spent, Standing, Ticket, TicketBounds
from handsel.authority.revocation import Reason
from handsel.pki.certificate import Certificate


@dataclass(frozen=True)
class TicketMade:
    """A ticket can be redeemed from now on."""

    ticket: Ticket


@dataclass(frozen=True)
class TicketRedeemed:
    """The ticket is burnt. Conflicts when somebody else was faster."""

    ticket_id: str


@dataclass(frozen=True)
class HostJoined:
    """A host has joined, with the services registered to it."""

    host: Host


@dataclass(frozen=True)
class TicketBound:
    """A ticket has these bounds."""

    ticket_id: str
    bounds: TicketBounds


@dataclass(frozen=True)
class TicketUsed:
    """The ticket let this agent in: who is put into quarantine when the ticket comes again."""

    ticket_id: str
    agent_id: str


@dataclass(frozen=True)
class ReplayNoted:
    """A used ticket came again; `told`: the journal is told so in the same commit.

    Conflicts when the journal was told since `told_before`.
    """

    ticket_id: str
    told_before: datetime | None
    told: datetime | None = None


@dataclass(frozen=True)
class EvidenceSpent:
    """Evidence that is good once was used. Conflicts when it was before."""

    spent: Spent
    now: datetime


@dataclass(frozen=True)
class RecoveryKeyKept:
    """The public key by which an agent proves who it is when its certificate has ended."""

    agent_id: str
    public_key_der: bytes = field(repr=False)


@dataclass(frozen=True)
class StandingSet:
    """What a host may do from now on, and why. `only_from`: nothing is changed unless it has this standing."""

    agent_id: str
    standing: Standing
    cause: str
    at: datetime
    only_from: Standing | None = None


@dataclass(frozen=True)
class Intended:
    """This is about to be signed. Durable before the key is used. `key_pin` is the SHA-256 of its public key."""

    serial: str
    identity: str
    names: tuple[str, ...]
    issuer: str
    profile: str
    key_pin: str
    not_before: datetime
    not_after: datetime
    requested_by: str


@dataclass(frozen=True)
class Issued:
    """This was signed. Durable before it is handed out."""

    serial: str
    der: bytes = field(repr=False)
    fingerprint: str


@dataclass(frozen=True)
class Abandoned:
    """An intention that a crash left behind; nothing was handed out for it."""

    serial: str


@dataclass(frozen=True)
class Record:
    """What is known of a certificate that was issued: by which CA and profile, for whom, and whether it is revoked."""

    certificate: Certificate
    issuer: str
    profile: str
    requested_by: str
    revoked_at: datetime | None = None
    reason: Reason | None = None


def intended(checked: CheckedDraft) -> Intended:
    draft = checked.draft
    return Intended(
        draft.serial, draft.title, tuple(name for _, name in draft.names), draft.profile.issuer, draft.profile.name,
        draft.key_pin, draft.not_before, draft.not_after, draft.requested_by,
    )  # fmt: skip


def issued(certificate: Certificate) -> Issued:
    return Issued(certificate.serial, certificate.der, certificate.fingerprint)
