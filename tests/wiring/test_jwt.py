"""The keys for JWT-SVIDs of a server that is stopped, started, robbed of a file, or beside another one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from joserfc import jws
from joserfc import jwt as jose
from joserfc.jwk import ECKey

from handsel.authority.adapters.jwt_tables import JwtKeys
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.model import Domain, Host
from handsel.authority.profile import Lifetimes, profiles
from handsel.errors import Refused
from handsel.model.authority import Authority, Keys
from handsel.model.federation import SpiffeSettings
from handsel.pki.secret import Secret
from handsel.store.adapters.postgres import PostgresStore
from handsel.wiring import jwt as wiring
from handsel.wiring.jwt import JwtAuthority, key_store
from handsel.wiring.leader import Leader
from handsel.wiring.storage import APPLIERS
from tests.authority.world import WEB
from tests.postgres import new_database
from tests.support import NOW, TRUST_DOMAIN

DOMAIN = Domain(TRUST_DOMAIN, {"web": WEB}, profiles(Lifetimes()))
HOST = Host("a1", "host.example", ("web",), NOW)
SETTINGS = SpiffeSettings()


class Clock:
    """The time of this machine, which moves by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        monkeypatch.setattr(wiring, "now", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _server(store, folder: Path, password: Secret | None = None) -> JwtAuthority:
    return JwtAuthority(store, FileKeys(folder, password), Leader(store), lambda: DOMAIN, lambda: SETTINGS)


async def _check(store, text: str) -> str:
    """The kid of a token that is signed by a key that is shown."""
    kid = str(jws.extract_compact(text.encode()).headers()["kid"])
    shown = {each.kid: ECKey.import_key(each.authority.jwk) for each in await JwtKeys(store).all()}
    jose.decode(text, shown[kid], algorithms=["ES256"])
    return kid


async def test_the_same_key_signs_after_a_restart_and_a_new_one_when_its_file_is_gone(store, tmp_path, clock):
    first = _server(store, tmp_path)
    await first.start()
    text, _ = await first.issue(HOST, "web", ["bank"])
    again = _server(store, tmp_path)
    await again.start()
    other, _ = await again.issue(HOST, "web", ["bank"])
    kid = await _check(store, text)
    assert await _check(store, other) == kid
    assert [path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")] == [0o600]
    for path in tmp_path.glob("*.key"):
        path.unlink()
    robbed = _server(store, tmp_path)
    await robbed.start()
    text, _ = await robbed.issue(HOST, "web", ["bank"])  # at once: nobody else signs
    assert await _check(store, text) != kid
    assert {each.kid for each in await JwtKeys(store).all()} > {kid}  # older tokens can still be checked


async def test_keys_follow_each_other_and_leave_no_file_behind(store, tmp_path, clock):
    server = _server(store, tmp_path)
    await server.start()
    kids = set()
    for _ in range(40):
        clock.now += timedelta(hours=2)
        await server.renew()
        kids.add(await _check(store, (await server.issue(HOST, "web", ["bank"]))[0]))
        assert len(list(tmp_path.glob("*.key"))) <= 2
        assert len(await JwtKeys(store).all()) <= 3
    assert 3 <= len(kids) <= 5  # more than three days


async def test_every_token_is_in_the_journal_before_it_is_handed_out_and_a_refusal_is_not(store, tmp_path, clock):
    server = _server(store, tmp_path)
    await server.start()
    before = len(await store.journal_lines())
    text, token = await server.issue(HOST, "web", ["bank"])
    lines = await store.journal_lines()
    assert len(lines) == before + 1
    assert token.token_id in lines[-1][1]
    assert text not in lines[-1][1]
    with pytest.raises(Refused):
        await server.issue(HOST, "emoji", ["bank"])
    assert await store.journal_lines() == lines


async def test_with_a_password_the_files_are_encrypted_and_another_password_makes_a_new_key(store, tmp_path, clock):
    password, another = tmp_path / "password", tmp_path / "another"
    for path in (password, another):
        path.write_text(f"a long {path.name}\n")
        path.chmod(0o600)
    settings = Authority(
        keys=Keys(token="pkcs11:token=CA")
    )  # its CAs' keys are elsewhere; these are files all the same
    first = JwtAuthority(
        store, key_store(tmp_path, settings, password), Leader(store), lambda: DOMAIN, lambda: SETTINGS
    )
    await first.start()
    kid = await _check(store, (await first.issue(HOST, "web", ["bank"]))[0])
    (file,) = (tmp_path / "jwt").glob("*.key")
    assert file.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    for word, same in ((password, True), (another, False)):
        keys = key_store(tmp_path, settings, word)
        then = JwtAuthority(store, keys, Leader(store), lambda: DOMAIN, lambda: SETTINGS)
        await then.start()
        assert (await _check(store, (await then.issue(HOST, "web", ["bank"]))[0]) == kid) is same


async def test_two_servers_of_a_database_each_have_keys_that_all_can_check(postgres, tmp_path, clock):
    database = new_database(postgres)
    stores = [PostgresStore(database, APPLIERS, log=log) for log in ("one", "two")]
    one, two = (_server(store, tmp_path / store.log) for store in stores)
    async with Leader(stores[0]).asking():
        await one.start()
        await two.start()
        assert await _check(stores[1], (await one.issue(HOST, "web", ["bank"]))[0])
        clock.now += timedelta(minutes=30)  # the second one's key has been shown for long enough
        await two.renew()
        text = (await two.issue(HOST, "web", ["bank"]))[0]
        assert await _check(stores[0], text)
        assert len({each.server for each in await JwtKeys(stores[0]).all()}) == 2
    for store in stores:
        store.close()
