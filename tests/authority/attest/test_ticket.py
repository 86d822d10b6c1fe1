"""Joining by ticket through the door: both sides prove, each proof is good for one join, and replays raise an alarm.

The rows of the reference are of section 3, "Join ticket".
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from handsel.agent import join
from handsel.authority.attest import stories
from handsel.authority.model import Standing, TicketBounds
from handsel.authority.revocation import Reason
from handsel.door.asgi import Request
from handsel.errors import Conflict, NotAuthorised, ProtocolError, Refused, TicketRefused
from handsel.link import ticket as tickets
from handsel.link.joining import JoinRequest, JoinResponse
from handsel.link.messages import RenewRequest, SignBatchRequest
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret
from handsel.store.journal import JournalEntry, first_broken
from tests.authority.attest.world import BEFORE, SHOWN, TICKET_ID, WEB
from tests.support import NOW, TRUST_DOMAIN, TestAuthority


async def test_a_host_joins_and_is_told_to_the_mesh_when_it_is_durable(doors):
    way, key = await doors.ticket("web"), PrivateKey.generate()
    joined = await doors.join(way, key)
    answer = joined.answer
    assert answer.chain[0].public_key_der == key.public_der()
    assert answer.chain[0].spiffe_id == TRUST_DOMAIN.agent(answer.agent_id)
    assert answer.roots == (doors.authority.issuer.root,)
    assert doors.joined == await doors.directory.hosts()
    assert (doors.joined[0].name, doors.joined[0].services) == ("host.example", ("web",))
    assert first_broken(await doors.store.journal_lines()) is None


async def test_the_server_proves_that_it_knows_the_ticket_before_pins_are_looked_at(doors):
    """Section 3: the server MACs back, and the host believes what it answered by that."""
    joined = await doors.join(await doors.ticket("web"))
    key = tickets.derive(Secret(b"s" * 16))
    assert tickets.answer_holds(key, joined.sent.transcript, joined.answer)
    stranger = TestAuthority.make(doors.authority.now)
    for change in (
        {"roots": (*joined.answer.roots, stranger.issuer.root)},
        {"chain": stranger.pair(TRUST_DOMAIN.agent("x")).chain},
        {"agent_id": "another"},
        {"proof": b""},
        {"proof": bytes(32)},
    ):
        with pytest.raises(TicketRefused, match="does not know this ticket"):
            join.check_answer(doors.ticket_way(), joined.sent, replace(joined.answer, **change))


async def test_an_answer_to_one_join_is_none_to_another(doors):
    joined = await doors.join(await doors.ticket("web"))
    again = join.request(
        doors.ticket_way(), joined.key, joined.recovery_key, await doors.challenge(), SHOWN, "host.example"
    )
    with pytest.raises(TicketRefused, match="does not know this ticket"):
        join.check_answer(doors.ticket_way(), again, joined.answer)


async def test_the_host_looks_at_the_pins_too(doors):
    way = await doors.ticket("web")
    other = replace(way, ticket=replace(way.ticket, pins=("00" * 32,)))
    with pytest.raises(TicketRefused, match="other root keys"):
        await doors.join(other)


@pytest.mark.parametrize(("seen", "good"), [(SHOWN, True), (BEFORE, True), (b"x" * 32, False)])
async def test_a_relay_with_a_certificate_of_its_own_gains_nothing(doors, seen, good):
    """Section 3: the server compares the certificate that was seen with the ones that it presented."""
    way = await doors.ticket("web")
    if good:
        assert await doors.join(way, seen=seen)
        return
    with pytest.raises(Refused, match="somebody sits between"):
        await doors.join(way, seen=seen)
    assert not doors.joined
    assert await doors.join(way), "and the ticket is still good"


async def test_a_relay_cannot_put_its_own_key_beside_the_proof_of_another(doors):
    way, thief = await doors.ticket("web"), PrivateKey.generate()
    challenge = await doors.challenge()
    theirs = join.request(way, PrivateKey.generate(), PrivateKey.generate(), challenge, SHOWN, "host.example")
    stolen = join.request(
        doors.ticket_way(Secret(b"?" * 16)), thief, PrivateKey.generate(), challenge, SHOWN, "host.example"
    )
    with pytest.raises(TicketRefused, match="secret is wrong"):
        await doors.call("join", replace(stolen.request, proof=theirs.request.proof).encode())
    assert await doors.join(way)


@pytest.mark.parametrize("field", ["csr", "host_name", "recovery_csr", "challenge", "ticket_id", "attestor"])
async def test_nothing_of_a_request_can_be_changed_on_the_way(doors, field):
    way = await doors.ticket("web")
    other = csr.build(PrivateKey.generate(), None)
    values = {"csr": other, "recovery_csr": other, "challenge": await doors.challenge(), "attestor": "oidc"}
    with pytest.raises(Refused):
        await doors.join(way, change=lambda request: replace(request, **{field: values.get(field, "b" * 16)}))
    assert await doors.join(way)


async def test_a_challenge_is_good_once_and_only_here(doors):
    way = await doors.ticket("web")
    for challenge in ("", "nonsense", "A" * 44):
        with pytest.raises(Refused, match="challenge"):
            await doors.join(way, challenge=challenge or "x")
    challenge = await doors.challenge()
    with pytest.raises(Refused):
        await doors.join(doors.ticket_way(Secret(b"?" * 16)), challenge=challenge)
    with pytest.raises(Refused, match="challenge"):
        await doors.join(way, challenge=challenge)
    assert await doors.join(way)


async def test_a_second_redemption_raises_the_alarm_and_puts_the_first_host_into_quarantine(doors):
    """Section 3: a second one raises ticket.replayed and quarantines the identity that the first one made."""
    way = await doors.ticket("web")
    first = (await doors.join(way)).answer
    for call, body in _calls():
        assert (await doors.call(call, body, first.chain[0])).status == 200

    with pytest.raises(TicketRefused, match="used before"):
        await doors.join(way, host_name="second.example", client="10.0.0.99")
    host = await doors.directory.host(first.agent_id)
    assert host.standing is Standing.QUARANTINED
    assert "second.example at 10.0.0.99" in host.cause
    assert (await doors.kinds())[-1] == "ticket replayed"
    for call, body in _calls():
        with pytest.raises(Refused, match="in quarantine"):
            await doors.call(call, body, first.chain[0])

    lifted = stories.set_standing(host, Standing.GOOD, "looked into", now=NOW, by="local")
    await doors.store.commit(lifted.writes)
    for call, body in _calls():
        assert (await doors.call(call, body, first.chain[0])).status == 200


async def test_a_ticket_that_comes_again_and_again_is_told_once_an_hour_and_counted(doors):
    """Else whoever holds an old ticket fills the disk with lines about it."""
    way = await doors.ticket("web")
    first = (await doors.join(way)).answer

    async def come_again(times: int) -> list[str]:
        before = len(await doors.kinds())
        for _ in range(times):
            with pytest.raises(TicketRefused, match="used before"):
                await doors.join(way)
        return [entry for _, entry, _ in await doors.store.journal_lines()][before:]

    async def standing() -> Standing:
        return (await doors.directory.host(first.agent_id)).standing

    assert [each.count('"not_told":"0"') for each in await come_again(20)] == [1]
    assert (await doors.registry.use_of(TICKET_ID)).untold == 19
    # Whoever was let back is put into quarantine again at once, and that is told.
    host = await doors.directory.host(first.agent_id)
    await doors.store.commit(stories.set_standing(host, Standing.GOOD, "looked into", now=NOW, by="local").writes)
    assert [each.count('"not_told":"19"') for each in await come_again(5)] == [1]
    assert await standing() is Standing.QUARANTINED

    use = await doors.registry.use_of(TICKET_ID)
    said = {"host_name": "h", "client": "c"}
    for since, lines in ((timedelta(minutes=59), 0), (timedelta(hours=1), 1), (timedelta(hours=-1), 1)):
        told = stories.replayed(use, Standing.QUARANTINED, now=use.told + since, **said)
        assert (sum(isinstance(each, JournalEntry) for each in told.writes), bool(told.answer)) == (lines, bool(lines))
    await doors.store.commit(stories.replayed(use, Standing.GOOD, now=use.told + timedelta(seconds=1), **said).writes)
    with pytest.raises(Conflict):  # of two that were decided at once, one is told
        await doors.store.commit(stories.replayed(use, Standing.GOOD, now=NOW, **said).writes)


async def test_of_two_that_race_with_one_ticket_the_slower_is_refused_and_the_faster_is_in_quarantine(doors):
    way = await doors.ticket("web")
    results = await asyncio.gather(*(doors.join(way) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in results].count(TicketRefused) == 4
    assert (await doors.kinds()).count("ticket replayed") == 1
    (host,) = await doors.directory.hosts()
    assert host.standing is Standing.QUARANTINED
    assert await doors.directory.issued_count() == 1


async def test_who_does_not_know_the_secret_cannot_put_a_host_into_quarantine(doors):
    way = await doors.ticket("web")
    await doors.join(way)
    with pytest.raises(TicketRefused, match="secret is wrong"):
        await doors.join(doors.ticket_way(Secret(b"?" * 16)))
    (host,) = await doors.directory.hosts()
    assert host.standing is Standing.GOOD


async def test_a_banned_host_is_not_listened_to_and_a_replay_does_not_soften_that(doors):
    way = await doors.ticket("web")
    first = (await doors.join(way)).answer
    assert await doors.agents.host(_asked_by(first))
    host = await doors.directory.host(first.agent_id)
    await doors.store.commit(stories.set_standing(host, Standing.BANNED, "sold", now=NOW, by="local").writes)
    with pytest.raises(NotAuthorised, match="banned: sold"):
        await doors.agents.host(_asked_by(first))
    with pytest.raises(TicketRefused):
        await doors.join(way)
    assert (await doors.directory.host(first.agent_id)).standing is Standing.BANNED


async def test_a_ban_revokes_what_the_host_has_and_nothing_else(doors):
    """Revoked means cut off: its own certificate and those of its services, in the commit of the ban."""
    first = (await doors.join(await doors.ticket("web"))).answer
    for call, body in _calls():
        await doors.call(call, body, first.chain[0])
    agent, moment = f"agent/{first.agent_id}", datetime.now(UTC)
    living = await doors.registry.living(agent, moment)
    assert len(living) == 3
    assert await doors.registry.living(agent, moment + timedelta(days=2)) == []
    assert await doors.registry.living("agent/another", moment) == []

    host = await doors.directory.host(first.agent_id)
    for standing, revoked in ((Standing.QUARANTINED, 0), (Standing.BANNED, 3)):
        told = stories.set_standing(host, standing, "why", now=moment, by="local", living=living)
        await doors.store.commit(told.writes)
        assert len(await doors.registry.living(agent, moment)) == 3 - revoked
    assert (await doors.kinds()).count("revoked") == 3
    record = await doors.directory.record(first.chain[0].serial)
    assert record.reason is Reason.PRIVILEGE_WITHDRAWN


def _calls() -> list[tuple[str, bytes]]:
    """What an agent asks for, with fresh keys."""
    renew = RenewRequest(csr.build(PrivateKey.generate(), None)).encode()
    sign = SignBatchRequest((("web", csr.build(PrivateKey.generate(), WEB)),)).encode()
    return [("renew", renew), ("sign-batch", sign)]


def _asked_by(answer: JoinResponse) -> Request:
    return Request("POST", "/", {}, {"handsel-link-version": "1"}, b"", answer.chain[0].der)


KEY = PrivateKey.generate()


@pytest.mark.parametrize(
    ("bounds", "right", "wrong", "reason"),
    [
        (TicketBounds(host_name="a.example"), {"host_name": "a.example"}, {"host_name": "b.example"}, "for the host"),
        (TicketBounds(network="10.0.0.0/24"), {"client": "10.0.0.9"}, {"client": "10.0.1.9"}, "for hosts in"),
        (TicketBounds(network="10.0.0.0/24"), {"client": "::ffff:10.0.0.9"}, {"client": "::1"}, "for hosts in"),
        (TicketBounds(network="fd00::/8"), {"client": "fd00::1"}, {"client": "unix"}, "for hosts in"),
        (TicketBounds(key_pin=KEY.pin()), {"key": KEY}, {"key": PrivateKey.generate()}, "for another key"),
    ],
)
async def test_a_ticket_may_be_bound_to_a_name_a_network_or_a_key(doors, bounds, right, wrong, reason):
    """Section 3: optional node name, CIDR, and `cnf`."""
    way = await doors.ticket("web", bounds=bounds)
    with pytest.raises(TicketRefused, match=reason):
        await doors.join(way, **wrong)
    assert await doors.join(way, **right), "who was refused has not burnt it"


async def test_an_agent_that_knows_no_challenge_is_told_so(doors):
    """A host of the version before sends neither challenge nor signature."""
    await doors.ticket("web")
    old = JoinRequest(TICKET_ID, csr.build(PrivateKey.generate(), None), b"\0" * 32, "h")
    with pytest.raises(Refused, match="too old to join here"):
        await doors.call("join", old.encode())


@pytest.mark.parametrize("call", ["join", "recover"])
async def test_a_body_that_makes_no_sense_is_a_protocol_error(doors, call):
    with pytest.raises(ProtocolError):
        await doors.call(call, b"\xff\xff\xff")


@pytest.mark.parametrize(("method", "call"), [("POST", "join"), ("POST", "recover"), ("GET", "challenge")])
@pytest.mark.parametrize("version", [None, "0", "2", ""])
async def test_another_version_of_the_link_is_refused(doors, method, call, version):
    with pytest.raises(ProtocolError, match="version 1"):
        await doors.call(call, b"", None, version, method=method)


async def test_a_name_of_a_host_is_short_and_does_nothing_to_a_terminal(doors):
    await doors.join(await doors.ticket("web"), host_name="\x1b[2J" + "h" * 5000)
    assert len(doors.joined[0].name) < 300
    assert doors.joined[0].name.isprintable()
