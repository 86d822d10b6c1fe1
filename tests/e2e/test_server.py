"""`handsel server` alone, as people start it."""

from __future__ import annotations

import contextlib
import socket

import pytest

from handsel import settings
from handsel.errors import ExitCode
from tests.e2e.mesh_process import Handsel, free_port, run, short_folder

pytestmark = pytest.mark.e2e


@contextlib.contextmanager
def taken(port: int):
    """The port is in use: by us, or by whoever has it already."""
    with socket.socket() as holder:
        with contextlib.suppress(OSError):
            holder.bind(("127.0.0.1", port))
            holder.listen()
        yield


def test_without_a_mesh_file_it_is_an_authority_whose_own_doors_find_free_ports():
    port = free_port()
    with short_folder() as folder, taken(settings.STATUS_PORT), taken(settings.METRICS_PORT):
        server = Handsel(folder, "server", "server", "--state", str(folder / "s"), "--listen", f"127.0.0.1:{port}")
        server.wait_for(f"server https://127.0.0.1:{port}")
        for usual in (settings.STATUS_PORT, settings.METRICS_PORT):
            assert f"port {usual} is in use" in server.output()
        assert "BEGIN CERTIFICATE" in run("ca", "bundle", "--state", str(folder / "s")).stdout
        assert server.stop() == ExitCode.OK


def test_a_port_that_was_written_is_not_moved():
    port = free_port()
    with short_folder() as folder, taken(port):
        refused = run(
            "server", "--state", str(folder / "s"), "--listen", "127.0.0.1:0", "--status-port", str(port),
            "--metrics-port", "0", cwd=folder,
        )  # fmt: skip
    assert (refused.returncode, "HS-S003" in refused.stderr) == (ExitCode.FAILED, True)
