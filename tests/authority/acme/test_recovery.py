"""What a crash leaves of orders and challenges."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from handsel.authority import service
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.service import Intent
from tests.authority.acme.world import AcmeWorld

A = "a.test.internal"


class Killed(BaseException):
    """The process ended here."""


async def test_an_order_whose_making_broke_off_can_be_finalized_again(
    acme: AcmeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await acme.client()
    order = await client.order(A)
    await client.prove(order)

    async def dies(_self: Issuing, intent: Intent, **_: object) -> None:
        await acme.store.commit(intent.writes)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Issuing, "issue", dies)
        with pytest.raises(Killed):
            await client.finalize(order, A)
    where = order.headers["Location"]
    assert (await client.post(where)).json["status"] == "processing"
    assert "Retry-After" in (await client.post(where)).headers
    await acme.door.recover()  # the intention still stands: another server may be at it
    assert (await client.post(where)).json["status"] == "processing"
    unfinished = await acme.directory.unfinished()
    assert len(unfinished) == 1
    await acme.store.commit(service.settle(unfinished, now=datetime.now(UTC)).writes)
    acme.door = acme.open_door()
    await acme.door.recover()
    assert (await client.post(where)).json["status"] == "ready"
    assert (await client.finalize(order, A)).json["status"] == "valid"
    await acme.door.recover()
    assert (await client.post(where)).json["status"] == "valid"


async def test_a_challenge_that_nobody_saw_to_the_end_is_looked_at_again(acme: AcmeWorld) -> None:
    acme.hold = asyncio.Event()
    client = await acme.client()
    order = await client.order(A)
    (url,) = order.json["authorizations"]
    await client.post((await client.post(url)).json["challenges"][0]["url"], {})
    await asyncio.sleep(0)
    await acme.door.stop()
    assert (await client.post(url)).json["challenges"][0]["status"] == "processing"
    acme.hold = None
    seen = len(acme.seen)
    acme.door = acme.open_door()
    await acme.door.recover()
    await acme.door.recover()  # what is under way is not looked at twice
    assert (await client.settled(url))["status"] == "valid"
    assert acme.seen[seen:] == [("http-01", A, acme.seen[0][2], client.thumbprint)]
