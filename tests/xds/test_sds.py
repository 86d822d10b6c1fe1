"""SDS and ADS, delta and state of the world, on one real socket: names, refusals, rotations, the facts of a secret."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_spiffe_validator_config_pb2

from handsel.pki.certificate import to_pem
from handsel.xds import secret
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.names import Names
from handsel.xds.resources import SECRET, Resource, resource
from handsel.xds.snapshot import snapshot
from tests.support import NOW, TRUST_DOMAIN, TestAuthority, until
from tests.xds.conversation import TYPES, thing
from tests.xds.sds_client import Stream, connected

WEB, OTHER = str(TRUST_DOMAIN.workload("default", "web")), str(TRUST_DOMAIN.workload("default", "other"))
NAMES = Names(WEB, ("web.test.internal",), TRUST_DOMAIN.name, ("partner.example",), ("file-root:system",))
IDENTITY = ["default", WEB, "web.test.internal"]
TRUST = ["ROOTCA", "spiffe://test.internal", "trusted_ca", "validation_context"]
EVERY_STREAM = pytest.mark.parametrize(
    ("variant", "ads"), [("sotw", False), ("delta", False), ("sotw", True), ("delta", True)]
)
EVERY_SDS = pytest.mark.parametrize("variant", ["sotw", "delta"])


@pytest.fixture(scope="module")
def partner() -> TestAuthority:
    return TestAuthority.make()


def _identity(authority: TestAuthority) -> Resource:
    pair = authority.pair(TRUST_DOMAIN.workload("default", "web"), dns_names=("web.test.internal",))
    return secret.tls_certificate("default", to_pem(pair.chain), pair.key.pem(), now=NOW)


def _roots(name: str, authority: TestAuthority) -> Resource:
    return secret.validation_context(name, to_pem((authority.issuer.root,)))


def secret_of(made: Resource) -> secret_pb2.Secret:
    return secret_pb2.Secret.FromString(made.body)


class World:
    """A server with everything that one socket may have, and what it decided."""

    def __init__(self, path: Path, authority: TestAuthority, **options) -> None:
        self.decisions: list[tuple[str, bool, str]] = []
        self.now = NOW
        self.server = AdsServer(
            path,
            names=NAMES,
            on_decision=lambda *decision: self.decisions.append(decision),
            clock=lambda: self.now,
            **options,
        )
        self.identity, self.roots = _identity(authority), _roots("ROOTCA", authority)

    def publish(self, *more: Resource, names: Names | None = None, roots: bool = True) -> None:
        self.server.publish(snapshot([self.identity, *([self.roots] if roots else []), *more]), names)


@contextlib.asynccontextmanager
async def living(path: Path, authority: TestAuthority, **options) -> AsyncIterator[World]:
    world = World(path, authority, **options)
    await world.server.start()
    try:
        yield world
    finally:
        await world.server.stop()


@pytest.mark.parametrize("name", [*IDENTITY, *TRUST])
@EVERY_STREAM
async def test_every_name_is_the_secret_that_it_means_and_a_rotation_follows(
    short_folder, authority, variant, ads, name
):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        stream: Stream = getattr(client, variant)(ads=ads)
        await stream.ask(name)
        first = (await stream.secrets())[name]
        original = world.identity if name in IDENTITY else world.roots
        assert first.tls_certificate == secret_of(original).tls_certificate
        assert first.validation_context == secret_of(original).validation_context
        await stream.ack(*([name] if variant == "sotw" else []))
        world.identity, world.roots = _identity(authority), _roots("ROOTCA", TestAuthority.make())
        world.publish()
        assert (await stream.secrets())[name] not in (first, None)


async def test_a_fetch_brings_several_secrets_at_once(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        response = await client.fetch("trusted_ca", WEB)
        assert [each.type_url for each in response.resources] == [SECRET, SECRET]
        assert response.version_info == (await client.fetch(WEB, "trusted_ca")).version_info
        world.identity = _identity(authority)
        world.publish()
        assert (await client.fetch(WEB, "trusted_ca")).version_info != response.version_info


async def test_all_bundles_come_in_the_spiffe_validator_each_with_its_domain(short_folder, authority, partner):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish(_roots("spiffe://partner.example", partner))
        stream = client.sotw()
        await stream.ask("ALL")
        validator = (await stream.secrets())["ALL"].validation_context.custom_validator_config
        config = tls_spiffe_validator_config_pb2.SPIFFECertValidatorConfig()
        assert validator.typed_config.Unpack(config)
        assert {each.name: each.trust_bundle.inline_bytes for each in config.trust_domains} == {
            "test.internal": to_pem((authority.issuer.root,)),
            "partner.example": to_pem((partner.issuer.root,)),
        }
        other = client.sotw()
        await other.ask("spiffe://partner.example")
        roots = (await other.secrets())["spiffe://partner.example"].validation_context.trusted_ca.inline_bytes
        assert roots == to_pem((partner.issuer.root,))


REFUSED = [
    (OTHER, grpc.StatusCode.PERMISSION_DENIED, "another identity"),
    ("file-cert:/etc/a.crt~/etc/a.key", grpc.StatusCode.PERMISSION_DENIED, "not granted"),
    ("spiffe://stranger.example", grpc.StatusCode.NOT_FOUND, "not known"),
    ("nobody.test.internal", grpc.StatusCode.NOT_FOUND, "not known"),
]
EVERY_REFUSAL = pytest.mark.parametrize(("name", "code", "text"), REFUSED, ids=["identity", "file", "domain", "dns"])


@EVERY_REFUSAL
async def test_a_name_of_another_ends_the_call_and_the_control_goes_through(short_folder, authority, name, code, text):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        refused, control = client.sotw(), client.sotw()
        await control.ask("default")
        await refused.ask("default", name)
        ended = await refused.ended()
        assert ended[0] == code
        assert text in ended[1]
        assert WEB in ended[1]
        assert "default" in (await control.secrets())
        assert (name, False, ended[1]) in world.decisions
        with pytest.raises(grpc.aio.AioRpcError) as fetched:
            await client.fetch(name)
        assert (fetched.value.code(), fetched.value.details()) == ended


@EVERY_REFUSAL
@pytest.mark.parametrize("ads", [False, True])
async def test_by_delta_a_name_of_another_is_absent_with_the_reason_and_the_rest_goes_on(
    short_folder, authority, name, code, text, ads
):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        stream = client.delta(ads=ads)
        await stream.ask("default", name)
        response = await stream.read()
        assert [each.name for each in response.resources] == ["default"]
        assert list(response.removed_resources) == [name]
        (error,) = response.resource_errors
        assert (error.resource_name.name, error.error_detail.code) == (name, code.value[0])
        assert text in error.error_detail.message
        assert (name, False, error.error_detail.message) in world.decisions


async def test_a_decision_is_told_once_for_a_grant_and_each_time_for_a_refusal(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        stream = client.sotw()
        await stream.ask("default")
        await stream.secrets()
        await stream.ack("default", "ROOTCA")
        await stream.secrets()
        await stream.ack("default", "ROOTCA", OTHER)
        await stream.ended()
        again = client.sotw()
        await again.ask(OTHER)
        await again.ended()
        assert [(name, granted) for name, granted, _ in world.decisions] == [
            ("default", True), ("ROOTCA", True), (OTHER, False), (OTHER, False),
        ]  # fmt: skip


@EVERY_SDS
async def test_a_secret_that_is_not_there_yet_is_waited_for(short_folder, authority, variant):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        stream, quiet = getattr(client, variant)(), getattr(client, variant)()
        await quiet.ask("default", "file-root:system")
        await stream.ask("default", "file-root:system")
        assert await quiet.silent()
        with pytest.raises(grpc.aio.AioRpcError) as fetched:
            await client.fetch("default")
        assert fetched.value.code() == grpc.StatusCode.UNAVAILABLE
        world.publish()
        assert list(await stream.secrets()) == ["default"]
        await stream.ack(*(["default", "file-root:system"] if variant == "sotw" else []))
        world.publish(_roots("file-root:system", authority))
        assert "file-root:system" in await stream.secrets()


async def test_on_ads_a_refused_name_is_absent_and_the_stream_goes_on(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish(resource(SECRET, OTHER, b"not for this socket"))
        stream = client.delta(ads=True)
        await stream.ask("default", OTHER)
        response = await stream.read()
        assert [each.name for each in response.resources] == ["default"]
        assert list(response.removed_resources) == [OTHER]
        world_stream = client.sotw(ads=True)
        await world_stream.ask("default", OTHER)
        assert list(await world_stream.secrets()) == ["default"]
        star = client.delta(ads=True)
        await star.ask("*")
        assert sorted(await star.secrets()) == ["ROOTCA", "default"]


async def test_a_grant_that_is_withdrawn_takes_the_secret_away_and_one_that_is_given_brings_it(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        name, file = "file-root:system", _roots("file-root:system", authority)
        world.publish(file)
        delta, sotw, other = client.delta(), client.sotw(), client.sotw()
        for each, asked in ((delta, name), (sotw, name), (other, "default")):
            await each.ask(asked)
            await each.secrets()
            await each.ack(*([asked] if each is not delta else []))
        await until(lambda: all(fact.current == fact.subscribers for fact in world.server.secrets()))
        world.publish(file, names=replace(NAMES, files=()))
        assert (await sotw.ended())[0] == grpc.StatusCode.PERMISSION_DENIED
        assert list((await delta.read()).removed_resources) == [name]
        await delta.ack()
        world.identity = _identity(authority)
        world.publish(file, names=NAMES)
        assert "default" in await other.secrets()
        assert name in await delta.secrets()
        assert [granted for each, granted, _ in world.decisions if each == name] == [True, True, False, False, True]


async def test_what_is_waited_for_is_answered_when_it_is_refused(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        stream = client.delta()
        await stream.ask("default", "file-root:system")
        assert list(await stream.secrets()) == ["default"]
        await stream.ack()
        world.publish(names=replace(NAMES, files=()))
        assert list((await stream.read()).removed_resources) == ["file-root:system"]


async def test_without_names_only_what_is_published_is_served(short_folder):
    server = AdsServer(short_folder / "ads")
    server.publish(snapshot([thing("secret", "s1")]))
    await server.start()
    async with connected(server.path) as client:
        stream, refused = client.sotw(), client.sotw()
        await stream.ask("s")
        assert len((await stream.read()).resources) == 1
        await refused.ask("default")
        assert (await refused.ended())[0] == grpc.StatusCode.NOT_FOUND
    await server.stop()


@EVERY_SDS
async def test_a_refused_secret_goes_back_and_a_good_one_of_another_name_arrives(short_folder, authority, variant):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        stream = getattr(client, variant)()
        names = ["default", "ROOTCA"] if variant == "sotw" else []
        await stream.ask("default", "ROOTCA")
        good = await stream.secrets()
        await stream.ack(*names)
        first, world.identity = world.identity, _identity(authority)
        world.publish()
        assert (await stream.secrets())["default"] != good["default"]
        await stream.nack(*names, text="key values mismatch")
        assert (await stream.secrets())["default"] == good["default"]
        await until(lambda: bool(world.server.rejections))
        assert [(each.names, each.reason) for each in world.server.rejections] == [
            (("default",), "key values mismatch")
        ]
        await stream.ack(*names)
        world.roots = _roots("ROOTCA", TestAuthority.make())
        world.publish()
        after = await stream.secrets()
        assert after["ROOTCA"] != good["ROOTCA"]
        assert after.get("default", good["default"]) == good["default"]
        await stream.ack(*names)
        world.identity = first
        world.publish()
        await until(lambda: not world.server.rejections)


async def test_a_client_that_reconnects_with_what_it_has_gets_nothing_again(short_folder, authority):
    async with living(short_folder / "ads", authority) as world:
        world.publish()
        async with connected(world.server.path) as client:
            stream = client.sotw()
            await stream.ask(WEB)
            had = (await stream.read()).version_info
        await world.server.stop()
        restarted = AdsServer(world.server.path, names=NAMES)
        restarted.publish(world.server.snapshot)
        await restarted.start()
        async with connected(restarted.path) as client:
            same, lacking = client.sotw(), client.sotw()
            await same.ask(WEB, version_info=had)
            await lacking.ask(WEB, "ROOTCA", version_info=had)
            assert sorted(await lacking.secrets()) == sorted([WEB, "ROOTCA"])
            assert await same.silent()
        await restarted.stop()


async def test_a_client_of_sds_makes_the_workload_neither_connected_nor_in_sync(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        server = world.server
        world.publish(thing("listener", "x1"))
        sds = client.sotw()
        await sds.ask("default")
        await sds.read()  # and never acknowledged
        assert not server.connected
        assert not server.in_sync
        assert not server.has(SECRET, "default", world.identity.version)
        proxy = client.sotw(ads=True, type_url=TYPES["listener"])
        await proxy.ask()
        await proxy.read()
        await proxy.ack()
        await until(lambda: server.in_sync)
        world.identity = _identity(authority)
        world.publish(thing("listener", "x1"))
        assert server.in_sync


async def test_what_a_client_of_sds_refuses_is_kept_beside_a_proxy_that_is_in_sync(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish(thing("listener", "x1"))
        sds, proxy = client.delta(), client.delta(ads=True, type_url=TYPES["listener"])
        await sds.ask("default")
        await sds.read()
        await sds.nack(text="no good")
        await until(lambda: bool(world.server.rejections))
        await proxy.ask()
        await proxy.read()
        await proxy.ack()
        await until(lambda: world.server.in_sync)
        assert [each.reason for each in world.server.rejections] == ["no good"]
        sds.call.cancel()
        await until(lambda: not world.server.rejections)


async def test_the_facts_of_a_secret(short_folder, authority):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        facts = lambda: {each.name: each for each in world.server.secrets()}  # noqa: E731
        world.publish(roots=False)
        streams = [client.sotw(), client.delta()]
        for stream in streams:
            await stream.ask(WEB, "ROOTCA")
            await stream.secrets()
        await streams[0].ack(WEB, "ROOTCA")
        await until(lambda: facts()[WEB].current == 1)
        assert facts()[WEB].subscribers == 2
        assert facts()[WEB].last_ack == NOW
        assert facts()["ROOTCA"].waiting_since == NOW
        assert not facts()["ROOTCA"].is_warming(NOW + timedelta(seconds=5), timedelta(seconds=10))
        assert facts()["ROOTCA"].is_warming(NOW + timedelta(seconds=11), timedelta(seconds=10))
        world.now = NOW + timedelta(minutes=1)
        await streams[1].nack(text="no good")
        await until(lambda: facts()[WEB].last_nack is not None)
        assert (facts()[WEB].last_nack, facts()[WEB].nack_text) == (world.now, "no good")
        world.publish()
        assert facts()["ROOTCA"].waiting_since is None
        streams[0].call.cancel()
        await until(lambda: facts()[WEB].subscribers == 1)


async def test_what_is_no_request_is_refused_in_words(short_folder, authority, caplog):
    async with living(short_folder / "ads", authority) as world, connected(world.server.path) as client:
        world.publish()
        wrong = client.sotw()
        await wrong.ask("default", type_url=TYPES["cluster"])
        assert (await wrong.ended())[0] == grpc.StatusCode.INVALID_ARGUMENT
        implied = client.sotw()
        await implied.ask("default", type_url="")
        assert "default" in await implied.secrets()
        untyped = client.delta(ads=True)
        await untyped.ask("default", type_url="")
        assert (await untyped.ended())[0] == grpc.StatusCode.INVALID_ARGUMENT
        many = client.delta(ads=True)
        await many.ask(*(f"{number}" for number in range(30_000)))
        assert (await many.ended())[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        raw = client._channel.stream_stream("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets")()
        await raw.write(b"\xff\xff nonsense")
        assert await asyncio.wait_for(raw.code(), 10) == grpc.StatusCode.INVALID_ARGUMENT
    assert not [each for each in caplog.records if "PollerCompletionQueue" not in each.getMessage()]  # of gRPC itself
