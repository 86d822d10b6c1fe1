"""Revocation over the real door (RFC 8555, section 7.6)."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from tests.authority.acme.world import AcmeWorld, Answer, Client, encode
from tests.support import TRUST_DOMAIN, TestAuthority

A, B = "a.test.internal", "b.test.internal"


async def revoke(client: Client, certificate: Certificate, **wish: object) -> Answer:
    return await client.post("revoke-cert", {"certificate": encode(certificate.der), **wish})


async def reason_of(acme: AcmeWorld, certificate: Certificate) -> int | None:
    record = await acme.directory.record(certificate.serial)
    return None if record is None or record.reason is None else int(record.reason)


async def test_the_account_that_ordered_it_may(acme: AcmeWorld) -> None:
    """§7.6 Success is an empty 200; the second time `alreadyRevoked`, 400. It stays downloadable."""
    client = await acme.client()
    leaf = await client.certificate(A)
    answer = await revoke(client, leaf, reason=4)
    assert (answer.status, answer.response.body) == (200, b"")
    assert await reason_of(acme, leaf) == 4
    again = await revoke(client, leaf)
    assert (again.status, again.kind) == (400, "alreadyRevoked")
    assert await reason_of(acme, leaf) == 4
    (line,) = [entry for _, entry, _ in await acme.store.journal_lines() if '"kind":"revoked"' in entry]
    assert f'"by":"account/{client.account_id}"' in line
    assert (await client.post(f"cert/{leaf.serial}")).status == 200


async def test_of_many_that_ask_at_once_one_revokes(acme: AcmeWorld) -> None:
    client = await acme.client()
    leaf = await client.certificate(A)
    answers = await asyncio.gather(*(revoke(client, leaf) for _ in range(5)))
    assert sorted(each.status for each in answers) == [200, 400, 400, 400, 400]


async def test_an_account_with_all_the_names_may(acme: AcmeWorld) -> None:
    """§7.6 An account authorised for all names; for some it may not."""
    mine, other = await acme.client(), await acme.client()
    leaf = await mine.certificate(A, B, f"*.{A}")
    assert (await revoke(other, leaf)).kind == "unauthorized"
    for names in ((A,), (B,)):
        await other.prove(await other.order(*names))
        answer = await revoke(other, leaf)
        assert (answer.status, answer.kind) == (403, "unauthorized")
    assert await reason_of(acme, leaf) is None
    order = await other.order(f"*.{A}")
    await other.prove(order)
    assert (await revoke(other, leaf)).status == 200


async def test_an_authorization_that_was_given_up_is_no_right(acme: AcmeWorld) -> None:
    mine, other = await acme.client(), await acme.client()
    leaf = await mine.certificate(A)
    order = await other.order(A)
    await other.prove(order)
    await other.post(order.json["authorizations"][0], {"status": "deactivated"})
    assert (await revoke(other, leaf)).kind == "unauthorized"
    await other.prove(await other.order(A))
    assert (await revoke(other, leaf)).status == 200


async def test_the_key_of_the_certificate_may(acme: AcmeWorld) -> None:
    """§7.6 The certificate's key signs with `jwk`; another key does not."""
    client = await acme.client()
    handle = ec.generate_private_key(ec.SECP256R1())
    leaf = await client.certificate(A, key=PrivateKey(handle))
    stranger = Client(acme)
    refused = await revoke(stranger, leaf, reason=1)
    assert (refused.status, refused.kind) == (403, "unauthorized")
    assert (await revoke(Client(acme, handle), leaf, reason=1)).status == 200
    order = await client.order(B)
    await client.prove(order)
    reused = await client.finalize(order, B, key=PrivateKey(handle))
    assert reused.kind == "badPublicKey"  # it was said to be known to others


@pytest.mark.parametrize("reason", [2, 7, 8, 10, 11, -1, 255, "1", 1.5, None, True, [1]])
async def test_reasons_that_are_not_taken(acme: AcmeWorld, reason: object) -> None:
    """§7.6 `badRevocationReason` for 7, 8, above 10 and those of the CA; the others are taken."""
    client = await acme.client()
    leaf = await client.certificate(A)
    assert (await revoke(client, leaf, reason=reason)).kind == "badRevocationReason"
    assert await reason_of(acme, leaf) is None


@pytest.mark.parametrize("reason", [0, 1, 3, 4, 5, 6, 9])
async def test_reasons_that_are_taken(acme: AcmeWorld, reason: int) -> None:
    client = await acme.client()
    leaf = await client.certificate(A)
    assert (await revoke(client, leaf, reason=reason)).status == 200
    assert await reason_of(acme, leaf) == reason


async def test_what_is_no_certificate_of_ours(acme: AcmeWorld) -> None:
    client = await acme.client()
    leaf = await client.certificate(A)
    for wish in ({}, {"certificate": 5}, {"certificate": "="}, {"certificate": ""}, {"certificate": encode(b"\x30")}):
        assert (await client.post("revoke-cert", wish)).kind == "malformed"
    foreign = TestAuthority.make(acme.authority.now)
    others = foreign.pair(TRUST_DOMAIN.workload("default", "x"), dns_names=(A,)).chain[0]
    for certificate in (others, acme.authority.issuer.root):
        assert (await revoke(client, certificate)).status == 404
    for cut in range(0, len(leaf.der), 37):
        answer = await client.post("revoke-cert", {"certificate": encode(leaf.der[:cut])})
        assert answer.kind == "malformed"
    flipped = bytearray(leaf.der)
    flipped[-1] ^= 1  # the same serial number, another signature
    assert (await client.post("revoke-cert", {"certificate": encode(bytes(flipped))})).status == 404
    assert not acme.bugs
    assert (await revoke(client, leaf)).status == 200
