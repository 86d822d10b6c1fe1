"""Sealed at rest: no value in the database's files, keys that are found, lost, wrong, rotated and broken off."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

import pytest

from handsel.errors import SealBroken, SealKeyMissing, SecretMissing, SecretRefused, StateError
from handsel.model.token_uri import TokenUri
from handsel.pki.secret import Secret
from handsel.secrets import service
from handsel.secrets.adapters.keys import CREDENTIAL, Keyring
from handsel.secrets.adapters.token_key import TokenKeys
from handsel.secrets.adapters.vault import Vault, now, random
from handsel.secrets.model import KeyForgotten, Rewrapped
from handsel.secrets.service import Known, Wish
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.authority.signers.token import soft_token
from tests.postgres import new_database

VALUE = b"Plaintext-that-must-not-be-found"


def _keyring(folder: Path, token: TokenKeys | None = None, credentials: Path | None = None) -> Keyring:
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)} if credentials else {}
    return Keyring(folder / "authority", token, environment, random)


async def _put(vault: Vault, *names: str, value: bytes = VALUE) -> None:
    async def decide(kek):
        known = Known({each.name: each for each in await vault.tables.entries()})
        wishes = [Wish(name, Secret(value)) for name in names]
        return service.put(wishes, known, kek, by="local", now=now(), random=random)

    await vault.write(decide)


async def _read(vault: Vault, name: str = "db") -> bytes:
    (version, *_) = await vault.tables.versions(name)
    return (await vault.value(version.version_id))[1].reveal()


def _contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _forms(value: bytes) -> list[bytes]:
    return [value, base64.b64encode(value)[:-4], value.hex().encode()]


async def test_no_value_is_in_the_files_of_sqlite(tmp_path):
    store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
    vault = Vault(store, _keyring(tmp_path))
    await _put(vault, "db")
    assert await _read(vault) == VALUE
    found = _contents(tmp_path)
    store.close()
    found += _contents(tmp_path)
    assert b"secret put" in found  # the files are the right ones
    assert not [each for each in _forms(VALUE) if each in found]


async def test_no_value_is_in_the_files_of_postgresql(tmp_path, postgres):
    import psycopg

    database = new_database(postgres)
    store = PostgresStore(database, APPLIERS, log="one")
    vault = Vault(store, _keyring(tmp_path))
    await _put(vault, "db")
    store.close()
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        (folder,) = connection.execute("SHOW data_directory").fetchone()
    found = _contents(Path(folder))
    assert b"secret put" in found
    assert not [each for each in _forms(VALUE) if each in found]


async def test_the_key_is_made_once_and_found_again(store, tmp_path):
    await _put(Vault(store, _keyring(tmp_path)), "db")
    (file,) = (tmp_path / "authority").iterdir()
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    again = Vault(store, _keyring(tmp_path))
    await _put(again, "other")
    assert await _read(again) == VALUE
    assert list((tmp_path / "authority").iterdir()) == [file]


async def test_a_key_that_is_gone_wrong_or_open_is_one_clear_error(store, tmp_path):
    await _put(Vault(store, _keyring(tmp_path)), "db")
    (file,) = (tmp_path / "authority").iterdir()
    kept = file.read_bytes()

    async def fails(error, said):
        for act in (_read, lambda vault: _put(vault, "more")):
            with pytest.raises(error, match=said):
                await act(Vault(store, _keyring(tmp_path)))

    file.write_bytes(base64.b64encode(bytes(32)))
    await fails(SealKeyMissing, "holds another key")
    file.write_bytes(b"nonsense")
    await fails(SealKeyMissing, "holds no key")
    file.unlink()
    await fails(SealKeyMissing, "is missing")
    assert not file.exists(), "nothing new takes its place"
    file.write_bytes(kept)
    file.chmod(0o644)
    await fails(StateError, "read by others")
    file.chmod(0o600)
    assert await _read(Vault(store, _keyring(tmp_path))) == VALUE


async def test_a_value_that_was_put_into_another_row_does_not_open(store, tmp_path):
    vault = Vault(store, _keyring(tmp_path))
    await _put(vault, "db", "dc")
    ids = {name: (await vault.tables.versions(name))[0].version_id for name in ("db", "dc")}
    _, other = await vault.tables.sealed(ids["dc"])
    key_id = (await vault.tables.keys())[0].key_id
    await store.commit((Rewrapped(ids["db"], key_id, key_id, other.wrapped),))
    with pytest.raises(SealBroken):
        await _read(vault)
    assert await _read(vault, "dc") == VALUE


async def test_a_new_key_opens_everything_and_the_old_one_is_gone(store, tmp_path):
    vault = Vault(store, _keyring(tmp_path))
    await _put(vault, *(f"g/{number}" for number in range(30)))
    (old,) = (tmp_path / "authority").iterdir()
    done = await vault.rotate_key(by="local")
    assert (done.rewrapped, done.continued) == (30, False)
    assert f"secrets-{done.forgotten[0]}.kek" == old.name
    assert not old.exists()
    fresh = Vault(store, _keyring(tmp_path))
    assert await _read(fresh, "g/7") == VALUE
    await _put(fresh, "g/7", value=b"newer")
    assert await _read(fresh, "g/7") == b"newer"


async def test_a_rotation_that_was_broken_off_goes_on(store, tmp_path, monkeypatch):
    monkeypatch.setattr("handsel.secrets.adapters.vault._BATCH", 5)
    vault = Vault(store, _keyring(tmp_path))
    await _put(vault, *(f"g/{number}" for number in range(12)))
    commit, left = store.commit, iter(range(2))

    async def crashes(writes):
        if any(isinstance(each, Rewrapped) for each in writes) and next(left, None) is None:
            raise OSError("the power is off")
        await commit(writes)

    monkeypatch.setattr(store, "commit", crashes)
    with pytest.raises(OSError, match="power"):
        await vault.rotate_key(by="local")
    monkeypatch.undo()
    assert len(list((tmp_path / "authority").iterdir())) == 2
    fresh = Vault(store, _keyring(tmp_path))
    for number in range(12):
        assert await _read(fresh, f"g/{number}") == VALUE
    await _put(fresh, "g/new")
    done = await fresh.rotate_key(by="local")
    assert (done.rewrapped, done.continued) == (2, True)
    assert len(list((tmp_path / "authority").iterdir())) == 1
    assert await _read(Vault(store, _keyring(tmp_path)), "g/11") == VALUE


async def test_a_key_that_was_destroyed_and_not_forgotten_holds_nothing_up(store, tmp_path, monkeypatch):
    vault = Vault(store, _keyring(tmp_path))
    await _put(vault, "db")
    commit = store.commit

    async def crashes(writes):
        if any(isinstance(each, KeyForgotten) for each in writes):
            raise OSError("the power is off")
        await commit(writes)

    monkeypatch.setattr(store, "commit", crashes)
    with pytest.raises(OSError, match="power"):
        await vault.rotate_key(by="local")
    monkeypatch.undo()
    fresh = Vault(store, _keyring(tmp_path))
    assert await _read(fresh) == VALUE
    done = await fresh.rotate_key(by="local")
    assert (done.rewrapped, done.continued, len(done.forgotten)) == (0, True, 1)
    assert [each.active for each in await fresh.tables.keys()] == [True]


async def test_puts_and_a_rotation_at_the_same_time_lose_nothing(store, tmp_path):
    vault = Vault(store, _keyring(tmp_path))
    await _put(vault, "first")
    await asyncio.gather(*(_put(vault, f"s{number}") for number in range(10)), vault.rotate_key(by="local"))
    fresh = Vault(store, _keyring(tmp_path))
    for name in ("first", *(f"s{number}" for number in range(10))):
        assert await _read(fresh, name) == VALUE


async def test_two_servers_make_one_key(postgres, tmp_path):
    database = new_database(postgres)
    stores = [PostgresStore(database, APPLIERS, log=name) for name in ("one", "two")]
    vaults = [Vault(store, _keyring(tmp_path)) for store in stores]
    await asyncio.gather(_put(vaults[0], "a"), _put(vaults[1], "b"))
    assert len(await vaults[0].tables.keys()) == 1
    assert await _read(vaults[1], "a") == await _read(vaults[0], "b") == VALUE
    assert len(list((tmp_path / "authority").iterdir())) == 1
    for store in stores:
        store.close()


async def test_a_credential_of_systemd_is_the_key_and_its_successor_takes_over(store, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / CREDENTIAL).write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
    vault = Vault(store, _keyring(tmp_path, credentials=credentials))
    await _put(vault, "db")
    assert not (tmp_path / "authority").exists()
    with pytest.raises(SealKeyMissing, match="the credential"):
        await _read(Vault(store, _keyring(tmp_path)))
    with pytest.raises(SecretRefused, match="used already"):
        await vault.rotate_key(by="local")
    (credentials / CREDENTIAL).rename(credentials / f"{CREDENTIAL}-old")
    (credentials / CREDENTIAL).write_bytes(os.urandom(32))
    after = Vault(store, _keyring(tmp_path, credentials=credentials))
    assert await _read(after) == VALUE
    assert (await after.rotate_key(by="local")).rewrapped == 1
    (credentials / f"{CREDENTIAL}-old").unlink()
    assert await _read(Vault(store, _keyring(tmp_path, credentials=credentials))) == VALUE


async def test_a_token_wraps_and_a_file_moves_into_it(store, tmp_path):
    from handsel.authority.adapters.signers.token_session import session_with

    await _put(Vault(store, _keyring(tmp_path)), "db")
    with soft_token(tmp_path / "token") as uri:
        parsed = TokenUri.parse(uri)

        def vault() -> Vault:
            return Vault(store, _keyring(tmp_path, TokenKeys(session_with(parsed), parsed.prefix, random)))

        first = vault()
        assert await _read(first) == VALUE
        done = await first.rotate_key(by="local")
        assert (done.place, done.rewrapped) == ("token", 1)
        assert not list((tmp_path / "authority").iterdir())
        await _put(first, "more")
        assert await _read(vault()) == await _read(vault(), "more") == VALUE
        (version, *_) = await first.tables.versions("db")
        _, other = await first.tables.sealed((await first.tables.versions("more"))[0].version_id)
        await store.commit((Rewrapped(version.version_id, done.key_id, done.key_id, other.wrapped),))
        with pytest.raises(SealBroken):
            await _read(vault())
    with pytest.raises(SealKeyMissing, match="no token is configured"):
        await _read(Vault(store, _keyring(tmp_path)), "more")


async def test_a_version_that_is_not_there_is_missing(store, tmp_path):
    with pytest.raises(SecretMissing):
        await Vault(store, _keyring(tmp_path)).value("nothing")
