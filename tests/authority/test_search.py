"""The directory, searched over a real store by everything that a person may know of a certificate."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import revocation, service
from handsel.authority.adapters.search_tables import Search
from handsel.authority.revocation import Reason
from handsel.authority.search import State, Wanted, forecast, read_wanted
from handsel.errors import UsageError
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from tests.authority.world import EMOJI, WEB
from tests.support import NOW


@pytest.fixture
async def issued(world):
    """Two leaves of one host, and the host's own."""
    host = await world.host("web", "emoji")
    wanted = [(name, csr.build(PrivateKey.generate(), None)) for name in ("web", "emoji")]
    leaves = await world.issue(service.sign_workloads(host, wanted, **world.handed_in))
    return [getattr(leaf, "certificate", leaf) for leaf in leaves]


async def serials(world, **wanted) -> set[str]:
    return {each.serial for each in await Search(world.store).find(Wanted(**wanted), now=world.now)}


async def test_each_way_to_know_a_certificate_finds_it_and_not_the_other(world, issued):
    web, emoji = issued
    for wanted in (
        {"serial": web.serial}, {"identity": str(WEB)}, {"name": str(WEB)}, {"name": "*sa/web"},
        {"fingerprint": web.fingerprint},
    ):  # fmt: skip
        assert await serials(world, **wanted) == {web.serial}, wanted
    assert await serials(world, profile="workload") == {web.serial, emoji.serial}
    assert await serials(world, profile="workload", name=str(EMOJI)) == {emoji.serial}
    assert await serials(world, name="%") == set()


async def test_what_is_revoked_or_over_is_said_so(world, issued):
    web, emoji = issued
    outcome = revocation.revoke(web.serial, "issuing", Reason.KEY_COMPROMISE, by="test", now=world.now)
    await world.store.commit(outcome.writes)
    assert await serials(world, profile="workload", state=State.REVOKED) == {web.serial}
    assert await serials(world, profile="workload", state=State.VALID) == {emoji.serial}
    (found,) = await Search(world.store).find(Wanted(serial=web.serial), now=world.now)
    assert (found.state(world.now), found.reason) == (State.REVOKED, "key_compromise")
    world.now += timedelta(hours=2)
    assert await serials(world, profile="workload", state=State.EXPIRED) == {emoji.serial}


async def test_a_long_answer_comes_in_parts(world, issued):
    everything = await serials(world)
    assert len(everything) == 3
    seen, after = [], None
    while found := await Search(world.store).find(Wanted(after=after, most=1), now=world.now):
        seen += [each.serial for each in found]
        after = found[-1].serial
    assert seen == sorted(everything)


async def test_what_ends_soon_is_found_and_counted(world, issued):
    soon = await serials(world, ends_before=world.now + timedelta(hours=1, seconds=1))
    assert soon == {each.serial for each in issued}
    ends = await Search(world.store).ends(now=world.now, until=timedelta(days=2))
    counted = forecast(ends, now=world.now, span=timedelta(hours=12), spans=4)
    assert [each.by_profile for each in counted] == [{"workload": 2}, {}, {"agent": 1}, {}]


@given(st.dictionaries(st.sampled_from(["serial", "most", "state", "expires_within", "issued_within"]), st.text()))
def test_a_search_that_makes_no_sense_is_refused_in_words(query):
    try:
        read_wanted(query, now=NOW)
    except UsageError as error:
        assert "cannot be searched" in str(error)  # noqa: PT017  # whatever text comes, nothing else is raised
