"""Hosts that are machines of their own: with addresses that others see, and nothing plain between them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.hosts import Hosts, hosts
from tests.e2e.mesh_process import HTTP_PROGRAM, access_log, wait_for
from tests.e2e.network import Network, needs_network, network

pytestmark = [pytest.mark.e2e, needs_network]

MESH = """
trust_domain: machines.internal
services:
  web: {calls: [shop]}
  shop: {}
"""
_SECRET = "a-word-that-nobody-else-says"
_CALL = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(sys.argv[1], timeout=5).status)
except OSError as error:
    print(error)
"""


def _call(net: Network, machine: str, url: str) -> str:
    words = [*net.within(machine), sys.executable, "-c", _CALL, url]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def _start(apart: Hosts) -> None:
    apart.join("one", "web")
    apart.join("two", "shop")
    apart.program("two", "shop", HTTP_PROGRAM)


def test_hosts_with_networks_of_their_own_speak_mutual_tls_and_nothing_else() -> None:
    with network() as net, hosts(MESH, net) as apart:
        _start(apart)
        url = f"http://127.0.0.1:{apart.callee_port('one', 'web', 'shop')}/?word={_SECRET}"
        with net.capture() as seen:
            wait_for(lambda: _call(net, "one", url) == "200", what="a call from one machine to the other")
        assert len(seen) > 1000
        assert _SECRET.encode() not in seen
        line = wait_for(
            lambda: [x for x in access_log(apart.folder / "two", "shop") if x["event"] == "inbound_connected"]
        )[0]
        assert line["peer_uri"] == "spiffe://machines.internal/ns/default/sa/web"
        # The program listens on loopback alone: from the other machine there is no way around the sidecar.
        port = apart.application_port("two", "shop")
        assert _call(net, "two", f"http://127.0.0.1:{port}/") == "200"
        assert "refused" in _call(net, "one", f"http://{net.add('two')}:{port}/")
        # The same capture sees what is plain.
        with net.capture() as seen:
            _call(net, "one", f"http://{net.add('two')}:{apart.mesh_port('two', 'shop')}/?word={_SECRET}")
        assert _SECRET.encode() in seen
