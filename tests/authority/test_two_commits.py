"""A process that ends at a commit: what it could not write down is handed out to nobody."""

from __future__ import annotations

import json

import pytest

from handsel.authority import service
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.tables import APPLIERS, Directory
from handsel.authority.model import Domain, Issuers
from handsel.authority.profile import Lifetimes, profiles
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import first_broken
from handsel.store.outcome import Writes
from tests.support import NOW, TRUST_DOMAIN

DOMAIN = Domain(TRUST_DOMAIN, {}, profiles(Lifetimes()))


class Ended(BaseException):
    """The process is gone."""


class Ending(SqliteStore):
    """A store whose process ends at a commit: before it is made, or once it is durable but nobody was told."""

    left: int
    durable: bool

    async def commit(self, writes: Writes) -> None:
        self.left -= 1
        if self.left == 0 and not self.durable:
            raise Ended
        await super().commit(writes)
        if self.left == 0:
            raise Ended


@pytest.mark.parametrize(
    ("at", "durable", "state", "kinds"),
    [
        pytest.param(1, False, None, [], id="before the intention"),
        pytest.param(1, True, "abandoned", ["intended", "abandoned"], id="after the intention, the key not used"),
        pytest.param(2, False, "abandoned", ["intended", "abandoned"], id="signed, the result not written down"),
        pytest.param(2, True, "issued", ["intended", "issued"], id="written down, not answered"),
        pytest.param(9, True, "issued", ["intended", "issued"], id="never"),
    ],
)
async def test_what_is_handed_out_is_in_the_books(tmp_path, authority, at, durable, state, kinds):
    issuers = Issuers.only(authority.issuer)
    store = Ending(tmp_path / "handsel.db", APPLIERS)
    store.left, store.durable = at, durable
    request = csr.build(PrivateKey.generate(), TRUST_DOMAIN.server)
    intent = service.certify_server(request, ("localhost",), (), domain=DOMAIN, issuers=issuers, now=NOW)
    handed_out = []
    try:
        handed_out = list(await Issuing(store, lambda: issuers).issue(intent))
    except Ended:
        assert at <= 2
    store.close()

    store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
    directory = Directory(store)
    await store.commit(service.settle(await directory.unfinished(), now=NOW).writes)
    serial = intent.drafts[0].draft.serial
    record = await directory.record(serial)
    assert (record is not None) == (state == "issued")
    assert await directory.is_empty() == (state is None)
    assert await directory.unfinished() == []
    for leaf in handed_out:
        assert record is not None
        assert record.certificate == leaf.certificate
    lines = await store.journal_lines()
    assert first_broken(lines) is None
    assert [json.loads(line)["kind"] for _, line, _ in lines] == kinds
    store.close()
