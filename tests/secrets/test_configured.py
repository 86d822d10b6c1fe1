"""Secrets that the configuration brings or needs: they go to whom their use makes a holder, and to nobody else."""

from __future__ import annotations

import pytest

from handsel.model.credential import Credential
from handsel.pki.secret import Secret
from handsel.secrets.adapters.agents_http import SecretsDoor
from handsel.secrets.configured import Configured
from handsel.secrets.grants import Granting, Recipient, references, shelf_of
from tests.secrets.test_agents_http import World

UNIT = "kubernetes.istio-system.shop"
SHOP = Credential("shop", "istio-system", b"chain", Secret(b"key"), crl=b"list")
OTHER = Credential("other", "istio-system", b"chain", Secret(b"another key"))


def _configured(**uses: str) -> Configured:
    units = {service: frozenset({unit}) for service, unit in uses.items()}
    return Configured.of([(UNIT, SHOP), ("kubernetes.istio-system.other", OTHER)], units)


def test_of_what_nobody_uses_nothing_is_kept():
    assert _configured().values == {}
    assert set(_configured(front=UNIT).values) == {f"{UNIT}/tls.crt", f"{UNIT}/tls.key", f"{UNIT}/ca.crl"}


def test_a_host_is_told_of_what_its_own_services_use():
    configured = _configured(front=UNIT)
    granting = Granting.of([], {}).using(configured.uses)
    shelf = shelf_of(configured.versions.values(), next(iter(configured.versions.values())).put_at)
    of_front = references(Recipient("a1", {"front": "spiffe://t/ns/default/sa/front"}), shelf, granting, {})
    assert {ref.name for ref in of_front} == set(configured.values)
    assert references(Recipient("a2", {"web": "spiffe://t/ns/default/sa/web"}), shelf, granting, {}) == ()


def test_a_version_is_the_same_everywhere_as_long_as_its_value_is():
    assert _configured(front=UNIT).versions == _configured(front=UNIT, other=UNIT).versions
    newer = Configured.of(
        [(UNIT, Credential("shop", "istio-system", b"new", Secret(b"key")))], {"front": frozenset({UNIT})}
    )
    before, after = _configured(front=UNIT).versions, newer.versions
    assert before[f"{UNIT}/tls.crt"] != after[f"{UNIT}/tls.crt"]
    assert before[f"{UNIT}/tls.key"] == after[f"{UNIT}/tls.key"]


@pytest.fixture
def world(store, tmp_path) -> World:
    return World(store, tmp_path)


async def test_the_door_gives_a_key_only_for_a_service_that_uses_it(world):
    configured = _configured(web=UNIT)
    world.door = SecretsDoor(world.store, world.vault, dict, world._recipient, lambda: configured)
    version = configured.versions[f"{UNIT}/tls.key"].version_id
    given, refused = ("web", f"{UNIT}/tls.key", version), ("other", f"{UNIT}/tls.key", version)
    answer = await world.ask(given, refused)
    assert answer.values[given].reveal() == b"key"
    assert answer.refused[refused] == "it is not granted"
    await world.ask(given)
    written = [("secret delivered", "a1"), ("secret denied", "a1")]
    assert sorted(await world.acts(f"{UNIT}/tls.key")) == written, "each once"


async def test_a_group_of_secrets_that_a_gateway_names_needs_no_other_grant(world):
    version = await world.put("shop/tls.key", b"key")
    key = ("web", "shop/tls.key", version)
    assert (await world.ask(key)).refused[key] == "it is not granted"
    configured = Configured.of([], {"web": frozenset({"shop"})})
    world.door = SecretsDoor(world.store, world.vault, dict, world._recipient, lambda: configured)
    assert (await world.ask(key)).values[key].reveal() == b"key"
