"""The door of hosts that want to join: a challenge, then evidence over it; and of those that were asleep too long."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable

import structlog

from handsel.acme.problems import Problem
from handsel.authority import service
from handsel.authority.adapters.agents_http import PROTOBUF, check_version
from handsel.authority.adapters.attest_tables import Registry
from handsel.authority.adapters.issuing import Issuing, now
from handsel.authority.adapters.jwks import TrustSources
from handsel.authority.adapters.nonces import Nonces
from handsel.authority.adapters.tables import Directory
from handsel.authority.attest import registration, stories
from handsel.authority.attest import ticket as ticket_evidence
from handsel.authority.attest.model import Attested
from handsel.authority.attest.ticket import Replay
from handsel.authority.model import Admission, Domain, Host
from handsel.authority.ra import read_request
from handsel.authority.service import Intent
from handsel.door.asgi import Handler, Request, Response
from handsel.errors import Conflict, NonceSpent, Refused, TicketRefused
from handsel.link import ticket as tickets
from handsel.link.joining import Challenge, JoinRequest, JoinResponse, RecoverRequest
from handsel.link.messages import PREFIX, Chain
from handsel.link.transcript import Transcript
from handsel.model.authority import Authority, Registration
from handsel.pki import signature
from handsel.pki.keys import pin
from handsel.store.outcome import Store, Writes

_log = structlog.get_logger("handsel.server")
_LONGEST_HOST_NAME = 253
_TRIES = 3
_USED_BEFORE = "the ticket was used before"


class JoinDoor:
    """Handlers for joining.

    `server_certificates` gives the SHA-256 of the certificates that this server showed, `settings` what the mesh file
    says about the authority at that moment. `on_joined` is told of each new host.
    """

    def __init__(
        self,
        store: Store,
        issuing: Issuing,
        directory: Directory,
        registry: Registry,
        challenges: Nonces,
        trust: TrustSources,
        domain: Callable[[], Domain],
        settings: Callable[[], Authority],
        server_certificates: Callable[[], tuple[bytes, ...]],
        on_joined: Callable[[Host], None],
    ) -> None:
        self._store = store
        self._issuing = issuing
        self._directory = directory
        self._registry = registry
        self._challenges = challenges
        self._trust = trust
        self._domain = domain
        self._settings = settings
        self._server_certificates = server_certificates
        self._on_joined = on_joined

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", f"{PREFIX}/challenge"): self.challenge,
            ("POST", f"{PREFIX}/join"): self.join,
            ("POST", f"{PREFIX}/recover"): self.recover,
        }

    async def challenge(self, request: Request) -> Response:
        """What makes a join fresh."""
        check_version(request)
        return Response(200, Challenge(self._challenges.mint()).encode(), PROTOBUF)

    async def join(self, request: Request) -> Response:
        """A new host, with a ticket or with other evidence."""
        check_version(request)
        wanted = JoinRequest.decode(request.body)
        spent = self._spend(wanted.challenge)
        transcript = self._seen(wanted)
        admission = await self._admit(wanted, transcript, request.client)
        agent_id = secrets.token_hex(6)
        intent = service.join(
            admission,
            wanted.csr,
            agent_id=agent_id,
            host_name=_shown(wanted.host_name),
            recovery_csr=wanted.recovery_csr,
            domain=self._domain(),
            issuers=self._issuing.issuers(),
            now=now(),
        )
        try:
            (leaf,) = await self._issuing.issue(Intent((*spent, *intent.writes), intent.drafts))
        except NonceSpent as error:
            raise _stale() from error
        except Conflict as error:  # two hosts had the same ticket or token, and the other was faster
            if not admission.ticket_id:
                raise Refused(str(error)) from error
            await self._replayed(admission.ticket_id, wanted.host_name, request.client)
            raise TicketRefused(_USED_BEFORE) from error
        host = await self._directory.host(agent_id)
        if host is None:
            raise TicketRefused("the host was taken out again while it joined")
        self._on_joined(host)
        answer = JoinResponse(agent_id, self._domain().trust_domain, leaf.chain, self._issuing.issuers().roots)
        return Response(200, _proven(answer, admission, transcript).encode(), PROTOBUF)

    async def recover(self, request: Request) -> Response:
        """A host whose certificate has ended, and which has kept its recovery key."""
        check_version(request)
        wanted = RecoverRequest.decode(request.body)
        spent = self._spend(wanted.challenge)
        transcript = self._signed(
            wanted.csr,
            wanted.signature,
            lambda seen: Transcript.of_recovery(wanted.agent_id, wanted.challenge, seen, wanted.csr),
        )
        host = await self._directory.host(wanted.agent_id)
        if host is None:
            raise Refused(f"this is not the recovery key of the agent {wanted.agent_id[:80]}")
        identity = str(self._domain().trust_domain.agent(host.agent_id))
        intent = stories.recover(
            host,
            transcript,
            wanted.recovery_signature,
            await self._registry.recovery_key(host.agent_id),
            await self._registry.certificate_ended(identity),
            grace=self._settings().recovery_grace,
            domain=self._domain(),
            issuers=self._issuing.issuers(),
            now=now(),
        )
        try:
            (leaf,) = await self._issuing.issue(Intent((*spent, *intent.writes), intent.drafts))
        except NonceSpent as error:
            raise _stale() from error
        _log.info("host recovered", agent=host.agent_id, name=host.name)
        return Response(200, Chain(leaf.chain).encode(), PROTOBUF)

    async def _admit(self, wanted: JoinRequest, transcript: Transcript, client: str) -> Admission:
        if wanted.attestor not in ("", "ticket"):
            return await self._admit_by_rules(wanted, transcript, client)
        ticket = await self._directory.ticket(wanted.ticket_id)
        bounds = await self._registry.bounds(wanted.ticket_id)
        found = ticket_evidence.redeem(
            ticket, bounds, transcript, wanted.proof,
            client=client, key_pin=pin(read_request(wanted.csr).public_key_der), now=now(),
        )  # fmt: skip
        if isinstance(found, Replay):
            await self._replayed(found.ticket_id, wanted.host_name, client)
            raise TicketRefused(_USED_BEFORE, next_step="make a new one with `handsel agent ticket`")
        return found

    async def _admit_by_rules(self, wanted: JoinRequest, transcript: Transcript, client: str) -> Admission:
        if wanted.attestor not in registration.ATTESTORS:
            raise Refused(f"there is no attestor {wanted.attestor[:80]!r}: {', '.join(registration.ATTESTORS)}")
        rules = [rule for rule in self._settings().registration if rule.attestor == wanted.attestor]
        tried = [(rule, await self._attest(rule, wanted, transcript)) for rule in rules]
        try:
            return registration.admit(wanted.attestor, tried, self._domain())
        except Refused as error:
            _log.warning("a host was not let in", attestor=wanted.attestor, client=client, reason=str(error))
            raise

    async def _attest(self, rule: Registration, wanted: JoinRequest, transcript: Transcript) -> Attested | Refused:
        try:
            trust = await self._trust.of(rule, wanted.evidence.token)
            attestor = registration.ATTESTORS[rule.attestor]
            return attestor.attest(rule, trust, wanted.evidence, transcript, now())
        except Refused as error:
            return error

    async def _replayed(self, ticket_id: str, host_name: str, client: str) -> None:
        """Raise the alarm, and put whoever came first into quarantine."""
        for _ in range(_TRIES):
            use = await self._registry.use_of(ticket_id)
            host = await self._directory.host(use.agent_id) if use else None
            if use is None or host is None:
                return
            outcome = stories.replayed(use, host.standing, host_name=_shown(host_name), client=client, now=now())
            with contextlib.suppress(Conflict):  # it was told at the same moment: decide again
                await self._store.commit(outcome.writes)
                if outcome.answer is not None:
                    quarantined = "ticket replayed: its host is in quarantine"
                    _log.error(quarantined, ticket=ticket_id, agent=use.agent_id, cause=outcome.answer)
                return

    def _spend(self, challenge: str) -> Writes:
        if not challenge:
            raise Refused("the host sent no challenge: its handsel is too old to join here", next_step="update it")
        try:
            return self._challenges.spend(challenge)
        except Problem as error:
            raise _stale() from error

    def _seen(self, wanted: JoinRequest) -> Transcript:
        return self._signed(
            wanted.csr,
            wanted.signature,
            lambda seen: Transcript(
                wanted.attestor, wanted.ticket_id, wanted.challenge, seen, wanted.csr, wanted.recovery_csr,
                wanted.host_name,
            ),
        )  # fmt: skip

    def _signed(self, csr_der: bytes, by_key: bytes, transcript_of: Callable[[bytes], Transcript]) -> Transcript:
        """The transcript that the request's key has signed: the one with a certificate of ours. Raises `Refused`."""
        key = read_request(csr_der).public_key
        for certificate in self._server_certificates():
            transcript = transcript_of(certificate)
            if signature.holds(key, by_key, transcript.signed()):
                return transcript
        raise Refused(
            "the host did not see this server's certificate: somebody sits between",
            next_step="check the address, and what is on the way",
        )


def _proven(answer: JoinResponse, admission: Admission, transcript: Transcript) -> JoinResponse:
    if admission.ticket_key is None:
        return answer
    proof = tickets.prove_answer(admission.ticket_key, transcript, answer)
    return JoinResponse(answer.agent_id, answer.trust_domain, answer.chain, answer.roots, proof)


def _shown(host_name: str) -> str:
    """A host's name as people will read it: whatever it sends, their terminals stay whole."""
    return "".join(each if each.isprintable() else "?" for each in host_name[:_LONGEST_HOST_NAME])


def _stale() -> Refused:
    return Refused("the challenge is not of this server, too old, or was used before", next_step="try again")
