"""`--once` proves what it says: each way of weakening the mesh turns its report red, at the right place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from handsel.mesh.render import rbac, tls
from handsel.wiring.mesh_files import load_mesh
from handsel.wiring.prove import prove
from handsel.wiring.up import up
from tests.e2e.mesh_process import HTTP_PROGRAM, TCP_PROGRAM, short_folder, wait_for

pytestmark = pytest.mark.e2e

MESHES = {
    "http": f"""
trust_domain: proof.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
""",
    "http layer 7": f"""
trust_domain: proof.internal
telemetry: {{requests: true}}
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
""",
    "tcp that speaks first": f"""
trust_domain: proof.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [mail]}}
  mail: {{protocol: tcp, command: "{TCP_PROGRAM}"}}
""",
}


class _Quiet:
    @contextmanager
    def step(self, name: str) -> Any:
        yield self

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


def proven(text: str) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        with short_folder() as folder:
            (folder / "handsel.yaml").write_text(text)
            mesh = load_mesh(folder / "handsel.yaml")
            async with up(mesh, folder / "s", folder / "r" / "r", None, _Quiet()) as running:
                return await prove(mesh, running.agent, {}, time.time())

    return asyncio.run(run())


@pytest.mark.parametrize("name", MESHES)
def test_a_mesh_as_it_is_rendered_is_proven(name: str) -> None:
    report = proven(MESHES[name])
    assert report["ok"], report
    (edge,) = report["edges"]
    assert edge["tls_version"] == "TLSv1.3"
    assert edge["group"] == "X25519MLKEM768"
    assert edge["caller"] == "spiffe://proof.internal/ns/default/sa/web"
    assert [each["refused"] for each in report["denied"]] == [True]


def _changed_context(change: Callable[[dict[str, Any]], None], side: Callable[..., dict[str, Any]]) -> Any:
    def changed(intent: Any) -> dict[str, Any]:
        socket = side(intent)
        change(socket["typedConfig"])
        return socket

    return changed


def _ask_for_no_certificate(context: dict[str, Any]) -> None:
    context["requireClientCertificate"] = False


def _match_no_name(context: dict[str, Any]) -> None:
    context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"] = {}


def _allow_tls12(context: dict[str, Any]) -> None:
    context["commonTlsContext"]["tlsParams"]["tlsMinimumProtocolVersion"] = "TLSv1_2"


WEAKENED = [
    ("downstream", _ask_for_no_certificate, "no_certificate_refused"),
    ("downstream", _match_no_name, "other_identity_refused"),
    ("downstream", _allow_tls12, "tls12_refused"),
    ("upstream", _match_no_name, "wrong_callee_refused"),
]


@pytest.mark.parametrize("name", ["http", "http layer 7"])
@pytest.mark.parametrize(("side", "change", "check"), WEAKENED, ids=[f"{s}-{c}" for s, _, c in WEAKENED])
def test_a_weakened_tls_context_turns_the_report_red(
    monkeypatch: pytest.MonkeyPatch, name: str, side: str, change: Callable[[dict[str, Any]], None], check: str
) -> None:
    monkeypatch.setattr(tls, side, _changed_context(change, getattr(tls, side)))
    report = proven(MESHES[name])
    (edge,) = report["edges"]
    assert not report["ok"]
    failed = {name for name, value in edge.items() if value is False}
    assert failed == {"ok", check}


@pytest.mark.parametrize("name", ["http", "http layer 7"])
def test_a_pair_that_is_not_declared_and_gets_in_turns_the_report_red(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tls, "downstream", _changed_context(_match_no_name, tls.downstream))
    assert [each["refused"] for each in proven(MESHES[name])["denied"]] == [False]


@pytest.mark.parametrize("name", ["http", "http layer 7"])
def test_a_widened_policy_turns_the_report_red_although_the_handshake_still_refuses(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    anybody = {"action": "ALLOW", "policies": {"all": {"permissions": [{"any": True}], "principals": [{"any": True}]}}}
    monkeypatch.setattr(rbac, "of_callers", lambda callers: anybody)
    report = proven(MESHES[name])
    (edge,) = report["edges"]
    assert not report["ok"]
    assert {name for name, value in edge.items() if value is False} == {"ok", "policy_exact"}


def test_a_callee_that_does_not_answer_is_not_proven() -> None:
    text = MESHES["http"].replace(f'emoji: {{command: "{HTTP_PROGRAM}"}}', "emoji: {}")
    report = proven(text)
    assert not report["ok"]
    assert report["edges"][0]["tls_version"] is None


def test_a_refused_client_never_sees_the_banner_of_a_server_that_speaks_first(tmp_path: Path) -> None:
    """Network RBAC alone would be too late: the program must not even be dialled."""

    async def run() -> None:
        with short_folder() as folder:
            (folder / "handsel.yaml").write_text(MESHES["tcp that speaks first"])
            mesh = load_mesh(folder / "handsel.yaml")
            async with up(mesh, folder / "s", folder / "r" / "r", None, _Quiet()) as running:
                # `up` knocked once to see that it listens.
                before = await asyncio.to_thread(wait_for, lambda: _seen(folder))
                report = await prove(mesh, running.agent, {}, time.time())
                assert report["ok"]
                # The wrong identities came and went; the program saw only the real request and the control.
                assert _seen(folder) - before == 2

    asyncio.run(run())


def _seen(folder: Path) -> int:
    path = folder / "seen"
    return len(path.read_text().splitlines()) if path.exists() else 0
