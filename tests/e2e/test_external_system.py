"""The example `external-system`: plain `http://external.system.com/` in the program, mutual TLS on the wire."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.mesh_process import Handsel, end_everything_in, fetch, run, short_folder, wait_for, workload

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "external-system"


@pytest.mark.parametrize("file", ["handsel.yaml", "handsel-istio.yaml"])
def test_the_third_party_sees_our_client_certificate(file: str) -> None:
    with short_folder() as folder:
        shutil.copytree(EXAMPLE, folder / "e", ignore=shutil.ignore_patterns("certs"))
        try:
            running = Handsel(folder / "e", "up", "up", "-f", file, "--state", str(folder / "s"))
            running.wait_for("stop: Ctrl-C")
            client = workload(folder / "s", "client")["ports"]["application"]
            answer = wait_for(lambda: _answer(client))
            assert "client_certificate" in answer
            assert "CN=" in json.dumps(answer)
        finally:
            end_everything_in(folder / "e")
            end_everything_in(folder)


@pytest.mark.parametrize("file", ["handsel.yaml", "handsel-istio.yaml"])
def test_both_ways_to_declare_it_are_proven(file: str) -> None:
    with short_folder() as folder:
        shutil.copytree(EXAMPLE, folder / "e", ignore=shutil.ignore_patterns("certs"))
        result = run("up", "-f", str(folder / "e" / file), "--once", "-o", "json")
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout)
        (edge,) = report["edges"]
        assert (edge["from"], edge["to"], edge["ok"]) == ("client", "external-system", True)
        assert edge["tls_version"] == "TLSv1.3"
        assert edge["plaintext_refused"] is None


def _answer(port: int) -> dict[str, object] | None:
    try:
        status, body = fetch(f"http://127.0.0.1:{port}/")
    except OSError:
        return None
    return json.loads(body) if status == 200 else None
