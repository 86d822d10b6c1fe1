"""The stories of signing: only for services of the host, never past the issuer, recorded before and after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from handsel.authority import ca, ra, service
from handsel.authority.model import Domain, Host
from handsel.authority.profile import WORKLOAD, Lifetimes, Profiles, profiles
from handsel.errors import Conflict, Refused
from handsel.pki import csr
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names, TrustDomain
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import first_broken
from tests.authority.world import EMOJI, WEB, World
from tests.support import NOW, TRUST_DOMAIN, key_of

KEY = PrivateKey.generate()
REQUEST = csr.build(KEY, WEB)


def _asking(**names: tuple[str, ...]) -> bytes:
    return csr.build_for(KEY, Names(**names))


OTHER_KIND = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(x509.Name([]))
    .add_extension(x509.SubjectAlternativeName([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))]), critical=True)
    .sign(KEY.handle, hashes.SHA256())
    .public_bytes(serialization.Encoding.DER)
)


def _host(*services: str) -> Host:
    return Host("a1", "host.example", services, NOW)


def _sign(world: World, host: Host, *wanted: tuple[str, bytes], **changes):
    return service.sign_workloads(host, wanted, **{**world.handed_in, **changes})


async def test_a_host_gets_certificates_for_its_services_and_their_keys(world):
    keys = {"web": KEY, "emoji": PrivateKey.generate()}
    wanted = [("web", csr.build(keys["web"], WEB)), ("emoji", csr.build(keys["emoji"], EMOJI))]
    web, emoji = await world.issue(_sign(world, _host("web", "emoji"), *wanted))
    assert (web.spiffe_id, emoji.spiffe_id) == (WEB, EMOJI)
    assert (web.public_key_der, emoji.public_key_der) == tuple(key.public_der() for key in keys.values())
    assert web.serial != emoji.serial


async def test_a_request_without_a_name_gets_the_name_of_the_service(world):
    (web,) = await world.issue(_sign(world, _host("web"), ("web", csr.build(KEY, None))))
    assert web.spiffe_id == WEB


@pytest.mark.parametrize(
    ("host", "wanted", "reason"),
    [
        pytest.param(_host("emoji"), ("web", REQUEST), "not registered to host a1", id="a service of another host"),
        pytest.param(_host(), ("web", REQUEST), "not registered", id="a host without services"),
        pytest.param(_host("*"), ("nobody", REQUEST), "no service 'nobody'", id="a service that is not in the mesh"),
        pytest.param(_host("web"), ("web", csr.build(KEY, EMOJI)), f"is {WEB}, not {EMOJI}", id="the name of another"),
        pytest.param(
            _host("web"), ("web", csr.build(KEY, TRUST_DOMAIN.server)), "not spiffe", id="the name of the server"
        ),
        pytest.param(
            _host("web"), ("web", csr.build(KEY, TRUST_DOMAIN.agent("a1"))), "not spiffe", id="the name of the agent"
        ),
        pytest.param(
            _host("web"),
            ("web", csr.build(KEY, TrustDomain("other.internal").workload("default", "web"))),
            "not spiffe://other.internal",
            id="the same name of another domain",
        ),
        pytest.param(_host("web"), ("web", _asking(dns=("web",))), "not web", id="a DNS name"),
        pytest.param(_host("web"), ("web", _asking(uri=(str(WEB),), dns=("web",))), "not spiffe", id="one beside"),
        pytest.param(_host("web"), ("web", _asking(uri=(str(WEB), str(EMOJI)))), "not spiffe", id="two identities"),
        pytest.param(_host("web"), ("web", _asking(uri=("https://test.internal/",))), "not https", id="another URI"),
        pytest.param(_host("web"), ("web", _asking(mail=("a@web.example",))), "not a@web", id="an address of mail"),
        pytest.param(_host("web"), ("web", OTHER_KIND), "not another kind of name", id="a kind of name of no use"),
        pytest.param(_host("web"), ("web", b"nonsense"), "", id="a request that is none"),
    ],
)
def test_a_request_that_is_not_the_hosts_to_make_is_refused(world, host, wanted, reason):
    assert _sign(world, _host("web"), ("web", REQUEST))
    with pytest.raises(Refused) as caught:
        _sign(world, host, wanted)
    assert reason in str(caught.value)


def test_one_refusal_refuses_the_whole_batch(world):
    with pytest.raises(Refused):
        _sign(world, _host("web"), ("web", REQUEST), ("emoji", csr.build(KEY, EMOJI)))


@pytest.mark.parametrize("identity", [TrustDomain("other.internal").workload("default", "web"), TRUST_DOMAIN.nobody])
def test_a_name_that_must_never_be_signed_is_refused_whatever_the_mesh_says(world, identity):
    for named, allowed in ((WEB, True), (identity, False)):
        domain = Domain(TRUST_DOMAIN, {"web": named}, profiles(Lifetimes()))
        if allowed:
            assert _sign(world, _host("web"), ("web", csr.build(KEY, None)), domain=domain)
        else:
            with pytest.raises(Refused):
                _sign(world, _host("web"), ("web", csr.build(KEY, None)), domain=domain)


async def test_a_leaf_starts_a_little_early_and_lives_as_long_as_the_mesh_says(world):
    world.lifetimes = Lifetimes(leaf=timedelta(minutes=7))
    world.now += timedelta(hours=3)
    early = replace(world.domain.profiles[WORKLOAD], backdate=timedelta(seconds=20))
    domain = replace(world.domain, profiles=Profiles({WORKLOAD: early}))
    (web,) = await world.issue(_sign(world, _host("web"), ("web", REQUEST), domain=domain))
    assert web.not_before == world.now - timedelta(seconds=20)
    assert web.not_after == world.now + timedelta(minutes=7)


@pytest.mark.parametrize(("leaf", "early"), [(300, 30), (600, 60), (3600, 60)])
def test_a_leaf_starts_no_more_than_a_tenth_of_its_life_early(world, leaf, early):
    world.lifetimes = Lifetimes(leaf=timedelta(seconds=leaf))
    world.now += timedelta(hours=3)
    (draft,) = _sign(world, _host("web"), ("web", REQUEST)).drafts
    assert world.now - draft.draft.not_before == timedelta(seconds=early)


@pytest.mark.parametrize("left", [timedelta(seconds=s) for s in (2, 30, 3599, 3600, 7200)])
async def test_a_leaf_never_outlives_its_issuer(world, left):
    end = world.issuer.certificate.not_after
    world.now = end - left
    (web,) = await world.issue(_sign(world, _host("web"), ("web", REQUEST)))
    assert web.not_after == min(end, world.now + timedelta(hours=1))


def test_an_issuer_that_has_ended_signs_nothing(world):
    world.now = world.issuer.certificate.not_after - timedelta(seconds=1)
    assert _sign(world, _host("web"), ("web", REQUEST))
    world.now = world.issuer.certificate.not_after + timedelta(minutes=1)
    with pytest.raises(Refused, match="has ended"):
        _sign(world, _host("web"), ("web", REQUEST))


def test_an_issuer_that_has_not_begun_backdates_nothing_before_itself(world):
    world.now = world.issuer.certificate.not_before
    (draft,) = _sign(world, _host("web"), ("web", REQUEST)).drafts
    assert draft.draft.not_before == world.issuer.certificate.not_before


def test_a_lifetime_longer_than_the_profile_gives_is_refused(world):
    approval = ra.approve_workload("web", csr.parse(REQUEST), _host("web"), world.domain)
    assert service.intend([approval], **world.handed_in)
    longer = replace(approval, lifetime=approval.profile.lifetime + timedelta(seconds=1))
    with pytest.raises(Refused, match="lives at most"):
        service.intend([longer], **world.handed_in)


@pytest.mark.parametrize("kind", [kind for kind in KeyType if kind is not KeyType.P256])
def test_a_key_of_a_kind_that_the_profile_does_not_take_is_refused(world, kind):
    wanted = ("web", csr.build(key_of(kind), WEB))
    with pytest.raises(Refused, match=f"'workload' takes keys of p256, not {kind}"):
        _sign(world, _host("web"), wanted)
    other = replace(world.domain.profiles[WORKLOAD], keys=frozenset({kind}))
    domain = replace(world.domain, profiles=Profiles({WORKLOAD: other}))
    assert _sign(world, _host("web"), wanted, domain=domain)
    with pytest.raises(Refused, match="takes keys of"):
        _sign(world, _host("web"), ("web", REQUEST), domain=domain)


def test_agents_and_servers_bring_keys_of_the_kind_of_their_profile_too(world):
    request = csr.build(key_of(KeyType.P384), None)
    with pytest.raises(Refused, match="'agent' takes keys of p256, not p384"):
        service.renew_agent(_host("web"), request, **world.handed_in)
    with pytest.raises(Refused, match="'server' takes keys of p256, not p384"):
        service.certify_server(request, (), (), **world.handed_in)


async def test_the_intention_is_durable_before_the_key_is_used(world, tmp_path):
    intent = _sign(world, _host("web"), ("web", REQUEST))
    (serial,) = (draft.draft.serial for draft in intent.drafts)
    assert not any(isinstance(each, bytes) for write in intent.writes for each in vars(write).values())
    await world.store.commit(intent.writes)
    # What another process would find now, had this one ended here.
    found = World(SqliteStore(tmp_path / "handsel.db", {}))
    assert await found.directory.unfinished() == [serial]
    assert await found.kinds() == ["intended"]
    found.store.close()
    await world.store.commit(service.issue(intent, now=world.now).writes)
    assert await world.directory.unfinished() == []
    assert await world.directory.issued_count() == 1
    assert await world.kinds() == ["intended", "issued"]


async def test_nothing_signed_can_be_recorded_without_its_intention(world):
    intent = _sign(world, _host("web"), ("web", REQUEST))
    with pytest.raises(Conflict, match="was not intended"):
        await world.store.commit(service.issue(intent, now=world.now).writes)
    assert await world.kinds() == []


async def test_what_a_crash_left_is_settled_and_can_no_longer_be_issued(world):
    done, left = (_sign(world, _host("web"), ("web", REQUEST)) for _ in range(2))
    await world.issue(done)
    await world.store.commit(left.writes)
    await world.store.commit(service.settle(await world.directory.unfinished(), now=world.now).writes)
    assert await world.directory.unfinished() == []
    assert await world.kinds() == ["intended", "issued", "intended", "abandoned"]
    with pytest.raises(Conflict):
        await world.store.commit(service.issue(left, now=world.now).writes)
    assert await world.directory.issued_count() == 1
    assert service.settle(await world.directory.unfinished(), now=world.now).writes == ()
    assert first_broken(await world.store.journal_lines()) is None


async def test_a_serial_is_used_once(world):
    first = _sign(world, _host("web"), ("web", REQUEST), serial=lambda: 7)
    again = _sign(world, _host("web"), ("web", REQUEST), serial=lambda: 7)
    await world.issue(first)
    with pytest.raises(Exception, match="UNIQUE"):
        await world.store.commit(again.writes)
    assert await world.directory.issued_count() == 1


def test_serials_are_positive_fit_into_20_octets_and_do_not_repeat():
    serials = {service.random_serial() for _ in range(200)}
    assert len(serials) == 200
    assert all(0 < serial < 1 << 159 for serial in serials)


async def test_an_agent_renews_with_a_new_key_and_keeps_its_name(world):
    host = await world.host("web")
    world.now += timedelta(hours=12)
    key = PrivateKey.generate()
    intent = service.renew_agent(host, csr.build(key, TRUST_DOMAIN.agent(host.agent_id)), **world.handed_in)
    (certificate,) = await world.issue(intent)
    assert certificate.spiffe_id == TRUST_DOMAIN.agent(host.agent_id)
    assert certificate.public_key_der == key.public_der()
    assert certificate.not_after == world.now + world.lifetimes.agent


async def test_the_server_is_certified_under_the_name_that_agents_check(world):
    request = csr.build(KEY, TRUST_DOMAIN.server)
    intent = service.certify_server(request, ("localhost",), ("127.0.0.1", "::1"), **world.handed_in)
    (certificate,) = await world.issue(intent)
    assert certificate.spiffe_id == TRUST_DOMAIN.server
    assert certificate.dns_names == [TRUST_DOMAIN.server_dns, "localhost"]
    assert certificate.ip_names == ["127.0.0.1", "::1"]


def test_only_a_checked_draft_can_be_signed(world):
    (checked,) = _sign(world, _host("web"), ("web", REQUEST)).drafts
    assert ca.sign(checked)
    with pytest.raises(AttributeError):
        ca.sign(checked.draft)
