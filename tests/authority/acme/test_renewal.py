"""Renewal information and replacement (RFC 9773)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from handsel.acme.certid import CertificateId
from handsel.acme.problems import Problem
from handsel.authority.acme.model import Saved
from handsel.authority.adapters.limit_tables import FullForgotten
from handsel.model.authority import Acme, Limits
from handsel.pki.certificate import Certificate
from tests.authority.acme.test_revoke import revoke
from tests.authority.acme.world import AcmeWorld, encode, older
from tests.support import TestAuthority

A, B, C = "a.test.internal", "b.test.internal", "c.test.internal"


def certid(certificate: Certificate) -> str:
    """As RFC 9773, section 4.1 says, by other means than the authority's own."""
    key_id = certificate.parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = certificate.parsed.serial_number
    octets = serial.to_bytes((serial.bit_length() + 7) // 8, "big")
    return f"{encode(key_id)}.{encode(octets if octets[0] < 0x80 else bytes(1) + octets)}"


def test_the_example_of_the_rfc() -> None:
    """RFC 9773 §4.1 The worked example; each part is decoded on its own."""
    named = CertificateId.parse("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
    assert named.key_id.hex(":").upper() == "69:88:5B:6B:87:46:40:41:E1:B3:7B:84:7B:A0:AE:2C:DE:01:C8:D4"
    assert named.serial == 0x8765432100 >> 8
    assert str(named) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@given(st.binary(min_size=1, max_size=40), st.integers(1, 2**160 - 1))
def test_names_of_certificates_are_read_back(key_id: bytes, serial: int) -> None:
    named = CertificateId(key_id, serial)
    assert CertificateId.parse(str(named)) == named
    assert named.serial_octets[0] < 0x80


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_malformed(text: str) -> None:
    try:
        assert str(CertificateId.parse(text)) == text
    except Problem as problem:
        assert problem.kind == "malformed"  # noqa: PT017  # either way is right


@pytest.mark.parametrize(
    "text", ["", ".", "AA", "AA.", ".AQ", "AA.AQ.AQ", "AA.AA", "AA.gQ", "AA.AAE", "AA==.AQ", "A.AQ"]
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(Problem):
        CertificateId.parse(text)
    assert CertificateId.parse("AA.AQ").serial == 1


async def test_renewal_information_is_for_everybody(acme: AcmeWorld) -> None:
    """RFC 9773 §3, §4.2, §4.3 In the directory, unauthenticated GET, `end` after `start`, Retry-After; 404."""
    client = await acme.client()
    leaf = await client.certificate(A)
    where = (await acme.ask("GET", "directory")).json["renewalInfo"]
    answer = await acme.ask("GET", f"{where}/{certid(leaf)}")
    assert answer.status == 200
    start, end = (datetime.fromisoformat(answer.json["suggestedWindow"][each]) for each in ("start", "end"))
    life = leaf.not_after - leaf.not_before
    assert leaf.not_before + life * 0.45 < start < end < leaf.not_before + life * 0.7
    assert 60 <= int(answer.headers["Retry-After"]) <= 6 * 3600
    named = CertificateId.parse(certid(leaf))
    for other in (replace(named, serial=named.serial + 1), replace(named, key_id=b"x" * 20)):
        unknown = await acme.ask("GET", f"{where}/{other}")
        assert (unknown.status, unknown.kind) == (404, "malformed")
    assert (await acme.ask("GET", f"{where}/nonsense")).kind == "malformed"
    assert (await acme.ask("POST", f"{where}/{certid(leaf)}")).status == 405


async def test_the_window_of_a_revoked_certificate_is_past(acme: AcmeWorld) -> None:
    """RFC 9773 §4.2."""
    client = await acme.client()
    leaf = await client.certificate(A)
    await revoke(client, leaf)
    window = (await acme.ask("GET", f"renewal-info/{certid(leaf)}")).json["suggestedWindow"]
    start, end = (datetime.fromisoformat(window[each]) for each in ("start", "end"))
    assert start < end <= datetime.now(UTC)


async def test_the_window_moves_to_the_past_when_the_ca_signs_no_more(acme: AcmeWorld) -> None:
    """RFC 9773 §4.2: so the clients of a CA that retires come before it is gone."""
    client = await acme.client()
    leaf = await client.certificate(A)

    async def ends() -> datetime:
        window = (await acme.ask("GET", f"renewal-info/{certid(leaf)}")).json["suggestedWindow"]
        return datetime.fromisoformat(window["end"])

    assert await ends() > datetime.now(UTC)
    acme.issuers = TestAuthority.make(datetime.now(UTC)).issuers
    assert await ends() <= datetime.now(UTC)


async def test_an_order_replaces_a_certificate_once(acme: AcmeWorld) -> None:
    """RFC 9773 §5 Same account, a shared identifier, at most one successor, echoed; 409 `alreadyReplaced`."""
    acme.controlled.add(C)
    mine, other = await acme.client(), await acme.client()
    leaf = await mine.certificate(A, B)
    name = certid(leaf)
    assert (await other.order(A, replaces=name)).kind == "unauthorized"
    assert (await mine.order(C, replaces=name)).kind == "malformed"
    for wrong in ("nonsense", "AA.AQ", 5, [name]):
        assert (await mine.order(A, replaces=wrong)).kind == "malformed"
    order = await mine.order(A, C, replaces=name)
    assert (order.status, order.json["replaces"]) == (201, name)
    assert (await mine.post(order.headers["Location"])).json["replaces"] == name
    again = await mine.order(A, replaces=name)
    assert (again.status, again.kind) == (409, "alreadyReplaced")
    await mine.prove(order)
    assert (await mine.finalize(order, A, C)).json["replaces"] == name
    assert (await mine.order(A, replaces=name)).kind == "alreadyReplaced"
    assert (await mine.order(A)).status == 201


async def test_an_order_that_came_to_nothing_gives_free_what_it_replaced(acme: AcmeWorld) -> None:
    client = await acme.client()
    name = certid(await client.certificate(A))
    failed = await client.order(A, "else.test.internal", replaces=name)
    await client.prove(failed)
    late = await client.order(A, replaces=name)
    assert late.status == 201
    stored = await acme.objects.order(late.headers["Location"].rpartition("/")[2])
    await acme.store.commit((Saved(older(stored, timedelta(days=2))),))
    assert (await client.order(A, replaces=name)).status == 201
    assert (await client.order(A, replaces=name)).kind == "alreadyReplaced"


async def test_replacement_inside_the_window_has_no_limit(acme: AcmeWorld) -> None:
    """RFC 9773 §5 Exempt from rate limits inside the window, and only there."""
    client = await acme.client()
    old, due = await client.certificate(A), await client.certificate(A)
    await revoke(client, due)  # so its window is past
    acme.settings = Acme(limits=Limits(orders_per_account=1))
    acme.door = acme.open_door()
    await acme.store.commit((FullForgotten(math.inf),))  # so that what came before does not count
    assert (await client.order(A)).status == 201
    assert (await client.order(A)).kind == "rateLimited"
    assert (await client.order(A, replaces=certid(old))).kind == "rateLimited"
    assert (await client.order(A, replaces=certid(due))).status == 201
