"""When a certificate of an ACME CA is ordered, and whether what came is used."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent import acme, delivery
from handsel.agent import holdings as held_things
from handsel.agent.acme import Held, RenewalInfo, Step
from handsel.agent.delivery import Material
from handsel.agent.model import KeyPair
from handsel.errors import ProtocolError
from handsel.model.acme_client import AcmeClient, ExternalAccount
from handsel.model.delivery import Content, Delivery
from handsel.pki.certificate import parse_pem, to_pem
from handsel.pki.keys import PrivateKey
from handsel.xds.resources import SECRET
from tests.agent.things import assigned, holdings, identity, workload
from tests.support import NOW, TestAuthority

AUTHORITY = TestAuthority.make()
WISH = AcmeClient("https://ca.test/dir", ("shop.test",))
DAY = timedelta(days=1)
KEY = PrivateKey.generate()


def issued(*names: str, lifetime: timedelta = 30 * DAY, key: PrivateKey = KEY) -> KeyPair:
    return AUTHORITY.pair(identity("web"), lifetime=lifetime, dns_names=names or ("shop.test",), key=key)


PAIR = issued()


def held(spread: float = 0.5, *, now=NOW, pair: KeyPair = PAIR) -> Held:
    return acme.first(pair, WISH, "https://ca.test/account/1", spread=spread, now=now)


def info(start: timedelta, end: timedelta, again: timedelta = timedelta(hours=6)) -> RenewalInfo:
    return RenewalInfo(NOW + start, NOW + end, again)


def test_nothing_held_is_ordered_and_what_came_is_asked_about_at_once():
    assert acme.next_step(None, WISH, NOW) is Step.ORDER
    assert acme.next_step(held(), WISH, NOW) is Step.ASK_WHEN
    asked = acme.planned(held(), info(10 * DAY, 20 * DAY), NOW)
    assert acme.next_step(asked, WISH, NOW) is Step.NOTHING


def test_the_moment_is_within_the_window_of_the_ca_and_stays():
    """RFC 9773, section 4.2."""
    for spread in (0.0, 0.25, 0.999):
        planned = acme.planned(held(spread), info(10 * DAY, 20 * DAY), NOW)
        assert planned.renew_at == NOW + 10 * DAY + 10 * DAY * spread
        assert planned.said_by_ca
        assert acme.planned(planned, info(10 * DAY, 20 * DAY), NOW + DAY).renew_at == planned.renew_at
        assert acme.next_step(planned, WISH, planned.renew_at - timedelta(seconds=1)) in (Step.ASK_WHEN, Step.NOTHING)
        assert acme.next_step(planned, WISH, planned.renew_at) is Step.ORDER


def test_a_window_in_the_past_is_now_but_a_ca_that_says_so_of_everything_is_not_asked_again_and_again():
    past = info(-2 * DAY, -DAY)
    assert acme.planned(held(), past, NOW + DAY).renew_at <= NOW + DAY
    young = acme.planned(held(), past, NOW)
    assert NOW + timedelta(minutes=30) < young.renew_at <= NOW + timedelta(hours=1)


def test_a_window_after_the_end_leaves_time_for_a_second_try():
    assert acme.planned(held(), info(40 * DAY, 50 * DAY), NOW).renew_at == NOW + 27 * DAY


def test_without_renewal_information_it_is_two_thirds_of_life_and_nobody_is_asked():
    planned = acme.planned(held(), None, NOW)
    assert (planned.renew_at, planned.said_by_ca) == (NOW + 20 * DAY, False)
    assert acme.next_step(planned, WISH, NOW + 19 * DAY) is Step.NOTHING


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (timedelta(seconds=1), timedelta(minutes=1)),
        (timedelta(hours=3), timedelta(hours=3)),
        (timedelta(days=400), timedelta(days=1)),
    ],
    ids=["soon", "hours", "late"],
)
def test_the_ca_is_asked_again_when_it_wants_within_limits(said, expected):
    """RFC 9773, section 4.3.3."""
    planned = acme.planned(held(), info(10 * DAY, 20 * DAY, said), NOW)
    assert planned.ask_at == NOW + expected
    assert acme.next_step(planned, WISH, NOW + expected) is Step.ASK_WHEN


def test_nobody_is_asked_after_the_end():
    """RFC 9773, section 4.3: then it is ordered."""
    assert acme.next_step(held(), WISH, NOW + 31 * DAY) is Step.ORDER
    assert acme.next_step(replace(held(), renew_at=NOW + 40 * DAY), WISH, NOW + 31 * DAY) is Step.NOTHING


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({"names": ("shop.test", "www.test")}, True),
        ({"directory": "https://other.test/dir"}, True),
        ({"profile": "short"}, True),
        ({"key": "p384"}, True),
        ({"preferred_chain": "Root"}, True),
        ({"external_account": ExternalAccount("k", "/k")}, True),
        ({"listen_port": 8080}, False),
        ({"challenge": "tls-alpn-01"}, False),
        ({"contact": ("mailto:a@b.test",)}, False),
        ({"roots": "/ca.pem"}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_another_wish_is_another_order(change, is_another):
    planned = acme.planned(held(), info(10 * DAY, 20 * DAY), NOW)
    expected = Step.ORDER if is_another else Step.NOTHING
    assert acme.next_step(planned, replace(WISH, **change), NOW) is expected


def answer(start: object = "2030-01-10T00:00:00Z", end: object = "2030-01-11T00:00:00Z") -> bytes:
    return json.dumps(
        {"suggestedWindow": {"start": start, "end": end}, "explanationURL": "https://ca.test/why"}
    ).encode()


def test_renewal_information_is_read():
    read = acme.read_renewal_info(answer(), timedelta(hours=2))
    assert read.end - read.start == DAY
    assert (read.again, read.explanation) == (timedelta(hours=2), "https://ca.test/why")
    assert acme.read_renewal_info(answer("2030-01-09T23:59:59.123456789+01:00"), None).again == timedelta(hours=6)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"[" * 100_000, answer(5), answer("yesterday"), answer("2030-01-11T00:00:00Z"),
     answer("2030-01-10T00:00:00"), b'{"suggestedWindow": []}'],
    ids=["empty", "list", "nothing", "deep", "number", "word", "no-time-between", "no-zone", "window"],
)  # fmt: skip
def test_other_renewal_information_is_refused(body):
    with pytest.raises(ProtocolError):
        acme.read_renewal_info(body, None)


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body):
    for read in (lambda: acme.read_renewal_info(body, None), lambda: acme.received([body], KEY, WISH, NOW)):
        with pytest.raises(ProtocolError):
            read()


def receive(pair: KeyPair, wish: AcmeClient = WISH, now=NOW, roots=(), key: PrivateKey = KEY):
    return acme.received([to_pem(pair.chain)], key, wish, now, roots)


def test_what_was_ordered_is_used():
    assert receive(PAIR) == PAIR
    assert receive(PAIR, roots=(AUTHORITY.issuer.root,)) == PAIR
    both = issued("www.test", "shop.test")
    assert receive(both, replace(WISH, names=("shop.test", "www.test"))) == both


OTHER = TestAuthority.make()
STRANGE = {
    "key": (lambda: receive(PAIR, key=PrivateKey.generate()), "not for the key"),
    "names": (lambda: receive(issued("shop.test", "evil.test")), "it is for evil.test, shop.test"),
    "fewer": (lambda: receive(PAIR, replace(WISH, names=("shop.test", "www.test"))), "not for shop.test, www.test"),
    "ended": (lambda: receive(PAIR, now=NOW + 31 * DAY), "not now"),
    "future": (lambda: receive(PAIR, now=NOW - DAY), "not now"),
    "chain": (lambda: receive(KeyPair(KEY, (PAIR.leaf, OTHER.issuer.certificate))), "has not signed"),
    "leaf-as-ca": (lambda: receive(KeyPair(KEY, (PAIR.leaf, PAIR.leaf))), "has not signed"),
    "roots": (lambda: receive(PAIR, roots=(OTHER.issuer.root,)), "none of the roots"),
    "ca": (lambda: receive(KeyPair(AUTHORITY.issuer.key, (AUTHORITY.issuer.certificate,)), key=KEY), "not for the key"),
    "many": (lambda: acme.received([PAIR.leaf.pem * 11], KEY, WISH, NOW), "more than 10"),
    "large": (lambda: acme.received([b"x" * 70_000], KEY, WISH, NOW), "bytes"),
    "none": (lambda: acme.received([], KEY, WISH, NOW), "no certificate"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_certificate_that_was_not_ordered_is_not_used(case):
    run, message = STRANGE[case]
    with pytest.raises(ProtocolError, match=message):
        run()


def test_the_preferred_chain_is_taken_and_the_first_when_there_is_none():
    chains = [to_pem(PAIR.chain), to_pem((*PAIR.chain, AUTHORITY.issuer.root))]
    top = AUTHORITY.issuer.root.subject
    assert len(acme.received(chains, KEY, replace(WISH, preferred_chain="nobody"), NOW).chain) == len(PAIR.chain)
    assert acme.received(chains[1:], KEY, replace(WISH, preferred_chain=top), NOW).chain[-1] == AUTHORITY.issuer.root


def test_a_refusal_waits_longer_than_an_absence_and_nobody_waits_less_than_was_asked():
    away = [acme.wait_after(n, refused=False, asked=None) for n in (1, 2, 3, 50)]
    refused = [acme.wait_after(n, refused=True, asked=None) for n in (1, 2, 3, 50)]
    assert away == sorted(away)
    assert all(less < more for less, more in zip(away, refused, strict=True))
    assert away[-1] == timedelta(minutes=10)
    assert refused[-1] == timedelta(hours=6)
    assert acme.wait_after(1, refused=True, asked=timedelta(hours=1)) == timedelta(hours=1)
    assert acme.wait_after(1, refused=True, asked=timedelta(days=400)) == DAY
    assert acme.wait_after(3, refused=True, asked=timedelta(seconds=1)) == refused[2]


def test_an_older_agent_says_what_it_does_not_know():
    assert acme.lacks(WISH) == ""
    assert "challenge 'dns-01'" in acme.lacks(replace(WISH, challenge="dns-01"))
    assert "key 'mldsa99'" in acme.lacks(replace(WISH, key="mldsa99"))


def test_the_socket_serves_it_under_its_names_beside_the_identity():
    wish = replace(WISH, names=("shop.test", "www.test"))
    web = replace(workload(AUTHORITY.pair(identity("web"), dns_names=("shop.test", "own.test"))), acme=PAIR)
    web = replace(web, assigned=replace(assigned(), acme=wish))
    everything = holdings(AUTHORITY, web)
    resources = held_things.proxy_snapshot(web, everything, {}, NOW).resources
    assert (SECRET, "acme") in resources
    assert (SECRET, "shop.test") in resources
    assert (SECRET, "www.test") not in resources  # granted, and served once a certificate is good for it
    names = held_things.names(web, everything)
    meant = {name: names.means(name) for name in ("acme", "shop.test", "www.test", "own.test", "default")}
    assert meant == {
        "acme": "acme", "shop.test": "shop.test", "www.test": "www.test", "own.test": "default", "default": "default",
    }  # fmt: skip
    after = held_things.proxy_snapshot(web, everything, {}, NOW + 31 * DAY).resources
    assert (SECRET, "acme") not in after


def test_without_a_wish_nothing_of_it_is_served():
    web = replace(workload(AUTHORITY.pair(identity("web"))), acme=PAIR)
    assert (SECRET, "acme") not in held_things.proxy_snapshot(web, holdings(AUTHORITY, web), {}, NOW).resources
    assert not held_things.names(web, holdings(AUTHORITY, web)).decide("acme").granted


def test_files_are_made_of_it_where_it_is_said():
    wanted = Delivery("t", "/t", (Content("a", "certificate", source="acme"), Content("b", "certificate")))
    own = AUTHORITY.pair(identity("web"))
    web = workload(own)
    everything = holdings(AUTHORITY, web)
    assert delivery.lacks(wanted, web, everything) == "there is no certificate of the ACME CA yet"
    assert delivery.lacks(wanted, replace(web, acme=PAIR), everything) == ""
    material = Material(own, (AUTHORITY.issuer.root,), acme=PAIR)
    made = {each.name: parse_pem(each.content)[0] for each in delivery.files(wanted, material, NOW)}
    assert made == {"a": PAIR.leaf, "b": own.leaf}
    renewed = replace(material, acme=issued())
    assert delivery.mark(b"k", wanted, material) != delivery.mark(b"k", wanted, renewed)
    newer = Delivery("t", "/t", (Content("a", "certificate", source="other"),))
    assert "does not know the source 'other'" in delivery.lacks(newer, web, everything)
