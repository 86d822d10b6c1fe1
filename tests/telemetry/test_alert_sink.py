"""Alerts reach a webhook and a program, within their time; what fails is tried again and said."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from handsel.door.asgi import Request, Response
from handsel.errors import StateError
from handsel.model.telemetry import AlertKind, Sink
from handsel.pki.certificate import to_pem
from handsel.telemetry.adapters.alert_sink import tell
from handsel.telemetry.alerts import Condition, Notice, Status
from handsel.wiring.alerting import Courier
from tests.support import NOW, TestAuthority, tls_door, until

BODY = b'{"kind": "Alert"}'
NOTICE = Notice(Condition(AlertKind.NACK, "web", "refused"), Status.FIRING, NOW, NOW)


def _program(tmp_path, text: str) -> tuple[str, ...]:
    path = tmp_path / "program.py"
    path.write_text(text)
    return (sys.executable, str(path))


async def test_a_program_gets_it_on_its_standard_input_and_nothing_else(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("A_SECRET", "hidden")
    heard = tmp_path / "heard"
    text = f"import sys, os\nopen({str(heard)!r}, 'w').write(sys.stdin.read() + os.environ.get('A_SECRET', '') + sys.argv[1])"
    await tell(Sink(command=(*_program(tmp_path, text), "$(id); a b")), BODY)
    assert heard.read_text() == BODY.decode() + "$(id); a b"


async def test_a_program_that_fails_is_said(tmp_path) -> None:
    with pytest.raises(StateError, match="ended with status 3"):
        await tell(Sink(command=_program(tmp_path, "raise SystemExit(3)")), BODY)
    with pytest.raises(StateError, match="cannot be run"):
        await tell(Sink(command=("/no/such/program",)), BODY)


async def test_a_program_that_does_not_read_is_no_failure(tmp_path) -> None:
    await tell(Sink(command=("true",)), BODY * 100_000)


async def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path) -> None:
    heard = tmp_path / "pid"
    text = (
        "import subprocess, time\n"
        f"child = subprocess.Popen(['sleep', '60'])\nopen({str(heard)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    before = time.monotonic()
    with pytest.raises(StateError, match="did not end within 1 s"):
        await tell(Sink(command=_program(tmp_path, text), timeout=timedelta(seconds=1)), BODY)
    assert time.monotonic() - before < 10

    def gone() -> bool:
        try:
            stat = Path(f"/proc/{heard.read_text()}/stat").read_text()
            return stat.rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    await until(gone)


async def test_a_webhook_gets_it_over_tls_that_is_checked(tmp_path) -> None:
    heard: list[Request] = []

    async def hook(request: Request) -> Response:
        heard.append(request)
        return Response(
            204 if request.path == "/T0KEN" else 307, headers=(("location", "https://127.0.0.1/elsewhere"),)
        )

    authority = TestAuthority.make(now=_now())
    roots = tmp_path / "roots.pem"
    roots.write_bytes(to_pem((authority.issuer.root,)))
    async with tls_door(tmp_path, authority, {("POST", "/T0KEN"): hook, ("POST", "/moved"): hook}) as (port, _):
        url = f"https://127.0.0.1:{port}"
        await tell(Sink(f"{url}/T0KEN", roots=str(roots)), BODY)
        assert [each.body for each in heard] == [BODY]
        assert heard[0].headers["content-type"] == "application/json"
        for wrong in (
            Sink(f"{url}/moved", roots=str(roots)),
            Sink(f"{url}/T0KEN"),
            Sink(f"{url}/T0KEN?no", roots="/no"),
        ):
            with pytest.raises(StateError) as refused:
                await tell(wrong, BODY)
            assert "T0KEN" not in str(refused.value)
        assert len(heard) == 2  # the one that was moved, and not followed; none without trust


async def test_what_cannot_be_told_is_tried_again_in_order_and_said_meanwhile(tmp_path) -> None:
    heard = tmp_path / "heard"
    gate = tmp_path / "gate"
    text = (
        f"import os, sys\nif not os.path.exists({str(gate)!r}): raise SystemExit(1)\n"
        f"open({str(heard)!r}, 'a').write(sys.stdin.read() + chr(10))"
    )
    courier = Courier(Sink(command=_program(tmp_path, text)), "shop.internal")
    over = Notice(NOTICE.condition, Status.RESOLVED, NOW, NOW)
    courier.take([NOTICE, over])
    await until(lambda: "ended with status 1" in courier.problem)
    gate.touch()
    await until(lambda: heard.exists() and heard.read_text().count("\n") == 2)
    assert [json.loads(line)["status"] for line in heard.read_text().splitlines()] == ["firing", "resolved"]
    assert courier.problem == ""
    await courier.stop()


def _now():
    from datetime import UTC, datetime

    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
