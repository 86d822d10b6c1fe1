"""The Workload API on a socket, as any gRPC client sees it: complete, at once, and again only when something changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from grpc_reflection.v1alpha import reflection_pb2

from handsel.agent.adapters.workload import workload_pb2 as wire
from handsel.agent.adapters.workload_api import HEADER, SERVICE, WorkloadApi
from handsel.agent.model import Holdings
from handsel.errors import Refused, Unreachable
from handsel.link.jwt import JwtRequest, JwtResponse
from handsel.link.messages import FederatedBundle
from handsel.pki.names import TrustDomain
from tests.agent.things import holdings, identity, workload
from tests.e2e.mesh_process import short_folder
from tests.support import NOW, TRUST_DOMAIN, TestAuthority

OTHER = TrustDomain("other.internal")
METADATA = ((HEADER, "true"),)


@dataclass
class World:
    """A workload's socket, with what its agent holds and the tokens that the server gave."""

    held: Holdings
    now: datetime
    channel: grpc.aio.Channel
    api: WorkloadApi
    target: str
    asked: list[JwtRequest] = field(default_factory=list)
    problem: Exception | None = None

    def hold(self, held: Holdings) -> None:
        self.held = held
        self.api.notify()

    def stream(self, method: str, request, answer, metadata=METADATA):
        call = self.channel.unary_stream(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(request, metadata=metadata)

    def svids(self, metadata=METADATA):
        return self.stream("FetchX509SVID", wire.X509SVIDRequest(), wire.X509SVIDResponse, metadata)

    async def ask(self, method: str, request, answer, metadata=METADATA):
        call = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return await call(request, metadata=metadata, timeout=5)

    async def token(self, *audience: str, spiffe_id: str = "") -> str:
        request = wire.JWTSVIDRequest(audience=audience, spiffe_id=spiffe_id)
        return (await self.ask("FetchJWTSVID", request, wire.JWTSVIDResponse)).svids[0].svid


@contextlib.asynccontextmanager
async def world(held: Holdings) -> AsyncIterator[World]:
    with short_folder() as folder:
        server = grpc.aio.server()
        there: World

        async def fetch(request: JwtRequest) -> JwtResponse:
            there.asked.append(request)
            await asyncio.sleep(0.02)
            if there.problem is not None:
                raise there.problem
            return JwtResponse(f"token {len(there.asked)}", there.now + timedelta(minutes=5))

        api = WorkloadApi("web", lambda: there.held, fetch, now=lambda: there.now)
        server.add_generic_rpc_handlers(api.handlers())
        server.add_insecure_port(f"unix:{folder}/s")
        await server.start()
        async with grpc.aio.insecure_channel(f"unix:{folder}/s") as channel:
            there = World(held, NOW, channel, api, f"unix:{folder}/s")
            yield there
        await server.stop(0)


def _full(authority: TestAuthority) -> Holdings:
    held = holdings(authority, workload(authority.pair(identity("web"))))
    return replace(held, bundle=replace(held.bundle, jwks=b'{"keys":[]}', crls=(b"a list",)))


async def _next(call, seconds: float = 5):
    return await asyncio.wait_for(call.read(), seconds)


async def _refused(awaitable) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await awaitable
    return refusal.value.code(), refusal.value.details()


def test_the_first_message_comes_at_once_and_is_whole(authority):
    async def run() -> None:
        async with world(_full(authority)) as there:
            told = await _next(there.svids())
            (svid,) = told.svids
            pair = there.held.workloads["web"].key_pair
            assert svid.spiffe_id == str(identity("web"))
            assert svid.x509_svid == b"".join(each.der for each in pair.chain)  # the leaf first, no root
            key = serialization.load_der_private_key(svid.x509_svid_key, None)
            assert key.public_key() == x509.load_der_x509_certificate(pair.leaf.der).public_key()
            assert svid.bundle == authority.issuer.root.der
            assert list(told.crl) == [b"a list"]
            assert not told.federated_bundles

    asyncio.run(run())


def test_a_new_message_comes_with_each_change_and_none_without(authority):
    async def run() -> None:
        async with world(_full(authority)) as there:
            call = there.svids()
            first = await _next(call)
            reading = asyncio.ensure_future(call.read())
            for sequence in range(5):  # what this workload is not told
                there.hold(replace(there.held, sequence=sequence))
            there.hold(there.held.with_workload(replace(there.held.workloads["web"], ports=None)))
            await asyncio.sleep(0.2)
            assert not reading.done()
            renewed = replace(there.held.workloads["web"], key_pair=authority.pair(identity("web")))
            there.hold(there.held.with_workload(renewed))
            second = await asyncio.wait_for(reading, 5)
            assert second.svids[0].x509_svid != first.svids[0].x509_svid
            assert second.svids[0].x509_svid_key != first.svids[0].x509_svid_key
            there.hold(replace(there.held, bundle=replace(there.held.bundle, crls=(b"a list", b"another"))))
            third = await _next(call)
            assert len(third.crl) == 2
            assert third.svids[0] == second.svids[0]

    asyncio.run(run())


METHODS = {
    "FetchX509SVID": (wire.X509SVIDRequest(), True),
    "FetchX509Bundles": (wire.X509BundlesRequest(), True),
    "FetchJWTBundles": (wire.JWTBundlesRequest(), True),
    "FetchJWTSVID": (wire.JWTSVIDRequest(audience=["bank"]), False),
    "ValidateJWTSVID": (wire.ValidateJWTSVIDRequest(audience="bank", svid="a.b.c"), False),
}


@pytest.mark.parametrize("metadata", [(), ((HEADER, "false"),), ((HEADER, "true"), (HEADER, "true")), (("x", "true"),)])
@pytest.mark.parametrize("method", METHODS)
def test_without_its_metadata_nothing_is_answered(authority, method, metadata):
    request, streams = METHODS[method]
    answer = getattr(wire, type(request).__name__.replace("Request", "Response"))

    async def run() -> None:
        async with world(_full(authority)) as there:

            async def call(metadata) -> object:
                if streams:
                    return await _next(there.stream(method, request, answer, metadata))
                return await there.ask(method, request, answer, metadata)

            code, why = await _refused(call(metadata))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert HEADER in why
            if method == "ValidateJWTSVID":  # that token is none: but the metadata were taken
                assert HEADER not in (await _refused(call(METADATA)))[1]
            else:
                assert isinstance(await call(METADATA), answer)

    asyncio.run(run())


def test_who_has_no_identity_is_denied_and_who_waits_for_one_may_come_again(authority):
    async def run() -> None:
        full = _full(authority)
        async with world(replace(full, workloads={"web": workload(None)})) as there:
            assert (await _refused(_next(there.svids())))[0] is grpc.StatusCode.UNAVAILABLE
            there.hold(full)
            call = there.svids()
            assert (await _next(call)).svids
            there.hold(replace(full, workloads={}))  # taken away
            assert (await _refused(_next(call)))[0] is grpc.StatusCode.PERMISSION_DENIED
            for method in ("FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles"):
                request, _ = METHODS[method]
                answer = getattr(wire, type(request).__name__.replace("Request", "Response"))
                code, _ = await _refused(_next(there.stream(method, request, answer)))
                assert code is grpc.StatusCode.PERMISSION_DENIED
            assert (await _refused(there.token("bank")))[0] is grpc.StatusCode.PERMISSION_DENIED
            there.hold(full)
            there.now += timedelta(hours=2)  # it has ended
            assert (await _refused(_next(there.svids())))[0] is grpc.StatusCode.UNAVAILABLE

    asyncio.run(run())


def _federated(services: tuple[str, ...], authority: TestAuthority) -> FederatedBundle:
    return FederatedBundle(OTHER, (authority.issuer.root,), b'{"keys":[{"kid":"theirs"}]}', services)


def test_bundles_of_other_trust_domains_are_told_apart_and_only_to_those_who_federate(authority):
    other = TestAuthority.make(trust_domain=OTHER)

    async def run() -> None:
        async with world(_full(authority)) as there:
            svids = there.svids()
            bundles = there.stream("FetchX509Bundles", wire.X509BundlesRequest(), wire.X509BundlesResponse)
            jwts = there.stream("FetchJWTBundles", wire.JWTBundlesRequest(), wire.JWTBundlesResponse)
            here, elsewhere = f"spiffe://{TRUST_DOMAIN}", f"spiffe://{OTHER}"
            assert not (await _next(svids)).federated_bundles
            assert dict((await _next(bundles)).bundles) == {here: authority.issuer.root.der}
            assert dict((await _next(jwts)).bundles) == {here: b'{"keys":[]}'}
            there.hold(replace(there.held, bundle=replace(there.held.bundle, federated=(_federated(("web",), other),))))
            told = await _next(svids)
            assert told.svids[0].bundle == authority.issuer.root.der
            assert dict(told.federated_bundles) == {elsewhere: other.issuer.root.der}
            both = {here: authority.issuer.root.der, elsewhere: other.issuer.root.der}
            assert dict((await _next(bundles)).bundles) == both
            assert (await _next(jwts)).bundles[elsewhere] == b'{"keys":[{"kid":"theirs"}]}'
            there.hold(
                replace(there.held, bundle=replace(there.held.bundle, federated=(_federated(("emoji",), other),)))
            )
            assert not (await _next(svids)).federated_bundles  # absence is withdrawal
            assert set((await _next(bundles)).bundles) == {here}
            assert set((await _next(jwts)).bundles) == {here}

    asyncio.run(run())


def test_a_token_is_kept_until_half_of_its_life_for_the_same_audiences(authority):
    async def run() -> None:
        async with world(_full(authority)) as there:
            assert await there.token("bank", "shop") == "token 1"
            assert await there.token("shop", "bank") == "token 1"
            assert await there.token("bank") == "token 2"
            there.now += timedelta(seconds=149)
            assert await there.token("bank") == "token 2"
            there.now += timedelta(seconds=2)
            assert await there.token("bank") == "token 3"
            assert there.asked[0] == JwtRequest("web", ("bank", "shop"))
            # Many at once are one question.
            assert set(await asyncio.gather(*(there.token("new") for _ in range(20)))) == {"token 4"}
            assert await there.token("new", spiffe_id=str(identity("web"))) == "token 4"

    asyncio.run(run())


def test_what_cannot_be_given_is_refused_with_the_status_of_the_standard(authority):
    async def run() -> None:
        async with world(_full(authority)) as there:
            cases = [
                (there.token(), grpc.StatusCode.INVALID_ARGUMENT),
                (there.token(""), grpc.StatusCode.INVALID_ARGUMENT),
                (there.token(*map(str, range(17))), grpc.StatusCode.INVALID_ARGUMENT),
                (there.token("bank", spiffe_id="http://web"), grpc.StatusCode.INVALID_ARGUMENT),
                (there.token("bank", spiffe_id=str(identity("emoji"))), grpc.StatusCode.PERMISSION_DENIED),
            ]
            for call, expected in cases:
                assert (await _refused(call))[0] is expected
            assert not there.asked
            there.problem = Refused("the host is in quarantine")
            assert (await _refused(there.token("bank")))[0] is grpc.StatusCode.PERMISSION_DENIED
            there.problem = Unreachable("the server does not answer")
            assert (await _refused(there.token("bank")))[0] is grpc.StatusCode.UNAVAILABLE
            there.problem = None
            assert await there.token("bank") == f"token {len(there.asked)}"

    asyncio.run(run())


def test_a_stream_that_never_reads_holds_up_nobody(authority):
    """Its messages are far larger than what flow control lets through unread."""

    async def run() -> None:
        async with world(_full(authority)) as there:
            options = (("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0))
            async with grpc.aio.insecure_channel(there.target, options=options) as own:
                call = own.unary_stream(
                    f"/{SERVICE}/FetchX509SVID", response_deserializer=wire.X509SVIDResponse.FromString
                )
                never = [call(b"", metadata=METADATA) for _ in range(3)]
                await asyncio.sleep(0.1)
                reader = there.svids()
                await _next(reader)
                for number in range(1, 6):
                    there.hold(
                        replace(there.held, bundle=replace(there.held.bundle, crls=(bytes([number]) * (2 << 20),)))
                    )
                    assert (await _next(reader)).crl[0][:1] == bytes([number])
                # Whoever reads again gets what was on its way, then the newest, and not all that was between.
                late = [await _next(never[0])]
                while late[-1].crl[0][:1] != b"\x05":
                    late.append(await _next(never[0]))
                assert len(late) <= 4
                for each in never:
                    each.cancel()

    asyncio.run(run())


def test_reflection_says_what_is_here(authority):
    async def run() -> None:
        async with world(_full(authority)) as there:
            call = there.channel.stream_stream(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )()
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            names = {each.name for each in (await _next(call)).list_services_response.service}
            assert SERVICE in names
            await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE))
            assert (await _next(call)).file_descriptor_response.file_descriptor_proto
            await call.done_writing()

    asyncio.run(run())
