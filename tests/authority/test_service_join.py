"""The story of a host that joins: a ticket, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from handsel.authority import service
from handsel.authority.model import ALL_SERVICES, Admission
from handsel.errors import Conflict, Refused, TicketRefused
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret
from handsel.store.journal import first_broken
from tests.authority.world import EMOJI, SECRET, ReplayedError
from tests.support import TRUST_DOMAIN

KEY = PrivateKey.generate()


async def test_a_host_with_a_ticket_gets_an_identity_of_its_own(world):
    await world.ticket(("web", "emoji"))
    (certificate,) = await world.issue(await world.intend_join(KEY, agent_id="a1"))
    assert certificate.spiffe_id == TRUST_DOMAIN.agent("a1")
    assert certificate.public_key_der == KEY.public_der()
    host = await world.directory.host("a1")
    assert (host.name, host.services, host.joined) == ("host.example", ("web", "emoji"), world.now)
    assert await world.kinds() == ["ticket", "joined", "intended", "issued"]
    assert first_broken(await world.store.journal_lines()) is None


async def test_a_ticket_for_all_registers_every_service(world):
    await world.ticket(ALL_SERVICES)
    await world.issue(await world.intend_join(KEY))
    assert (await world.directory.host("a1")).may_run("anything")


async def test_a_ticket_burns_with_its_first_use(world):
    await world.ticket()
    await world.issue(await world.intend_join(KEY, agent_id="a1"))
    with pytest.raises(ReplayedError, match="t1"):
        await world.intend_join(KEY, agent_id="a2")
    assert [host.agent_id for host in await world.directory.hosts()] == ["a1"]


async def test_of_many_who_race_with_one_ticket_exactly_one_joins(world):
    await world.ticket()
    # All of them were looked at before the first one was written.
    intents = [await world.intend_join(PrivateKey.generate(), agent_id=f"a{number}") for number in range(10)]
    results = await asyncio.gather(*(world.issue(intent) for intent in intents), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in results) == 9
    assert len(await world.directory.hosts()) == 1
    assert await world.directory.issued_count() == 1
    assert (await world.kinds()).count("joined") == 1
    assert first_broken(await world.store.journal_lines()) is None


async def test_two_tickets_let_two_hosts_in(world):
    for name in ("one", "two"):
        await world.ticket(ticket_id=name)
        await world.issue(await world.intend_join(KEY, ticket_id=name, agent_id=name))
    assert {host.agent_id for host in await world.directory.hosts()} == {"one", "two"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        pytest.param({"ticket_id": "t2"}, "not known", id="another ticket"),
        pytest.param({"secret": Secret(b"x" * 32)}, "secret is wrong", id="another secret"),
        pytest.param({"seen": b"x" * 32}, "secret is wrong", id="the certificate of somebody in between"),
    ],
)
async def test_who_cannot_prove_it_does_not_join_and_the_ticket_stays_good(world, wrong, reason):
    await world.ticket()
    with pytest.raises(TicketRefused, match=reason):
        await world.intend_join(KEY, **wrong)
    assert await world.issue(await world.intend_join(KEY))


async def test_the_proof_binds_the_key_that_is_certified(world):
    """Somebody in between cannot put a request of his own beside the proof of another."""
    await world.ticket()
    with pytest.raises(TicketRefused, match="secret is wrong"):
        await world.intend_join(KEY, request=csr.build(PrivateKey.generate(), None))
    assert await world.intend_join(KEY)


@pytest.mark.parametrize(
    ("age", "good"), [(timedelta(minutes=10, microseconds=-1), True), (timedelta(minutes=10), False)]
)
async def test_a_ticket_ends(world, age, good):
    await world.ticket()
    world.now += age
    if good:
        assert await world.intend_join(KEY)
    else:
        with pytest.raises(TicketRefused, match="ended at"):
            await world.intend_join(KEY)


async def test_who_does_not_know_the_secret_learns_nothing_about_the_ticket(world):
    await world.ticket()
    await world.issue(await world.intend_join(KEY))
    world.now += timedelta(days=1)
    with pytest.raises(TicketRefused, match="secret is wrong"):
        await world.intend_join(KEY, secret=Secret(b"x" * 32))


async def test_a_host_cannot_choose_its_name(world):
    await world.ticket()
    (certificate,) = await world.issue(await world.intend_join(KEY, identity=EMOJI))
    assert certificate.spiffe_id == TRUST_DOMAIN.agent("a1")


async def test_a_request_that_makes_no_sense_burns_nothing(world):
    await world.ticket()
    admission = Admission(("web",), "ticket t1", "ticket t1", ticket_id="t1")
    with pytest.raises(Refused):
        service.join(admission, b"nonsense", agent_id="a1", host_name="h", recovery_csr=b"", **world.handed_in)
    assert await world.issue(await world.intend_join(KEY))


async def test_every_refusal_of_a_ticket_says_how_to_get_a_new_one(world):
    with pytest.raises(TicketRefused) as caught:
        await world.intend_join(KEY)
    assert "handsel agent ticket" in caught.value.next_step


async def test_the_server_keeps_nothing_that_gives_the_secret_away(world, tmp_path):
    await world.ticket()
    await world.issue(await world.intend_join(KEY))
    world.store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("handsel.db*"))
    assert b"t1" in stored
    assert SECRET.reveal() not in stored
