"""The stories after joining: a ticket that comes twice, a host's standing, and a host that was asleep too long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from handsel.authority import directory, ra, revocation, service
from handsel.authority.attest.model import TicketUse
from handsel.authority.model import Domain, Host, Issuers, Standing
from handsel.authority.revocation import Reason
from handsel.authority.service import Intent, Serial, random_serial
from handsel.errors import Refused
from handsel.link.transcript import Transcript
from handsel.pki import signature
from handsel.pki.keys import PublicKey
from handsel.store.journal import entry
from handsel.store.outcome import Outcome

_SILENCE = timedelta(hours=1)


def replayed(use: TicketUse, standing: Standing, *, host_name: str, client: str, now: datetime) -> Outcome[str | None]:
    """A ticket came again with its secret: whoever came first is put into quarantine.

    Answers with the cause, or None when that was told lately and changes nothing: then it is only counted, or whoever
    holds an old ticket could fill the disk with lines about it.
    """
    if standing is not Standing.GOOD and use.told is not None and use.told <= now < use.told + _SILENCE:
        return Outcome((directory.ReplayNoted(use.ticket_id, use.told),), None)
    cause = f"its ticket {use.ticket_id} came again from {host_name or 'a host without a name'} at {client}"
    quarantine = directory.StandingSet(use.agent_id, Standing.QUARANTINED, cause, now, only_from=Standing.GOOD)
    line = entry(
        "ticket replayed", now, ticket=use.ticket_id, agent=use.agent_id, host=host_name, client=client,
        not_told=str(use.untold),
    )  # fmt: skip
    return Outcome((directory.ReplayNoted(use.ticket_id, use.told, now), quarantine, line), cause)


def set_standing(
    host: Host, standing: Standing, cause: str, *, now: datetime, by: str, living: Sequence[tuple[str, str]] = ()
) -> Outcome[Host]:
    """Somebody lifts a quarantine, bans a host, or takes that back. Raises `Refused` when there is nothing to change.

    `living`: serial number and issuer of each certificate that the host has; a ban revokes them.
    """
    if host.standing is standing:
        raise Refused(f"the agent {host.agent_id} is {standing} already")
    kind = {Standing.GOOD: "host lifted", Standing.QUARANTINED: "host quarantined", Standing.BANNED: "host banned"}
    line = entry(kind[standing], now, agent=host.agent_id, before=host.standing, cause=cause, by=by)
    writes: list[object] = [directory.StandingSet(host.agent_id, standing, cause, now), line]
    if standing is Standing.BANNED:
        for serial, issuer in living:
            writes += revocation.revoke(serial, issuer, Reason.PRIVILEGE_WITHDRAWN, by=by, now=now).writes
    return Outcome(tuple(writes), host)


def recover(
    host: Host,
    transcript: Transcript,
    proof: bytes,
    recovery_key: PublicKey | None,
    ended: datetime | None,
    *,
    grace: timedelta,
    domain: Domain,
    issuers: Issuers,
    now: datetime,
    serial: Serial = random_serial,
) -> Intent:
    """A new certificate for an agent that proves by its recovery key who it is.

    `ended`: when its last certificate ended or will end. `grace`: how long after that it may still come. Raises
    `Refused`.
    """
    again = "join again with a new ticket: handsel agent ticket"
    if recovery_key is None or not signature.holds(recovery_key, proof, transcript.signed()):
        raise Refused(f"this is not the recovery key of the agent {host.agent_id}", next_step=again)
    ra.check_standing(host)
    if ended is None or now >= ended + grace:
        raise Refused(f"the agent {host.agent_id} was away for longer than {grace}", next_step=again)
    intent = service.renew_agent(host, transcript.csr, domain=domain, issuers=issuers, now=now, serial=serial)
    return Intent((entry("recovered", now, agent=host.agent_id), *intent.writes), intent.drafts)
