"""Envoys configured for SPIRE, Istio and step-sds meet each other over mutual TLS, with only our sockets as the source."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handsel.agent.model import KeyPair
from handsel.pki.certificate import to_pem
from handsel.xds import secret
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.names import Names
from handsel.xds.resources import SECRET, Resource, resource
from handsel.xds.snapshot import snapshot
from tests.support import TRUST_DOMAIN, TestAuthority, client_context, until, write_pair
from tests.xds.foreign import ANSWERS, CALLS, Flavour, envoy, eventually, free_ports, listener, peer, serial, status

pytestmark = pytest.mark.e2e

TRUST_ID = f"spiffe://{TRUST_DOMAIN.name}"
FLAVOURS = ["spire", "spire-delta", "spire-all", "istio", "step"]


def flavour_of(kind: str, identity: str, dns: str) -> Flavour:
    return {
        "spire": Flavour("spire_agent", "GRPC", identity, TRUST_ID),
        "spire-delta": Flavour("spire_agent", "DELTA_GRPC", identity, TRUST_ID),
        "spire-all": Flavour("spire_agent", "GRPC", "default", "ALL"),
        "istio": Flavour("sds-grpc", "GRPC", "default", "ROOTCA"),
        "step": Flavour("sds_server_uds", "GRPC", dns, "trusted_ca"),
    }[kind]


class Workload:
    """One workload: its socket, with what is served there."""

    def __init__(self, folder: Path, name: str, authority: TestAuthority) -> None:
        self.folder, self.name, self.authority = folder, name, authority
        self.identity = str(TRUST_DOMAIN.workload("default", name))
        self.dns = f"{name}.test.internal"
        self.names = Names(self.identity, (self.dns,), TRUST_DOMAIN.name)
        self.decisions: list[tuple[str, bool, str]] = []
        self.server = AdsServer(
            folder / f"{name}.sds",
            names=self.names,
            on_decision=lambda *decision: self.decisions.append(decision),
        )
        self.roots = to_pem((authority.issuer.root,))
        self.pair = self.renewed()

    def renewed(self) -> KeyPair:
        spiffe_id = TRUST_DOMAIN.workload("default", self.name)
        return self.authority.pair(spiffe_id, now=datetime.now(UTC).replace(microsecond=0), dns_names=(self.dns,))

    def publish(self, identity: Resource | None = None) -> Resource:
        if identity is None:
            chain, key = to_pem(self.pair.chain), self.pair.key.pem()
            identity = secret.tls_certificate("default", chain, key, now=datetime.now(UTC))
        self.server.publish(snapshot([identity, secret.validation_context("ROOTCA", self.roots)]), self.names)
        return identity

    def all_have(self, name: str) -> bool:
        facts = {each.name: each for each in self.server.secrets()}
        return name in facts and facts[name].current == facts[name].subscribers > 0


@dataclass(frozen=True)
class Pair:
    """Two workloads whose Envoys speak to each other. `port` is the caller's plain one, `mesh` the callee's."""

    web: Workload
    caller: Workload
    flavour: Flavour
    port: int
    mesh: int


@contextlib.asynccontextmanager
async def pair(folder: Path, authority: TestAuthority, kind: str) -> AsyncIterator[Pair]:
    web, caller = (Workload(folder, name, authority) for name in ("web", "caller"))
    mesh, port = free_ports(2)
    of_web, of_caller = (flavour_of(kind, each.identity, each.dns) for each in (web, caller))
    callee = of_web.bootstrap(
        web.server.path, folder / "w.adm",
        [listener("mesh", mesh, ANSWERS, of_web.tls("DownstreamTlsContext", caller.identity))], [],
    )  # fmt: skip
    calling = of_caller.bootstrap(
        caller.server.path, folder / "c.adm", [listener("plain", port, CALLS)],
        [peer(mesh, of_caller.tls("UpstreamTlsContext", web.identity))],
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        for each in (web, caller):
            await each.server.start()
            stack.push_async_callback(each.server.stop)
            each.publish()
        await stack.enter_async_context(envoy(folder, "web", callee))
        await stack.enter_async_context(envoy(folder, "caller", calling))
        yield Pair(web, caller, of_web, port, mesh)


async def _answers(port: int, context: ssl.SSLContext | None = None) -> None:
    async def asks() -> bool:
        return await status(port, context) == 200

    await eventually(asks)


def _caller_context(folder: Path, authority: TestAuthority, caller: Workload) -> ssl.SSLContext:
    context = client_context(authority, write_pair(folder, "by-hand", caller.pair))
    context.check_hostname = False
    return context


@pytest.mark.parametrize("kind", FLAVOURS)
async def test_two_envoys_meet_by_mutual_tls_and_a_rotation_reaches_them(short_folder, living_authority, kind):
    async with pair(short_folder, living_authority, kind) as two:
        await _answers(two.port)
        context = _caller_context(short_folder, living_authority, two.caller)
        for each in (two.web, two.caller):
            each.pair = each.renewed()
            each.publish()

        async def rotated() -> bool:
            return await serial(two.mesh, context) == int(two.web.pair.leaf.serial, 16)

        await eventually(rotated)
        assert await status(two.port) == 200
        # The control: without a certificate nobody gets in.
        bare = client_context(living_authority)
        bare.check_hostname = False
        assert await status(two.mesh, bare) == 0


@pytest.mark.parametrize("kind", ["spire", "spire-delta"])
async def test_a_bad_secret_goes_back_and_a_good_one_of_another_name_is_taken(short_folder, living_authority, kind):
    """Envoy refuses also later, valid secrets of a TLS context while a bad one is the last that it was sent."""
    async with pair(short_folder, living_authority, kind) as two:
        await _answers(two.port)
        web = two.web
        await until(lambda: web.all_have(web.identity))
        good = web.publish()
        stranger = web.renewed()
        message = secret.secret_pb2.Secret.FromString(good.body)
        message.tls_certificate.private_key.inline_bytes = stranger.key.pem().reveal()
        web.publish(bad := resource(SECRET, "default", message.SerializeToString()))
        await until(lambda: bool(web.server.rejections))
        assert [each.names for each in web.server.rejections] == [(web.identity,)]
        assert "KEY_VALUES_MISMATCH" in web.server.rejections[0].reason
        web.roots += to_pem((TestAuthority.make(datetime.now(UTC)).issuer.root,))
        web.publish(bad)
        await until(lambda: web.all_have(TRUST_ID))
        assert await status(two.port) == 200
        assert not web.all_have(web.identity)
        web.pair = web.renewed()
        web.publish()
        await until(lambda: web.all_have(web.identity))
        assert web.server.rejections == []
        assert await status(two.port) == 200


@pytest.mark.parametrize("kind", ["spire", "spire-delta"])
async def test_the_name_of_another_identity_is_refused_beside_one_that_is_served(short_folder, living_authority, kind):
    web, caller = (Workload(short_folder, name, living_authority) for name in ("web", "caller"))
    # By delta there is an answer; by state of the world Envoy's start waits its time out.
    flavour = replace(flavour_of(kind, web.identity, web.dns), patience="15s" if kind == "spire-delta" else "1s")
    own, stolen, late = free_ports(3)
    tls = lambda name: flavour.tls("DownstreamTlsContext", caller.identity, identity=name)  # noqa: E731
    listeners = [
        listener("own", own, ANSWERS, tls(web.identity)),
        listener("stolen", stolen, ANSWERS, tls(caller.identity)),
        listener("late", late, ANSWERS, tls("late.test.internal")),
    ]
    await web.server.start()
    web.publish()
    context = _caller_context(short_folder, living_authority, caller)
    async with envoy(
        short_folder, "web", flavour.bootstrap(web.server.path, short_folder / "adm", listeners, [])
    ) as log:
        await _answers(own, context)
        assert await status(stolen, context) == 0
        assert await status(late, context) == 0
        refused = {name for name, granted, _ in web.decisions if not granted}
        assert refused == {caller.identity, "late.test.internal"}
        # A name that is granted later arrives, although it was refused at first.
        web.names = replace(web.names, dns_names=(web.dns, "late.test.internal"))
        web.publish()
        await _answers(late, context)
        assert await status(stolen, context) == 0
        assert ("belongs to another identity" in log.read_text()) == (kind == "spire")
    await web.server.stop()
