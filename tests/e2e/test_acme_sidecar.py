"""A workload's certificate from an ACME CA: ordered, renewed, served, by the agent; from our own server and Pebble."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from acme import messages
from acme.errors import ConflictError

from handsel.acme.certid import CertificateId
from handsel.agent.acme import secret_names
from handsel.agent.adapters.acme.certificates import AcmeCertificates, Standing
from handsel.agent.adapters.acme.client import CaSession, _NewOrder
from handsel.agent.adapters.acme.orders import OwnServer
from handsel.agent.layout import Layout
from handsel.agent.model import Holdings, KeyPair, Workload
from handsel.link.messages import Bundle
from handsel.model.acme_client import AcmeClient, ExternalAccount
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import KeyType
from handsel.store.adapters.files import write_file
from tests.agent.things import assigned
from tests.e2e.acme_ca import SHORT_SECONDS, Ca, Ours, Pebble, pebble_binary, running  # noqa: F401  # the fixture
from tests.e2e.mesh_process import free_port, short_folder
from tests.support import TestAuthority

pytestmark = pytest.mark.e2e
KINDS = ("handsel", "pebble")


@pytest.fixture(params=KINDS)
def ca(request: pytest.FixtureRequest, pebble_binary: Callable[[], str]) -> Iterator[Ca]:  # noqa: F811
    with short_folder() as folder:
        made = Ours(folder) if request.param == "handsel" else Pebble(folder, pebble_binary())
        with running(made):
            yield made


def wish(ca: Ca, *names: str, **other: object) -> AcmeClient:
    """What is wanted of this CA; certificates live for hours, unless it is said otherwise."""
    usual = AcmeClient(
        ca.directory, names or ("shop.test.internal",), str(ca.roots), listen_address="127.0.0.1",
        listen_port=ca.http_port, profile=ca.usual_profile,
    )  # fmt: skip
    return replace(usual, **other)  # type: ignore[arg-type]


class Keeper:
    """The part of an agent that keeps the certificate of `web`, with a clock that can be moved."""

    def __init__(self, ca: Ca, folder: Path, wanted: AcmeClient | None) -> None:
        self.ahead = timedelta()
        roots = parse_pem(ca.roots.read_bytes())
        layout = Layout(folder / "agent", folder / "run")
        self.kept = AcmeCertificates(
            layout, now=self.now, install=self._install, own_server=lambda: OwnServer(ca.directory, roots, "localhost")
        )
        workload = Workload(replace(assigned(), acme=wanted))
        self.holdings = self.kept.restore(Holdings(Bundle(roots), {"web": workload}))
        self.installed: list[KeyPair | None] = []

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def want(self, wanted: AcmeClient | None) -> None:
        workload = self.holdings.workloads["web"]
        self.holdings = self.holdings.with_workload(replace(workload, assigned=replace(assigned(), acme=wanted)))
        self.kept.wake()

    def pass_time(self, time: timedelta) -> None:
        self.ahead += time
        self.kept.wake()

    def _install(self, name: str, pair: KeyPair | None) -> None:
        self.holdings = self.holdings.with_workload(replace(self.holdings.workloads[name], acme=pair))
        self.installed.append(pair)

    @property
    def pair(self) -> KeyPair:
        pair = self.holdings.workloads["web"].acme
        assert pair is not None
        return pair

    @property
    def standing(self) -> Standing:
        return self.kept.standings["web"]

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.05)

    async def settled(self, count: int, seconds: float = 30) -> KeyPair:
        """So many certificates came, and it is known when the last is renewed."""
        await self.until(lambda: len(self.installed) >= count and self.standing.task is None, seconds)
        assert self.standing.problem == ""
        return self.pair


@contextlib.asynccontextmanager
async def keeping(ca: Ca, folder: Path, wanted: AcmeClient | None) -> AsyncIterator[Keeper]:
    keeper = Keeper(ca, folder, wanted)
    task = asyncio.create_task(keeper.kept.keep(lambda: keeper.holdings))
    try:
        await keeper.until(lambda: wanted is None or "web" in keeper.kept.standings)
        yield keeper
    finally:
        keeper.kept.end()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def in_time(story: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(story())


def test_it_is_ordered_with_a_key_of_its_own_and_renewed_with_another_when_the_ca_says_so(
    ca: Ca, tmp_path: Path
) -> None:
    async def story() -> None:
        async with keeping(ca, tmp_path, wish(ca, "shop.test.internal", "www.test.internal")) as keeper:
            first = await keeper.settled(1)
            assert set(first.leaf.dns_names) == {"shop.test.internal", "www.test.internal"}
            shown = keeper.kept.shown("web")
            assert shown is not None
            assert (shown["renewal"], shown["serial"], shown["problem"]) == ("ari", first.leaf.serial, "")
            held = keeper.standing.held
            assert held is not None
            ca.revoke(first.leaf)
            # Not before the CA wants to be asked again, and then at once: the window lies in the past.
            keeper.pass_time(held.ask_at - keeper.now() - timedelta(minutes=1))
            await asyncio.sleep(1)
            assert len(keeper.installed) == 1
            keeper.pass_time(timedelta(minutes=2))
            second = await keeper.settled(2)
            assert second.leaf.serial != first.leaf.serial
            assert second.key.public_der() != first.key.public_der()
            account = keeper.standing.records.account(ca.directory)
            replaced = await asyncio.to_thread(_replaces, keeper, account.url, [first.leaf, second.leaf])
            assert replaced == [False, True]

    in_time(story)


def _replaces(keeper: Keeper, account_url: str, leaves: list[Certificate]) -> list[bool]:
    """Whether the CA takes an order that replaces each of these; it takes one for each certificate (RFC 9773, 5)."""
    wanted = keeper.standing.wish
    account = keeper.standing.records.account(wanted.directory)
    session = CaSession(wanted.directory, Path(wanted.roots).read_text(), account.key, threading.Event())
    taken = []
    for leaf in leaves:
        session.use_account(wanted, account_url, None)
        taken.append(_takes(session, _replacing(leaf)))
    session.close()
    return taken


def _takes(session: CaSession, order: _NewOrder) -> bool:
    directory = session._client.directory
    for _ in range(5):
        try:
            session._net.post(directory["newOrder"], order, new_nonce_url=directory["newNonce"])
        except ConflictError:
            return False
        except messages.Error as error:
            if error.code == "alreadyReplaced":
                return False
            if error.code != "badNonce":  # Pebble refuses one of twenty, so that clients learn to try again
                raise
        else:
            return True
    raise AssertionError("no nonce was taken")


def _replacing(leaf: Certificate) -> _NewOrder:
    names = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=each) for each in leaf.dns_names]
    named = CertificateId(leaf.authority_key_id or b"", leaf.parsed.serial_number)
    return _NewOrder(identifiers=names, profile=None, replaces=str(named))


def test_a_short_life_is_renewed_within_the_window_of_the_ca(ca: Ca, tmp_path: Path) -> None:
    async def story() -> None:
        async with keeping(ca, tmp_path, wish(ca, profile="short")) as keeper:
            first = await keeper.settled(1)
            second = await keeper.settled(2, SHORT_SECONDS + 10)
            assert second.leaf.serial != first.leaf.serial
            assert datetime.now(UTC) < first.leaf.not_after

    in_time(story)


def test_it_is_ordered_by_tls_alpn(ca: Ca, tmp_path: Path) -> None:
    async def story() -> None:
        wanted = wish(ca, challenge="tls-alpn-01", listen_port=ca.tls_port, key="rsa2048")
        async with keeping(ca, tmp_path, wanted) as keeper:
            pair = await keeper.settled(1)
            assert pair.key.kind == KeyType.RSA2048

    in_time(story)


def test_what_is_held_is_served_and_renewed_later_when_the_ca_is_away(ca: Ca, tmp_path: Path) -> None:
    async def story() -> None:
        async with keeping(ca, tmp_path, wish(ca)) as keeper:
            first = await keeper.settled(1)
        ca.stop()
        async with keeping(ca, tmp_path, wish(ca)) as keeper:
            assert keeper.pair.leaf == first.leaf  # before anybody was asked
            held = await asyncio.to_thread(keeper.kept._records("web").held)
            assert held is not None
            keeper.pass_time(held.renew_at - keeper.now())
            await keeper.until(lambda: keeper.standing.failures >= 2)
            assert "does not answer: Connection refused" in keeper.standing.problem
            assert keeper.standing.again > time.monotonic() + 2
            assert keeper.pair.leaf == first.leaf
            ca.start_again()
            second = await keeper.settled(1, 40)
            assert second.leaf != first.leaf

    in_time(story)


def test_a_name_that_is_not_controlled_is_refused_with_the_reason_of_the_ca(ca: Ca, tmp_path: Path) -> None:
    """The control is every other test: there the CA looks where the agent answers."""

    async def story() -> None:
        async with keeping(ca, tmp_path, wish(ca, listen_port=free_port())) as keeper:
            await keeper.until(lambda: keeper.standing.failures == 1 and keeper.standing.task is None)
            problem = keeper.standing.problem
            assert problem.startswith("the ACME CA refuses: shop.test.internal: ")
            assert "onnection refused" in problem or "cannot connect" in problem, problem
            assert keeper.installed == []
            assert keeper.standing.again > time.monotonic() + 50  # it counts its refusals
            keeper.want(wish(ca))  # mended: another wish is tried at once
            await keeper.settled(1)

    in_time(story)


def test_other_names_are_another_order_and_nothing_wanted_is_nothing_kept(ca: Ca, tmp_path: Path) -> None:
    async def story() -> None:
        async with keeping(ca, tmp_path, wish(ca)) as keeper:
            first = await keeper.settled(1)
            keeper.want(wish(ca, "shop.test.internal", "www.test.internal"))
            workload = keeper.holdings.workloads["web"]
            # Until the new one is here, the old one serves the name that it is good for.
            assert secret_names(workload, covered=first.leaf) == ("acme", "shop.test.internal")
            second = await keeper.settled(2)
            assert set(second.leaf.dns_names) == {"shop.test.internal", "www.test.internal"}
            keeper.want(None)
            await keeper.until(lambda: keeper.installed[-1] is None)
            assert not (tmp_path / "agent" / "workloads" / "web" / "acme").exists()

    in_time(story)


def test_a_ca_that_is_not_believed_gets_nothing(ca: Ca, tmp_path: Path) -> None:
    """The roots of another CA, and those of the system: neither has signed the CA's own certificate."""
    other = tmp_path / "other.pem"
    other.write_bytes(TestAuthority.make(datetime.now(UTC)).issuer.root.pem)

    async def story() -> None:
        for roots in (str(other), ""):
            async with keeping(ca, tmp_path / (roots and "a"), wish(ca, roots=roots)) as keeper:
                await keeper.until(lambda keeper=keeper: keeper.standing.failures == 1)
                assert "certificate verify failed" in keeper.standing.problem
                assert keeper.installed == []

    in_time(story)


def test_an_account_that_the_ca_forgot_is_made_again(pebble_binary: Callable[[], str], tmp_path: Path) -> None:  # noqa: F811
    """A Pebble that comes back knows nobody, and neither the certificate that would be replaced."""

    async def story(ca: Ca) -> None:
        async with keeping(ca, tmp_path, wish(ca)) as keeper:
            await keeper.settled(1)
            ca.stop()
            ca.start_again()
            keeper.want(wish(ca, "www.test.internal"))
            assert (await keeper.settled(2)).leaf.dns_names == ["www.test.internal"]

    with short_folder() as folder, running(Pebble(folder, pebble_binary())) as ca:
        asyncio.run(story(ca))


def test_another_chain_is_taken_when_it_is_preferred(pebble_binary: Callable[[], str], tmp_path: Path) -> None:  # noqa: F811
    async def story(ca: Pebble) -> None:
        tops = {}
        for preferred in ("", ca.root_name(1)):
            async with keeping(ca, tmp_path / (preferred and "p"), wish(ca, preferred_chain=preferred)) as keeper:
                tops[preferred] = (await keeper.settled(1)).chain[-1].issuer
        assert tops == {"": ca.root_name(0), ca.root_name(1): ca.root_name(1)}

    with short_folder() as folder, running(Pebble(folder, pebble_binary())) as ca:
        assert isinstance(ca, Pebble)
        asyncio.run(story(ca))


def test_an_external_account_is_bound(tmp_path: Path) -> None:
    async def story(ca: Ours) -> None:
        async with keeping(ca, tmp_path, wish(ca)) as keeper:
            await keeper.until(lambda: keeper.standing.failures == 1)
            assert "externalAccountRequired" in keeper.standing.problem
            made = json.loads(ca.authority.run("ca", "acme", "eab", "create").stdout)
            file = tmp_path / "eab.key"
            write_file(file, f"{made['hmac_key']}\n".encode())
            keeper.want(wish(ca, external_account=ExternalAccount(made["kid"], str(file))))
            await keeper.settled(1)

    with short_folder() as folder, running(Ours(folder, external=True)) as ca:
        assert isinstance(ca, Ours)
        asyncio.run(story(ca))
