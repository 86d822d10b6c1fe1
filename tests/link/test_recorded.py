"""What version 1 of the link said is still understood, and still said in the same bytes where nothing was added."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from handsel.agent import holdings as held
from handsel.agent.model import Holdings
from handsel.link import joining, messages, report
from handsel.link.messages import Bundle

V1 = json.loads((Path(__file__).parent / "recorded" / "v1.json").read_text())
KINDS = {
    ("agent", "join"): joining.JoinRequest,
    ("server", "join"): joining.JoinResponse,
    ("agent", "sign-batch"): messages.SignBatchRequest,
    ("server", "sign-batch"): messages.SignBatchResponse,
    ("agent", "report"): report.Report,
}


def _bodies(direction: str, message: str) -> list[bytes]:
    return [base64.b64decode(e["body"]) for e in V1 if (e["from"], e["message"]) == (direction, message)]


@pytest.mark.parametrize(("direction", "message"), KINDS, ids=str)
def test_every_recorded_message_is_read(direction: str, message: str) -> None:
    bodies = _bodies(direction, message)
    assert bodies
    for body in bodies:
        read = KINDS[direction, message].decode(body)
        assert KINDS[direction, message].decode(read.encode()) == read


def test_an_agent_that_takes_the_recorded_watch_holds_what_its_proxies_need() -> None:
    joined = joining.JoinResponse.decode(_bodies("server", "join")[0])
    holdings = Holdings(Bundle(joined.roots))
    frames = [messages.Frame.decode(body[4:]) for body in _bodies("server", "frame")]
    for frame in frames:
        holdings = held.take(holdings, frame)
    assert set(holdings.workloads) == {"web", "emoji"}
    assert holdings.workloads["web"].assigned.callees == ("emoji", "bank")
    resources = holdings.workloads["web"].resources
    assert resources is not None
    assert {each.name for each in resources.resources} >= {"inbound", "proxy", "outbound.emoji", "outbound.bank"}
    assert holdings.sequence == max(frame.sequence for frame in frames)


def test_an_unknown_kind_of_frame_is_left_alone() -> None:
    """A newer server may say more than an older agent knows."""
    joined = joining.JoinResponse.decode(_bodies("server", "join")[0])
    holdings = Holdings(Bundle(joined.roots))
    taken = held.take(holdings, messages.Frame(7, "something newer", "key", b"\x00\xff"))
    assert taken.workloads == holdings.workloads
    assert taken.sequence == 7
