"""A host that was asleep too long proves by the key that it registered who it is (section 3, re-attestation key)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.agent import join
from handsel.authority.adapters import attest_http
from handsel.authority.attest import stories
from handsel.authority.model import Standing
from handsel.errors import NotAuthorised, Refused
from handsel.link.joining import RecoverRequest
from handsel.link.messages import Chain
from handsel.pki.keys import PrivateKey
from tests.authority.attest.world import BEFORE, SHOWN, Joined
from tests.support import NOW, TRUST_DOMAIN

LIFE, GRACE = timedelta(hours=24), timedelta(days=7)


async def _recover(doors, joined: Joined, *, recovery_key=None, seen=SHOWN, agent_id=None, challenge=None):
    key = PrivateKey.generate()
    request = join.recovery(
        agent_id or joined.answer.agent_id, key, recovery_key or joined.recovery_key,
        challenge or await doors.challenge(), seen,
    )  # fmt: skip
    answer = await doors.call("recover", request.encode())
    return key, Chain.decode(answer.body).chain


async def test_a_host_comes_back_with_a_new_key_and_the_same_name(doors):
    joined = await doors.join(await doors.ticket("web"))
    for seen in (SHOWN, BEFORE):
        key, chain = await _recover(doors, joined, seen=seen)
        assert chain[0].public_key_der == key.public_der()
        assert chain[0].spiffe_id == TRUST_DOMAIN.agent(joined.answer.agent_id)
    assert "recovered" in await doors.kinds()


@pytest.mark.parametrize(("away", "good"), [(LIFE + GRACE - timedelta(minutes=1), True), (LIFE + GRACE, False)])
async def test_after_the_grace_it_must_join_again(doors, monkeypatch, away, good):
    joined = await doors.join(await doors.ticket("web"))
    began = attest_http.now()
    monkeypatch.setattr(attest_http, "now", lambda: began + away)
    if good:
        assert await _recover(doors, joined)
    else:
        with pytest.raises(Refused, match="away for longer") as caught:
            await _recover(doors, joined)
        assert "handsel agent ticket" in caught.value.next_step


async def test_only_its_own_recovery_key_for_this_very_request(doors):
    joined = await doors.join(await doors.ticket("web"))
    used = await doors.challenge()
    await _recover(doors, joined, challenge=used)
    for changes, reason in (
        ({"recovery_key": PrivateKey.generate()}, "not the recovery key"),
        ({"recovery_key": joined.key}, "not the recovery key"),
        ({"agent_id": "nobody"}, "not the recovery key"),
        ({"seen": b"x" * 32}, "somebody sits between"),
        ({"challenge": used}, "used before"),
    ):
        with pytest.raises(Refused, match=reason):
            await _recover(doors, joined, **changes)
    mine, theirs = PrivateKey.generate(), PrivateKey.generate()
    challenge, agent = await doors.challenge(), joined.answer.agent_id
    right = join.recovery(agent, theirs, joined.recovery_key, challenge, SHOWN)
    stolen = join.recovery(agent, mine, mine, challenge, SHOWN)
    mixed = RecoverRequest(agent, stolen.csr, challenge, stolen.signature, right.recovery_signature)
    with pytest.raises(Refused, match="not the recovery key"):
        await doors.call("recover", mixed.encode())
    assert await _recover(doors, joined)


@pytest.mark.parametrize(("standing", "error"), [(Standing.QUARANTINED, Refused), (Standing.BANNED, NotAuthorised)])
async def test_a_host_that_is_kept_out_stays_out(doors, standing, error):
    joined = await doors.join(await doors.ticket("web"))
    host = await doors.directory.host(joined.answer.agent_id)
    await doors.store.commit(stories.set_standing(host, standing, "why", now=NOW, by="local").writes)
    with pytest.raises(error, match="why"):
        await _recover(doors, joined)
