"""A workload's network namespace as plain values: names, what the host lacks, what is logged, what the proxy is told."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent import namespace
from handsel.agent.namespace import Refusals
from handsel.xds.network_namespace import within
from handsel.xds.resources import CLUSTER, LISTENER, ROUTE, Resource, resource

PATH = "/run/netns/handsel-0-web"
PORTS = frozenset({8080, 8081})


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.text())
def test_a_name_is_one_workloads_of_one_state_folder(state: str, other: str, service: str, another: str) -> None:
    name = namespace.name(state, service)
    assert name.startswith(namespace.prefix(state))
    assert (name == namespace.name(state, another)) == (service == another)
    assert name.startswith(namespace.prefix(other)) == (state == other)


@pytest.mark.parametrize(
    ("rights", "there", "said", "step"),
    [
        (True, {"ip", "nft"}, "", ""),
        (False, {"ip", "nft"}, "CAP_NET_ADMIN", "run it as root"),
        (True, {"ip"}, "the program nft", "install nftables"),
        (False, set(), "the program ip and the program nft", "run it as root, install iproute2 and nftables"),
    ],
    ids=["nothing", "rights", "nft", "all"],
)
def test_what_a_host_lacks_is_named_with_what_to_do(rights: bool, there: set[str], said: str, step: str) -> None:
    what, next_step = namespace.missing(rights=rights, programs=dict.fromkeys(there, True))
    assert said in what
    assert bool(said) == bool(what)
    assert next_step == step


def test_the_firewall_is_what_nft_takes() -> None:
    if shutil.which("nft") is None:
        pytest.skip("needs nftables")
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("needs root")
    for rules, taken in ((namespace.rules(4711), True), (namespace.rules(70000), False)):
        words = ["unshare", "--net", "nft", "--check", "-f", "-"]
        done = subprocess.run(words, input=rules.encode(), capture_output=True, check=False)
        assert (done.returncode == 0) == taken, done.stderr


def test_a_destination_is_said_once_a_minute_and_all_of_them_are_counted() -> None:
    refusals = Refusals()
    assert refusals.note("10.0.0.1:80", 0)
    assert not refusals.note("10.0.0.1:80", 59)
    assert refusals.note("10.0.0.2:80", 59)
    assert refusals.note("10.0.0.1:80", 61)
    assert (refusals.total, refusals.last) == (4, "10.0.0.1:80")


def test_a_program_that_tries_every_address_fills_neither_log_nor_memory() -> None:
    refusals = Refusals()
    said = sum(refusals.note(f"10.0.{number >> 8}.{number & 255}:80", 1) for number in range(2000))
    assert 0 < said <= 256
    assert refusals.total == 2000


def _listener(name: str, address: str = "127.0.0.1") -> Resource:
    message = listener_pb2.Listener(name=name)
    message.address.socket_address.address = address
    message.additional_addresses.add().address.socket_address.address = "127.70.1.2"
    return resource(LISTENER, name, message.SerializeToString(deterministic=True))


def _cluster(name: str, address: str, port: int) -> Resource:
    message = cluster_pb2.Cluster(name=name)
    place = message.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    place.address, place.port_value = address, port
    return resource(CLUSTER, name, message.SerializeToString(deterministic=True))


def _places(each: Resource) -> set[str]:
    message = listener_pb2.Listener.FromString(each.body)
    addresses = (message.address, *(more.address for more in message.additional_addresses))
    return {address.socket_address.network_namespace_filepath for address in addresses}


@pytest.mark.parametrize("name", ["proxy", "outbound.shop", "name.shop"])
def test_what_the_program_calls_is_in_its_namespace(name: str) -> None:
    before = _listener(name)
    after = within(before, PATH, PORTS)
    assert _places(after) == {PATH}
    assert after.version != before.version


@pytest.mark.parametrize(
    "listener",
    [_listener("inbound"), _listener("inbound.8443"), _listener("front"), _listener("proxy", "0.0.0.0")],
    ids=["inbound", "another-port", "front", "others-reach-it"],
)
def test_what_others_call_is_not(listener: Resource) -> None:
    assert within(listener, PATH, PORTS) == listener


@pytest.mark.parametrize(
    ("cluster", "inside"),
    [
        (_cluster("_application", "127.0.0.1", 8080), True),
        (_cluster("_application.8081", "127.0.0.1", 8081), True),
        (_cluster("_application", "127.0.0.1", 9000), False),
        (_cluster("_application", "10.0.0.9", 8080), False),
        (_cluster("shop", "127.0.0.1", 8080), False),
    ],
    ids=["program", "another-port", "somebody-else", "elsewhere", "callee"],
)
def test_only_the_way_to_the_program_leads_into_its_namespace(cluster: Resource, inside: bool) -> None:
    """An adapter stands before somebody else, whom its proxy reaches from outside."""
    after = within(cluster, PATH, PORTS)
    source = cluster_pb2.Cluster.FromString(after.body).upstream_bind_config.source_address
    assert source.network_namespace_filepath == (PATH if inside else "")
    assert (after == cluster) != inside


def test_routes_and_secrets_know_no_namespace() -> None:
    route = resource(ROUTE, "proxy", b"")
    assert within(route, PATH, PORTS) == route
