"""Programs that make their own TLS with identities of the mesh: no proxy between, and rotated while they run."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.e2e.load import Load
from tests.e2e.mesh_process import fetch, free_port, mesh, wait_for

pytestmark = pytest.mark.e2e

PROGRAM = f"{sys.executable} {Path(__file__).parent / 'programs' / 'own_tls.py'}"


def _mesh(server: int, asks: int, stranger: int) -> str:
    of = "spiffe://own.internal/ns/default/sa"
    return f"""
trust_domain: own.internal
services:
  orders: {{command: "{PROGRAM} serve", port: {server}}}
  billing: {{command: "{PROGRAM} ask {server}", port: {asks}}}
  intruder: {{command: "{PROGRAM} ask {server}", port: {stranger}}}
authority: {{leaf_lifetime: 4s}}
contexts:
  own:
    key_store: {{authority: true}}
    trust_store: {{authority: true}}
    peers: ["{of}/orders", "{of}/billing"]
"""


def _answer(url: str) -> tuple[int, str]:
    try:
        return fetch(url)
    except OSError:
        return 0, ""


def test_two_programs_speak_mutual_tls_by_themselves_while_their_certificates_rotate() -> None:
    server, asks, stranger = free_port(), free_port(), free_port()
    with mesh(_mesh(server, asks, stranger)):
        url = f"http://127.0.0.1:{asks}/"
        wait_for(lambda: _answer(url)[0] == 200, what="an answer over the programs' own TLS")
        assert fetch(url)[1] == "spiffe://own.internal/ns/default/sa/billing"
        wait_for(lambda: _answer(f"http://127.0.0.1:{stranger}/")[0], what="the other program")
        assert _answer(f"http://127.0.0.1:{stranger}/") == (502, "the server left")  # only the declared ones
        with Load(asks, rate=20) as load:
            time.sleep(9)  # two certificates long
        assert load.sent > 100
        assert load.failures == []
