"""The directory in tables: what was written is read back, and each state is reached once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.authority.adapters.tables import Directory
from handsel.authority.directory import Abandoned, HostJoined, Intended, Issued, TicketMade, TicketRedeemed
from handsel.authority.model import ALL_SERVICES, Host, Ticket
from handsel.errors import Conflict
from tests.support import NOW

TICKET = Ticket("t1", b"k" * 32, ("web", "emoji"), NOW + timedelta(minutes=10, microseconds=250_000))
HOST = Host("a1", "host.example", ("web",), NOW)


def _intended(serial: str, *names: str) -> Intended:
    ends = NOW + timedelta(hours=1)
    return Intended(serial, names[0], names, "issuing", "workload", "ab" * 32, NOW, ends, "agent/a1")


INTENDED = _intended("7", "spiffe://test.internal/x")


@pytest.mark.parametrize("services", [("web", "emoji"), ("web",), ALL_SERVICES])
async def test_a_ticket_is_read_back_as_it_was_made(store, services):
    ticket = Ticket("t1", b"\0\xff" * 16, services, TICKET.expires)
    await store.commit((TicketMade(ticket),))
    assert await Directory(store).ticket("t1") == ticket
    assert await Directory(store).ticket("t2") is None


async def test_a_ticket_is_redeemed_once(store):
    await store.commit((TicketMade(TICKET),))
    await store.commit((TicketRedeemed("t1"),))
    assert (await Directory(store).ticket("t1")).redeemed
    with pytest.raises(Conflict, match="used before"):
        await store.commit((TicketRedeemed("t1"),))


async def test_a_ticket_that_is_not_there_cannot_be_redeemed(store):
    with pytest.raises(Conflict):
        await store.commit((TicketRedeemed("t1"),))


async def test_hosts_are_read_back_in_the_order_in_which_they_joined(store):
    later = Host("a0", "other.example", ALL_SERVICES, NOW + timedelta(milliseconds=1))
    await store.commit((HostJoined(later), HostJoined(HOST)))
    assert await Directory(store).hosts() == [HOST, later]
    assert await Directory(store).host("a1") == HOST
    assert await Directory(store).host("nobody") is None


@pytest.mark.parametrize("settled", [Issued("7", b"der", "cd" * 32), Abandoned("7")])
async def test_an_intention_is_settled_once(store, settled):
    await store.commit((INTENDED,))
    assert await Directory(store).unfinished() == ["7"]
    await store.commit((settled,))
    assert await Directory(store).unfinished() == []
    for again in (Issued("7", b"other", "ef" * 32), Abandoned("7")):
        with pytest.raises(Conflict, match="serial 7 was not intended"):
            await store.commit((again,))


async def test_only_what_was_issued_is_counted(store):
    await store.commit((INTENDED, _intended("8", "x"), _intended("9", "x")))
    await store.commit((Issued("7", b"der", "cd" * 32), Abandoned("8")))
    assert await Directory(store).issued_count() == 1


def test_a_host_may_run_what_is_registered_to_it():
    assert HOST.may_run("web")
    assert not HOST.may_run("emoji")
    assert Host("a", "h", ALL_SERVICES, NOW).may_run("emoji")
    assert not Host("a", "h", (), NOW).may_run("*")
