"""Free ports: nobody listens on them, and none is given twice."""

from __future__ import annotations

import os
import socket

import pytest

from handsel.agent.adapters.host import ports
from handsel.errors import StateError


def _listening() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def test_a_port_is_given_once_and_can_be_bound():
    free = ports.chooser(set())
    given = []
    for _ in range(20):
        given.append(free())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Envoy binds it
            probe.bind(("127.0.0.1", given[-1]))
    assert len(set(given)) == 20


def test_a_port_that_somebody_listens_on_is_not_free():
    with _listening() as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_no_port_is_given_that_was_taken_before(monkeypatch):
    with _listening() as before:
        last = before.getsockname()[1]  # free as soon as nobody listens any more
    monkeypatch.setattr(ports, "_RANGE", range(last - 9, last + 1))
    free = ports.chooser(set(range(last - 9, last)))
    assert free() == last
    with pytest.raises(StateError, match="no free port"):
        free()


def test_who_holds_a_port_is_named():
    with _listening() as taken:
        port = taken.getsockname()[1]
        assert ports.holder(port).endswith(f"pid {os.getpid()}")
    assert ports.holder(port) == ""
