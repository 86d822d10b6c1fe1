"""The OCSP door over a real store."""

from __future__ import annotations

import base64
from datetime import timedelta
from urllib.parse import quote, unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as reference
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus

from handsel.authority import revocation, service
from handsel.authority.adapters.ocsp_http import OcspDoor
from handsel.authority.adapters.responders import Responders
from handsel.authority.adapters.status_tables import StatusTables
from handsel.authority.model import Approval, Issuers
from handsel.authority.profile import DEFAULT
from handsel.authority.revocation import Reason
from handsel.authority.va import responder as va
from handsel.authority.va.status import StatusIndex
from handsel.door.asgi import Request
from handsel.errors import StateError
from handsel.pki import ocsp
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from tests.support import NOW, TestAuthority

MINUTE = timedelta(minutes=1)


class Va:
    """A validation authority with a clock that is handed in."""

    def __init__(self, world, folder) -> None:
        self.world = world
        self.issuers = Issuers.only(world.issuer)
        self.index = StatusIndex()
        self.tables = StatusTables(world.store)
        self.responders = Responders(folder / "ocsp", world.store)
        self.door = OcspDoor(self.index, self.tables, lambda: self.responders.signers, clock=lambda: world.now)

    @classmethod
    async def started(cls, world, folder) -> Va:
        made = cls(world, folder)
        await made.responders.refresh(made.issuers, world.now)
        return made

    async def leaf(self) -> x509.Certificate:
        """A certificate that was just issued."""
        profile, key = self.world.domain.profiles[DEFAULT], PrivateKey.generate().handle.public_key()
        approval = Approval(Names(dns=("a.test",)), None, key, profile, profile.lifetime, "test")
        intent = service.intend([approval], self.world.domain, self.issuers, self.world.now)
        (made,) = await self.world.issue(intent)
        return made.parsed

    async def revoke(self, leaf, reason=Reason.KEY_COMPROMISE) -> None:
        done = revocation.revoke(f"{leaf.serial_number:x}", "issuing", reason, by="test", now=self.world.now)
        await self.world.store.commit(done.writes)
        new = self.index.add(await self.tables.revocations(self.index.sequence))
        self.door.forget((each.issuer, each.serial) for each in new)

    def ids(self, *serials, issuer=None, digest="sha256"):
        return [ocsp.cert_id(issuer or self.world.issuer.certificate, serial, digest) for serial in serials]

    async def post(self, body: bytes) -> reference.OCSPResponse:
        answer = await self.door.post(Request("POST", "/ocsp", {}, {}, body))
        assert (answer.status, answer.content_type) == (200, "application/ocsp-response")
        return reference.load_der_ocsp_response(answer.body)

    async def get(self, path: str, **headers: str):
        raw = path.encode()
        return await self.door.get(Request("GET", unquote(path), {}, headers, b"", raw_path=raw))

    async def status(self, *serials, **more) -> list[str]:
        answer = await self.post(ocsp.request(self.ids(*serials, **more)))
        return [each.certificate_status.name for each in answer.responses]


async def test_good_revoked_and_never_issued(world, tmp_path):
    """RFC 6960, 2.2: what was never issued is unknown, and not good."""
    va_ = await Va.started(world, tmp_path)
    first, second = await va_.leaf(), await va_.leaf()
    await va_.revoke(second)
    assert await va_.status(first.serial_number) == ["GOOD"]
    assert await va_.status(second.serial_number) == ["REVOKED"]
    assert await va_.status(first.serial_number + 1) == ["UNKNOWN"]
    assert await va_.status(first.serial_number, 4711, second.serial_number) == ["GOOD", "UNKNOWN", "REVOKED"]
    answer = await va_.post(ocsp.request(va_.ids(second.serial_number, digest="sha1")))
    assert (answer.revocation_time_utc, answer.revocation_reason) == (NOW, x509.ReasonFlags.key_compromise)


async def test_an_intention_that_was_never_signed_is_unknown_until_it_is(world, tmp_path):
    va_ = await Va.started(world, tmp_path)
    intent = va.intend(world.issuer, PrivateKey.generate(), serial=4711, now=world.now)
    await world.store.commit(intent.writes)
    assert await va_.status(4711) == ["UNKNOWN"]
    await world.store.commit(va.issue(intent, now=world.now).writes)
    assert await va_.status(4711) == ["GOOD"]  # what was unknown is never kept


async def test_an_answer_that_is_kept_is_forgotten_when_the_certificate_is_revoked(world, tmp_path):
    va_ = await Va.started(world, tmp_path)
    leaf, other = await va_.leaf(), await va_.leaf()
    body, others = (ocsp.request(va_.ids(each.serial_number)) for each in (leaf, other))
    kept = (await va_.post(body)).public_bytes(Encoding.DER)
    kept_other = (await va_.post(others)).public_bytes(Encoding.DER)
    assert (await va_.post(body)).public_bytes(Encoding.DER) == kept
    await va_.revoke(leaf)
    assert (await va_.post(body)).certificate_status is OCSPCertStatus.REVOKED
    assert (await va_.post(others)).public_bytes(Encoding.DER) == kept_other


async def test_an_answer_is_made_anew_at_half_of_its_life_and_never_says_it_is_from_the_future(world, tmp_path):
    """RFC 6960, 2.4."""
    va_ = await Va.started(world, tmp_path)
    leaf = await va_.leaf()
    body = ocsp.request(va_.ids(leaf.serial_number))
    seen = []
    for minutes in (0, 29, 31, -0.5):
        world.now = NOW + minutes * MINUTE + timedelta(milliseconds=900)
        answer = await va_.post(body)
        assert answer.this_update_utc <= answer.produced_at_utc <= world.now < answer.next_update_utc
        seen.append(answer.this_update_utc)
    assert seen == [NOW, NOW, NOW + 31 * MINUTE, NOW - 0.5 * MINUTE]


async def test_the_nonce_comes_back_and_such_an_answer_is_kept_for_nobody(world, tmp_path):
    """RFC 6960, 4.4.1; RFC 9654, 2.1."""
    va_ = await Va.started(world, tmp_path)
    leaf = await va_.leaf()
    for nonce in (b"n", b"n" * 32, b"m" * 128):
        answer = await va_.post(ocsp.request(va_.ids(leaf.serial_number), nonce))
        assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    plain = await va_.post(ocsp.request(va_.ids(leaf.serial_number)))
    assert len(plain.extensions) == 0
    for wrong in (b"", b"n" * 129):
        answer = await va_.post(ocsp.request(va_.ids(leaf.serial_number), wrong))
        assert answer.response_status is OCSPResponseStatus.MALFORMED_REQUEST


async def test_about_another_ca_nothing_is_said(world, tmp_path):
    va_ = await Va.started(world, tmp_path)
    leaf, stranger = await va_.leaf(), TestAuthority.make().issuer.certificate
    alone = await va_.post(ocsp.request(va_.ids(leaf.serial_number, issuer=stranger)))
    assert alone.response_status is OCSPResponseStatus.UNAUTHORIZED
    both = ocsp.request([*va_.ids(leaf.serial_number, issuer=stranger), *va_.ids(leaf.serial_number)])
    answer = await va_.post(both)
    assert [each.certificate_status.name for each in answer.responses] == ["UNKNOWN", "GOOD"]


@pytest.mark.parametrize("garbage", [b"", b"0", b"\x30\x80\x00\x00", b"x" * 20_000, b"\x30\x03\x02\x01\x00"])
async def test_what_is_no_request_is_malformed(world, tmp_path, garbage):
    va_ = await Va.started(world, tmp_path)
    assert (await va_.post(garbage)).response_status is OCSPResponseStatus.MALFORMED_REQUEST
    answer = await va_.get("/ocsp/" + quote(base64.b64encode(garbage).decode(), safe=""))
    assert answer.body == ocsp.problem(ocsp.Problem.MALFORMED_REQUEST)


async def test_nothing_is_signed_with_a_responder_or_a_ca_that_has_ended(world, tmp_path):
    """2.5 local."""
    va_ = await Va.started(world, tmp_path)
    leaf = await va_.leaf()
    body = ocsp.request(va_.ids(leaf.serial_number))
    world.now = NOW + va.LIFETIME - MINUTE
    answer = await va_.post(body)
    assert answer.next_update_utc == NOW + va.LIFETIME  # not beyond its signer
    world.now = NOW + va.LIFETIME
    assert (await va_.post(body)).response_status is OCSPResponseStatus.TRY_LATER
    await va_.responders.refresh(va_.issuers, world.now)
    assert (await va_.post(body)).certificate_status is OCSPCertStatus.GOOD
    world.now = world.issuer.not_after
    await va_.responders.refresh(va_.issuers, world.now)
    assert (await va_.post(body)).response_status is OCSPResponseStatus.TRY_LATER


async def test_responders_are_made_anew_at_half_of_their_life_and_found_again(world, tmp_path):
    """RFC 6960, 4.2.2.2: rotated automatically; each is in the directory and in the journal."""
    va_ = await Va.started(world, tmp_path)
    leaf = await va_.leaf()
    body = ocsp.request(va_.ids(leaf.serial_number))
    first = (await va_.post(body)).certificates[0]
    assert await world.kinds() == ["intended", "issued", "intended", "issued"]
    assert await world.directory.issued(f"{first.serial_number:x}")
    again = Va(world, tmp_path)
    await again.responders.refresh(again.issuers, world.now + MINUTE)
    assert (await again.post(body)).certificates == [first]
    world.now = NOW + va.LIFETIME / 2
    await va_.responders.refresh(va_.issuers, world.now)
    assert (await va_.post(body)).certificates != [first]


async def test_an_answer_by_get_may_be_kept_but_not_beyond_its_end(world, tmp_path):
    """RFC 6960, A.1; RFC 9919, section 6: GET, %2F and doubled slashes, max-age, ETag."""
    va_ = await Va.started(world, tmp_path)
    # A request whose base64 has every character that matters in a path.
    for _ in range(400):
        leaf = await va_.leaf()
        text = base64.b64encode(ocsp.request(va_.ids(leaf.serial_number, digest="sha1"))).decode()
        if "/" in text and "+" in text:
            break
    answers = [await va_.get(path) for path in (
        f"/ocsp/{text}", f"/ocsp//{text}", f"/ocsp/{quote(text, safe='')}", f"/ocsp/{text.rstrip('=')}",
    )]  # fmt: skip
    assert {reference.load_der_ocsp_response(each.body).certificate_status for each in answers} == {OCSPCertStatus.GOOD}
    headers = dict(answers[0].headers)
    assert headers["cache-control"] == "max-age=60, public, no-transform, must-revalidate"
    assert headers["last-modified"] == "Tue, 01 Jan 2030 12:00:00 GMT"
    assert headers["expires"] == "Tue, 01 Jan 2030 12:01:00 GMT"
    unchanged = await va_.get(f"/ocsp/{text}", **{"if-none-match": headers["etag"]})
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert (await va_.get(f"/ocsp/{text}", **{"if-none-match": '"other"'})).status == 200
    # Near the end of the responder the answer ends with it, and so does what others keep of it.
    world.now = NOW + va.LIFETIME - timedelta(seconds=20)
    assert dict((await va_.get(f"/ocsp/{text}")).headers)["cache-control"].startswith("max-age=20,")


async def test_an_unknown_one_is_kept_by_nobody(world, tmp_path):
    va_ = await Va.started(world, tmp_path)
    answer = await va_.get("/ocsp/" + quote(base64.b64encode(ocsp.request(va_.ids(4711))).decode(), safe=""))
    assert dict(answer.headers) == {"cache-control": "no-store"}


async def test_with_the_database_down_what_is_kept_is_answered_and_the_rest_later(world, tmp_path):
    va_ = await Va.started(world, tmp_path)
    leaf, other = await va_.leaf(), await va_.leaf()
    assert await va_.status(leaf.serial_number) == ["GOOD"]

    async def down(*_):
        raise StateError("the database does not answer")

    va_.tables._read = down
    assert await va_.status(leaf.serial_number) == ["GOOD"]
    answer = await va_.post(ocsp.request(va_.ids(other.serial_number)))
    assert answer.response_status is OCSPResponseStatus.TRY_LATER


async def test_a_request_of_another_program_with_any_hash(world, tmp_path):
    """RFC 6960, 4.1.1; RFC 9919: SHA-1 and SHA-256."""
    va_ = await Va.started(world, tmp_path)
    leaf = await va_.leaf()
    for digest in (hashes.SHA1(), hashes.SHA256()):
        builder = reference.OCSPRequestBuilder().add_certificate(leaf, world.issuer.certificate.parsed, digest)
        answer = await va_.post(builder.build().public_bytes(Encoding.DER))
        assert (answer.certificate_status, answer.hash_algorithm.name) == (OCSPCertStatus.GOOD, digest.name)


async def test_only_so_many_answers_are_kept(world, tmp_path, monkeypatch):
    monkeypatch.setattr("handsel.authority.adapters.ocsp_http._MOST_KEPT", 3)
    va_ = await Va.started(world, tmp_path)
    for leaf in [await va_.leaf() for _ in range(5)]:
        await va_.status(leaf.serial_number)
    assert len(va_.door._kept) == len(va_.door._requests) == 3
