"""The validation authority, put together over a real store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.x509.ocsp import load_der_ocsp_response

from handsel.authority import revocation
from handsel.authority.directory import Intended, Issued
from handsel.authority.model import Issuers
from handsel.authority.revocation import Reason
from handsel.authority.status_places import StatusPlaces
from handsel.door.asgi import Request
from handsel.errors import StateError
from handsel.model.authority import CrlSettings
from handsel.pki import ocsp
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.leader import Leader
from handsel.wiring.storage import APPLIERS, TOPICS
from handsel.wiring.validation import Authority, Validation
from tests.support import TestAuthority

AUTHORITY = TestAuthority.make(datetime.now(UTC))
LIST = "/crl/issuing/full.crl"


class Running:
    """A validation authority that hears of what is committed."""

    def __init__(self, folder, places: StatusPlaces = StatusPlaces("http://va.test")) -> None:  # noqa: B008
        self.store = SqliteStore(folder / "handsel.db", APPLIERS, topics=TOPICS)
        self.places = places
        self.issuer = AUTHORITY.issuer
        self.pushed = 0
        parts = Authority(
            lambda: Issuers.only(self.issuer),
            lambda: self.places,
            lambda: CrlSettings(),  # noqa: PLW0108
        )
        self.validation = Validation(
            self.store, Leader(self.store), parts, folder / "crl", folder / "ocsp", self._push
        )  # fmt: skip

    async def _push(self) -> None:
        self.pushed += 1

    async def __aenter__(self) -> Running:
        await self.validation.start()
        self.listening = asyncio.create_task(self.validation.listen())
        return self

    async def __aexit__(self, *_) -> None:
        self.listening.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)
        self.store.close()

    async def issued(self, serial: int, identity: str = "a.test") -> None:
        now = datetime.now(UTC)
        written = f"{serial:x}"
        intended = Intended(written, identity, (identity,), "issuing", "web", "", now, now + timedelta(days=9), "test")
        await self.store.commit((intended, Issued(written, b"", written)))

    async def revoke(self, serial: int) -> None:
        """As anybody does it who only knows the store."""
        done = revocation.revoke(f"{serial:x}", "issuing", Reason.SUPERSEDED, by="test", now=datetime.now(UTC))
        await self.store.commit(done.writes)

    async def status(self, serial: int) -> str:
        body = ocsp.request([ocsp.cert_id(self.issuer.certificate, serial)])
        answer = await self.validation.routes()["POST", "/ocsp"](Request("POST", "/ocsp", {}, {}, body))
        return load_der_ocsp_response(answer.body).certificate_status.name

    async def listed(self, path: str = LIST) -> set[int]:
        answer = await self.validation.routes()["GET", "/crl/"](Request("GET", path, {}, {}, b""))
        assert (answer.status, answer.content_type) == (200, "application/pkix-crl")
        return {each.serial_number for each in x509.load_der_x509_crl(answer.body)}


async def until(condition, seconds: float = 1) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.005)


async def test_whoever_commits_a_revocation_it_is_in_ocsp_within_a_second(tmp_path):
    async with Running(tmp_path) as running:
        await running.issued(7)
        assert await running.status(7) == "GOOD"
        await running.revoke(7)

        async def is_revoked() -> bool:
            return await running.status(7) == "REVOKED"

        await until(is_revoked)


async def test_an_identity_is_on_the_list_for_the_hosts_at_once_and_others_are_not(tmp_path):
    async with Running(tmp_path) as running:
        await running.issued(7, "spiffe://test.internal/web")
        await running.issued(8)
        before = running.pushed
        await running.revoke(8)
        await running.revoke(7)

        async def is_pushed() -> bool:
            return running.pushed > before

        await until(is_pushed)
        (crl,) = running.validation.mesh_crls
        assert {each.serial_number for each in x509.load_der_x509_crl(crl)} == {7}
        assert await running.listed() == set()


async def test_the_last_good_list_is_served_and_kept_while_the_database_is_down(tmp_path):
    """2.4 local."""
    async with Running(tmp_path) as running:
        await running.issued(7)
        await running.revoke(7)
        await running.validation.read()
        await running.validation.build(force=True)
        assert await running.listed() == {7}
        kept = (tmp_path / "crl/issuing/full.crl").read_bytes()
        await running.issued(8)
        await running.revoke(8)
        await running.validation.read()
        running.validation._store = SimpleNamespace(commit=_down, read_only=False)
        with pytest.raises(StateError):
            await running.validation.build(force=True)
        assert await running.listed() == {7}
        assert (tmp_path / "crl/issuing/full.crl").read_bytes() == kept
        running.validation._store = running.store
        await running.validation.build(force=True)  # the control: the same, with the database up
        assert await running.listed() == {7, 8}


async def _down(*_) -> None:
    raise StateError("the database does not answer")


async def test_a_start_reads_what_was_made_and_makes_only_what_is_due(tmp_path):
    async with Running(tmp_path) as running:
        await running.issued(7)
        await running.revoke(7)
        await running.validation.read()
        await running.validation.build(force=True)
        made = running.validation.newest()
    async with Running(tmp_path) as again:
        assert again.validation.newest() == made
        assert await again.status(7) == "REVOKED"
        assert await again.listed() == {7}


async def test_shards_of_an_earlier_setting_are_made_for_as_long_as_there_are_any(tmp_path):
    async with Running(tmp_path) as running:
        assert {each.name for each in running.validation.newest()} >= {"0-of-4", "3-of-4"}
        running.places = StatusPlaces("http://va.test", shards=2)
        await running.issued(7)
        await running.revoke(7)
        await running.validation.read()
        await running.validation.build(force=True)
        assert await running.listed("/crl/issuing/3-of-4.crl") == await running.listed("/crl/issuing/1-of-2.crl") == {7}
        assert (
            await running.listed("/crl/issuing/2-of-4.crl") == await running.listed("/crl/issuing/0-of-2.crl") == set()
        )


@pytest.mark.parametrize("started_anew", [False, True])
async def test_a_ca_with_another_key_signs_every_list_anew(tmp_path, started_anew):
    async with Running(tmp_path) as running:
        running.issuer = other = TestAuthority.make(datetime.now(UTC)).issuer
        if not started_anew:
            await running.validation.build()
    running = Running(tmp_path)
    running.issuer = other
    async with running:
        key = running.issuer.certificate.parsed.public_key()
        lists = [x509.load_der_x509_crl(each.der) for each in running.validation.newest()]
        assert lists
        assert all(each.is_signature_valid(key) for each in lists)


async def test_what_is_not_there_is_not_found_and_the_list_of_identities_is_for_hosts_only(tmp_path):
    async with Running(tmp_path) as running:
        routes = running.validation.routes()
        for path in ("/crl/issuing/mesh.crl", "/crl/issuing/9-of-4.crl", "/crl/issuing/full", "/crl/../x.crl"):
            assert (await routes["GET", "/crl/"](Request("GET", path, {}, {}, b""))).status == 404
        assert (await routes["GET", "/ca/"](Request("GET", "/ca/other.crt", {}, {}, b""))).status == 404
        found = await routes["GET", "/ca/"](Request("GET", "/ca/issuing.crt", {}, {}, b""))
        assert (found.body, found.content_type) == (running.issuer.certificate.der, "application/pkix-cert")


async def test_a_list_may_be_kept_until_the_next_one_is_made(tmp_path):
    async with Running(tmp_path) as running:
        routes = running.validation.routes()
        headers = dict((await routes["GET", "/crl/"](Request("GET", LIST, {}, {}, b""))).headers)
        assert headers["cache-control"] == "max-age=3600, public, no-transform"
        again = Request("GET", LIST, {}, {"if-none-match": headers["etag"]}, b"")
        assert (await routes["GET", "/crl/"](again)).status == 304
        await running.validation.build(force=True)
        assert (await routes["GET", "/crl/"](again)).status == 200


async def test_a_revocation_that_could_not_be_read_or_signed_at_once_is_not_forgotten(tmp_path):
    async with Running(tmp_path) as running:
        await running.issued(7, "spiffe://test.internal/web")
        read = running.validation.tables._read
        running.validation.tables._read = _down
        await running.revoke(7)
        await asyncio.sleep(0.1)
        assert running.validation.index.find("issuing", 7) is None
        running.validation.tables._read, running.validation._store = (
            read,
            SimpleNamespace(commit=_down, read_only=False),
        )

        async def is_known() -> bool:
            return running.validation.index.find("issuing", 7) is not None

        await until(is_known)
        assert _serials(running.validation.mesh_crls) == [set()]
        running.validation._store = running.store
        await running.validation.build()
        assert _serials(running.validation.mesh_crls) == [{7}]


async def test_a_ca_that_has_ended_does_not_keep_the_others_from_signing(tmp_path):
    async with Running(tmp_path) as running:
        ended = TestAuthority.make(datetime(2010, 1, 1, tzinfo=UTC)).issuer
        living = running.issuer
        both = Issuers({"ended": replace(ended, name="ended"), "issuing": living}, (living.root, ended.root))
        running.validation._authority = replace(running.validation._authority, issuers=lambda: both)
        made = await running.validation.build(force=True)
        assert {each.issuer for each in made} == {"issuing"}


def _serials(crls) -> list[set[int]]:
    return [{each.serial_number for each in x509.load_der_x509_crl(crl)} for crl in crls]
