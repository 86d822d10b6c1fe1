"""The stories of the authority, top to bottom. Plain and synchronous: decide here, commit and answer in the adapter.

Every certificate takes two steps. `join`, `renew_agent`, `sign_workloads` and `certify_server` approve, draft, check
and return an `Intent`; when that is durable, `issue` uses the key; when its outcome is durable, the answer goes out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handsel.authority import ca, check, directory, ra
from handsel.authority.model import (
    UNBOUND,
    Admission,
    Approval,
    CheckedDraft,
    Domain,
    Host,
    Issuers,
    Leaf,
    Ticket,
    TicketBounds,
)
from handsel.link import ticket as tickets
from handsel.pki.secret import Secret
from handsel.store.journal import entry
from handsel.store.outcome import Outcome, Writes

Serial = Callable[[], int]


def random_serial() -> int:
    """A serial number with 127 random bits: positive, unguessable, at most 20 octets (RFC 5280, 4.1.2.2)."""
    return secrets.randbits(126) | 1 << 126


@dataclass(frozen=True)
class Intent:
    """What will be signed once `writes` are durable."""

    writes: Writes
    drafts: tuple[CheckedDraft, ...]


def make_ticket(
    services: tuple[str, ...],
    lifetime: timedelta,
    secret: Secret,
    *,
    ticket_id: str,
    now: datetime,
    by: str = "local",
    bounds: TicketBounds = UNBOUND,
) -> Outcome[Ticket]:
    """A ticket for a host that will run these services."""
    ticket = Ticket(ticket_id, tickets.derive(secret), services, now + lifetime)
    line = entry(
        "ticket", now, ticket=ticket_id, services=",".join(services), expires=ticket.expires.isoformat(), by=by
    )
    return Outcome((directory.TicketMade(ticket), directory.TicketBound(ticket_id, bounds), line), ticket)


def join(
    admission: Admission,
    csr_der: bytes,
    *,
    agent_id: str,
    host_name: str,
    recovery_csr: bytes,
    domain: Domain,
    issuers: Issuers,
    now: datetime,
    serial: Serial = random_serial,
) -> Intent:
    """A new host joins. Its ticket burns, its token is spent, in the commit that intends the agent's certificate.

    `recovery_csr`: a request by the key that will prove who the host is when its certificate has ended; may be empty.
    """
    approval = ra.approve_agent(agent_id, ra.read_request(csr_der), domain)
    intent = intend([approval], domain, issuers, now, serial)
    writes: list[object] = []
    if admission.ticket_id:
        writes.append(directory.TicketRedeemed(admission.ticket_id))
        writes.append(directory.TicketUsed(admission.ticket_id, agent_id))
    if admission.spent is not None:
        writes.append(directory.EvidenceSpent(admission.spent, now))
    writes.append(directory.HostJoined(Host(agent_id, host_name, admission.services, now)))
    if recovery_csr:
        recovery_key = ra.read_request(recovery_csr).public_key_der
        writes.append(directory.RecoveryKeyKept(agent_id, recovery_key))
    line = entry(
        "joined", now, agent=agent_id, host=host_name, admitted=admission.by, subject=admission.subject,
        services=",".join(admission.services), ticket=admission.ticket_id,
    )  # fmt: skip
    return Intent((*writes, line, *intent.writes), intent.drafts)


def renew_agent(
    host: Host, csr_der: bytes, *, domain: Domain, issuers: Issuers, now: datetime, serial: Serial = random_serial
) -> Intent:
    """An agent that is still known renews its own certificate, with a new key."""
    ra.check_standing(host)
    approval = ra.approve_agent(host.agent_id, ra.read_request(csr_der), domain)
    return intend([approval], domain, issuers, now, serial)


def sign_workloads(
    host: Host,
    wanted: Sequence[tuple[str, bytes]],
    *,
    domain: Domain,
    issuers: Issuers,
    now: datetime,
    serial: Serial = random_serial,
) -> Intent:
    """Certificates for services of one host, all or none. `wanted` holds (service, CSR) pairs."""
    ra.check_standing(host)
    approvals = [ra.approve_workload(service, ra.read_request(csr), host, domain) for service, csr in wanted]
    return intend(approvals, domain, issuers, now, serial)


def certify_server(
    csr_der: bytes,
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    *,
    domain: Domain,
    issuers: Issuers,
    now: datetime,
    serial: Serial = random_serial,
) -> Intent:
    """The server's own certificate, for the names and addresses where it listens."""
    approval = ra.approve_server(ra.read_request(csr_der), names, addresses, domain)
    return intend([approval], domain, issuers, now, serial)


def certify(
    csr_der: bytes, profile: str, *, by: str, domain: Domain, issuers: Issuers, now: datetime,
    serial: Serial = random_serial,
) -> Intent:  # fmt: skip
    """A certificate that an administrator asks for, with the names of the request."""
    return intend([ra.approve_asked(ra.read_request(csr_der), profile, by, domain)], domain, issuers, now, serial)


def issue(intent: Intent, *, now: datetime) -> Outcome[tuple[Leaf, ...]]:
    """Use the key. Call it only once the intent's writes are durable; hand out only once the outcome's are."""
    leaves = tuple(ca.sign(draft) for draft in intent.drafts)
    writes: list[object] = []
    for draft, leaf in zip(intent.drafts, leaves, strict=True):
        made = leaf.certificate
        writes.append(directory.issued(made))
        writes.append(entry("issued", now, serial=made.serial, identity=draft.draft.title, sha256=made.fingerprint))
    return Outcome(tuple(writes), leaves)


def settle(unfinished: Sequence[str], *, now: datetime) -> Outcome[None]:
    """Intentions that a crash left between its two commits are abandoned: nobody has those certificates."""
    writes: list[object] = []
    for serial in unfinished:
        writes += [directory.Abandoned(serial), entry("abandoned", now, serial=serial)]
    return Outcome(tuple(writes), None)


def intend(
    approvals: Sequence[Approval], domain: Domain, issuers: Issuers, now: datetime, serial: Serial = random_serial
) -> Intent:
    """What approvals lead to: a checked draft each, and the writes that must be durable before the key is used."""
    drafts: list[CheckedDraft] = []
    writes: list[object] = []
    for approval in approvals:
        draft = ca.prepare(approval, issuers[approval.profile.issuer], serial=serial(), now=now, status=domain.status)
        checked = check.check(draft, domain)
        drafts.append(checked)
        writes.append(directory.intended(checked))
        writes.append(entry("intended", now, serial=draft.serial, identity=draft.title, by=draft.requested_by))
    return Intent(tuple(writes), tuple(drafts))
