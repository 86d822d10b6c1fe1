"""Orders over the real door and store (RFC 8555, section 7.4)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from handsel.acme.lifecycle import Status
from handsel.authority.acme.model import Saved
from handsel.model.authority import Profile
from handsel.pki import csr
from handsel.pki.certificate import parse_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from tests.authority.acme.world import AcmeWorld, Client, encode, older, request_for

A, B = "a.test.internal", "b.test.internal"


async def test_an_order_becomes_a_certificate(acme: AcmeWorld) -> None:
    """§7.1.6 Pending, ready, valid; §7.4.2 leaf first, PEM, the root left out; the chain stays downloadable."""
    client = await acme.client()
    order = await client.order(A, "10.0.0.7")
    assert (order.status, order.json["status"]) == (201, "pending")
    assert "expires" in order.json
    assert order.json["profile"] == "default"
    await client.prove(order, "http-01")
    url = order.headers["Location"]
    assert (await client.post(url)).json["status"] == "ready"
    done = await client.finalize(order, A, "10.0.0.7")
    assert done.json["status"] == "valid"
    for _ in range(2):
        fetched = await client.post(done.json["certificate"])
        assert fetched.response.content_type == "application/pem-certificate-chain"
        leaf, *chain = parse_pem(fetched.response.body)
        assert (leaf.dns_names, leaf.ip_names) == ([A], ["10.0.0.7"])
        assert [each.der for each in chain] == [acme.authority.issuer.certificate.der]
    assert {(kind, name) for kind, name, *_ in acme.seen} == {("http-01", A), ("http-01", "10.0.0.7")}
    assert {thumbprint for *_, thumbprint in acme.seen} == {client.thumbprint}


async def test_a_name_that_is_not_proven_makes_the_order_invalid(acme: AcmeWorld) -> None:
    """§7.1.3 An invalid order has an error, §6.7.1 with a subproblem and the identifier for each name."""
    client = await acme.client()
    order = await client.order(A, "else.test.internal")
    await client.prove(order)
    shown = (await client.post(order.headers["Location"])).json
    assert shown["status"] == "invalid"
    assert shown["error"]["type"].endswith(":unauthorized")
    (sub,) = shown["error"]["subproblems"]
    assert sub["identifier"] == {"type": "dns", "value": "else.test.internal"}
    assert sub["type"].endswith(":incorrectResponse")
    assert (await client.finalize(order, A, "else.test.internal")).kind == "orderNotReady"


async def test_finalizing_too_early_is_403_and_twice_is_the_same(acme: AcmeWorld) -> None:
    """§7.4 `orderNotReady` is 403; a repeated finalize is idempotent, another request after it is not."""
    client = await acme.client()
    order = await client.order(A)
    early = await client.finalize(order, A)
    assert (early.kind, early.status) == ("orderNotReady", 403)
    await client.prove(order)
    der = {"csr": encode(request_for(A))}
    first = await client.post(order.json["finalize"], der)
    again = await client.post(order.json["finalize"], der)
    assert first.json == again.json
    assert first.json["status"] == "valid"
    assert (await client.finalize(order, A)).kind == "orderNotReady"


async def test_two_finalizes_at_once_make_one_certificate(acme: AcmeWorld) -> None:
    client = await acme.client()
    order = await client.order(A)
    await client.prove(order)
    answers = await asyncio.gather(*(client.finalize(order, A) for _ in range(4)))
    assert sorted(each.status for each in answers).count(200) == 1
    assert await acme.directory.issued_count() == 1


async def test_the_request_must_ask_for_exactly_the_order(acme: AcmeWorld) -> None:
    """§7.4 The names of the CSR are the order's; case is normalised, the common name is one of them."""
    client = await acme.client()
    order = await client.order("A.Test.Internal", B)
    assert [each["value"] for each in order.json["identifiers"]] == [A, B]
    await client.prove(order)
    for names in ((A,), (A, B, "c.test.internal"), ("10.0.0.7",)):
        assert (await client.finalize(order, *names)).kind == "badCSR", names
    uri = csr.build_for(PrivateKey.generate(), Names(dns=(A, B), uri=("https://a.test.internal/",)))
    assert (await client.post(order.json["finalize"], {"csr": encode(uri)})).kind == "badCSR"
    assert (await client.finalize(order, B, A)).json["status"] == "valid"


async def test_a_request_that_is_none_is_bad_csr(acme: AcmeWorld) -> None:
    """§7.4 The CSR's signature is verified; bombs and rubbish are refused and the order stays ready."""
    client = await acme.client()
    order = await client.order(A)
    await client.prove(order)
    good = request_for(A)
    broken = good[:-1] + bytes((good[-1] ^ 1,))
    many = b"\x30\x84\xff\xff\xff\xff" + bytes(100)
    deep = b"\x30\x80" * 4000
    for der in (b"", b"\x00", good[:50], broken, many, deep, bytes(20_000)):
        assert (await client.post(order.json["finalize"], {"csr": encode(der)})).kind == "badCSR"
    for wish in ({}, {"csr": 1}, {"csr": "=="}, {"csr": "a b"}):
        assert (await client.post(order.json["finalize"], wish)).kind == "malformed"
    assert (await client.post(order.json["finalize"], {"csr": encode(good)})).json["status"] == "valid"
    assert not acme.bugs


async def test_a_certificate_never_has_the_accounts_key(acme: AcmeWorld) -> None:
    """§11.1 The CSR's key differs from the account's."""
    client = await acme.client()
    order = await client.order(A)
    await client.prove(order)
    assert (await client.finalize(order, A, key=PrivateKey(client.key))).kind == "badCSR"
    assert (await client.finalize(order, A)).json["status"] == "valid"


async def test_not_before_and_not_after_are_honoured_or_refused(acme: AcmeWorld) -> None:
    """§7.4 Never ignored."""
    client = await acme.client()
    soon = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    assert (await client.order(A, notBefore=soon.isoformat())).kind == "malformed"
    for bad in ("yesterday", 5, "2020-01-01T00:00:00Z", "9999-01-01T00:00:00Z"):
        assert (await client.order(A, notAfter=bad)).kind == "malformed"
    order = await client.order(A, notAfter=soon.isoformat())
    assert order.json["notAfter"] == f"{soon:%Y-%m-%dT%H:%M:%SZ}"
    await client.prove(order)
    done = await client.finalize(order, A)
    leaf = parse_pem((await client.post(done.json["certificate"])).response.body)[0]
    assert abs(leaf.not_after - soon) < timedelta(seconds=30)


async def test_identifiers_that_cannot_be(acme: AcmeWorld) -> None:
    """§7.4 `unsupportedIdentifier`; §6.7.1 several faults are told apart."""
    client = await acme.client()
    odd = await client.post("new-order", {"identifiers": [{"type": "email", "value": "a@b.c"}]})
    assert odd.kind == "unsupportedIdentifier"
    bad = ["", "a b", "-a.internal", "*.*.internal", "a..b", "x" * 300, "ä.internal", "a.internal."]
    for value in bad:
        answer = await client.post("new-order", {"identifiers": [{"type": "dns", "value": value}]})
        assert answer.kind == "rejectedIdentifier", value
    both = await client.order(A, "a b", "-c.internal")
    assert [each["identifier"]["value"] for each in both.json["subproblems"]] == ["a b", "-c.internal"]
    for wish in (None, [], {}, "a", [1], [{}], [{"type": "dns"}], [{"type": 1, "value": "a"}]):
        assert (await client.post("new-order", {"identifiers": wish})).kind == "malformed", wish
    many = [{"type": "dns", "value": f"n{i}.internal"} for i in range(101)]
    assert (await client.post("new-order", {"identifiers": many})).kind == "malformed"
    assert "subproblems" not in odd.json


async def test_addresses_are_written_as_rfc_8738_has_them(acme: AcmeWorld) -> None:
    """RFC 8738 §3 The textual form, IPv6 as in RFC 5952; §7 no dns-01."""
    client = await acme.client()
    for value in ("010.0.0.7", "10.0.7", "2001:DB8::1", "2001:db8:0::1", "10.0.0.7/8", "fe80::1%eth0"):
        answer = await client.post("new-order", {"identifiers": [{"type": "ip", "value": value}]})
        assert answer.kind == "rejectedIdentifier", value
    order = await client.order("10.0.0.7", "2001:db8::1")
    for url in order.json["authorizations"]:
        shown = (await client.post(url)).json
        assert {each["type"] for each in shown["challenges"]} == {"http-01", "tls-alpn-01"}


async def test_orders_past_their_time_read_as_invalid(acme: AcmeWorld) -> None:
    """§7.1.6 An object past its expiry reads as invalid (order) or expired (authorization), with no job run."""
    client = await acme.client()
    order = await client.order(A)
    stored = await acme.objects.order(order.headers["Location"].rpartition("/")[2])
    await acme.store.commit((Saved(older(stored, timedelta(days=2))),))
    shown = (await client.post(order.headers["Location"])).json
    assert (shown["status"], "error" in shown) == ("invalid", True)
    url = order.json["authorizations"][0]
    proven = await acme.objects.authorization(url.rpartition("/")[2])
    await acme.store.commit((Saved(older(proven, timedelta(days=2))),))
    shown = (await client.post(url)).json
    assert shown["status"] == "expired"
    challenge = shown["challenges"][0]["url"]
    assert (await client.post(challenge, {})).kind == "malformed"
    assert not acme.seen


async def test_others_see_nothing_of_an_order(acme: AcmeWorld) -> None:
    mine, other = await acme.client(), await acme.client()
    order = await mine.order(A)
    await mine.prove(order)
    done = await mine.finalize(order, A)
    authorization = order.json["authorizations"][0]
    for url in (order.headers["Location"], authorization, done.json["certificate"]):
        assert (await other.post(url)).status == 404
        assert (await mine.post(url)).status == 200
    assert (await other.finalize(order, A)).status == 404


async def test_orders_are_listed_in_pages(acme: AcmeWorld) -> None:
    """§7.1.2.1 The account's `orders`, pages joined by `next`, without what came to nothing."""
    client = await acme.client()
    made = [(await client.order(A)).headers["Location"] for _ in range(120)]
    gone = await acme.objects.order(made[5].rpartition("/")[2])
    await acme.store.commit((Saved(replace(gone, status=Status.INVALID)),))
    account = await client.post(client.kid)
    url, found, pages = account.json["orders"], [], 0
    while url:
        page = await client.post(url)
        assert page.status == 200
        found += page.json["orders"]
        url = next(iter(page.links("next")), "")
        pages += 1
    assert pages == 3
    assert found == [each for each in made if each != made[5]]
    other = await acme.client()
    assert (await other.post(account.json["orders"])).kind == "unauthorized"
    assert (await client.post(f"{account.json['orders']}/nonsense")).status == 404


async def test_profiles_are_announced_and_chosen(acme: AcmeWorld) -> None:
    """draft-ietf-acme-profiles: `meta.profiles`, `profile` in the order, `invalidProfile`."""
    acme.written["short"] = Profile("short", timedelta(minutes=10), acme=True, description="ten minutes")
    client = await acme.client()
    directory = (await acme.ask("GET", "directory")).json
    assert directory["meta"]["profiles"]["short"] == "ten minutes"
    assert "workload" not in directory["meta"]["profiles"]
    for wrong in ("workload", "nonsense", 5, ["short"]):
        assert (await client.order(A, profile=wrong)).kind == "invalidProfile"
    leaf = await client.certificate(A, profile="short")
    assert leaf.not_after - leaf.not_before < timedelta(minutes=12)


async def test_directories_of_one_ca_and_of_one_profile(acme: AcmeWorld) -> None:
    acme.written["short"] = Profile("short", timedelta(minutes=10), acme=True)
    client = await acme.client()
    for where, offered in (("profile/short", {"short"}), ("ca/issuing", {"default", "short"})):
        directory = (await acme.ask("GET", f"{where}/directory")).json
        assert set(directory["meta"]["profiles"]) == offered
        order = await client.order(A, path=directory["newOrder"])
        assert order.status == 201
        assert order.json["profile"] in offered
        assert order.links("index") == [f"https://ca.test:8443/acme/{where}/directory"]
    assert (await client.order(A, path="profile/short/new-order", profile="default")).kind == "invalidProfile"
    for nowhere in ("ca/none/directory", "profile/workload/directory"):
        assert (await acme.ask("GET", nowhere)).status == 404


async def test_a_chain_to_another_root_is_an_alternate(acme: AcmeWorld) -> None:
    """§7.4.2 `Link: rel="alternate"`."""
    issuer = replace(acme.authority.issuer, links=(acme.authority.issuer.root,))
    acme.issuers = type(acme.issuers).only(issuer)
    client = await acme.client()
    order = await client.order(A)
    await client.prove(order)
    usual = await client.post((await client.finalize(order, A)).json["certificate"])
    (url,) = usual.links("alternate")
    other = await client.post(url)
    assert len(parse_pem(other.response.body)) == 3
    assert other.links("alternate") == [(await client.post(order.headers["Location"])).json["certificate"]]
    for wrong in ("2", "x", "-1", "01", "²"):
        assert (await client.post(url.rpartition("/")[0] + f"/{encode(wrong.encode())}")).status == 404


async def test_nobody_can_use_the_key_of_others(acme: AcmeWorld) -> None:
    mine, other = await acme.client(), await acme.client()
    key = PrivateKey.generate()
    await mine.certificate(A, key=key)
    order = await other.order(B)
    await other.prove(order)
    assert (await other.finalize(order, B, key=key)).kind == "badPublicKey"
    assert (await other.finalize(order, B)).json["status"] == "valid"


async def test_a_signed_client_needs_an_account(acme: AcmeWorld) -> None:
    nobody = Client(acme, kid="https://ca.test:8443/acme/account/nobody")
    assert (await nobody.order(A)).kind == "accountDoesNotExist"
