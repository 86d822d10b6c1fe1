"""From recordings to stories: any bytes in a message are told, and what the end means is said the same each time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.diagnose.adapters import chain_trial
from handsel.diagnose.handshake import alerts, trust
from handsel.diagnose.handshake.model import After, Content, End, Kind, Message, Recording, Sender
from handsel.diagnose.handshake.outcome import Result
from handsel.diagnose.handshake.reading import facts
from handsel.diagnose.handshake.story import Story, tell
from handsel.pki.names import SpiffeId
from tests.support import TRUST_DOMAIN, TestAuthority

NOW = datetime.now(UTC)
SERVER = SpiffeId(TRUST_DOMAIN, "/ns/default/sa/server")

_messages = st.builds(
    Message, st.sampled_from(Sender), st.sampled_from([*Content]), st.one_of(st.sampled_from([*Kind]), st.integers(0, 255)),
    st.binary(max_size=80), st.floats(0, 10), st.integers(0, 5), st.booleans(),
)  # fmt: skip
_recordings = st.builds(
    Recording, st.sampled_from(End), st.just("127.0.0.1:1"), st.text(max_size=20), st.binary(max_size=20),
    connected=st.one_of(st.none(), st.floats(0, 1)), finished=st.one_of(st.none(), st.floats(1, 2)),
    after=st.one_of(st.none(), st.sampled_from(After)), messages=st.lists(_messages, max_size=8).map(tuple),
    whole=st.booleans(),
)  # fmt: skip


def told(recording: Recording) -> Story:
    return tell(recording, facts(recording), None, NOW)


@given(_recordings)
def test_whatever_was_recorded_can_be_told(recording: Recording) -> None:
    story = told(recording)
    assert not story.ok, "nothing vouches for anybody here"
    assert story.steps
    assert story.outcome.sentence
    json.dumps(story.document())


@pytest.mark.parametrize("number", [0, 42, 48, 70, 116, 120, 200])
def test_every_alert_has_a_name_and_a_meaning(number: int) -> None:
    assert alerts.named(number)
    assert alerts.meaning(number)


def test_without_the_messages_there_are_fewer_steps_and_it_is_said() -> None:
    recording = Recording(End.DONE, connected=0.1, finished=0.2, version="TLSv1.3", suite="X", whole=False)
    story = told(recording)
    assert [step.title for step in story.steps] == ["TCP connection", "TLS handshake", "Listening"]
    assert "does not show the messages" in story.steps[1].purpose
    assert story.version == "TLS 1.3"


def _message(sender: Sender, content: int, kind: int, body: bytes) -> Message:
    return Message(sender, content, kind, body, 0.1, 0, encrypted=False)


def test_an_alert_within_the_handshake_is_its_end() -> None:
    said = _message(Sender.SERVER, Content.ALERT, 40, b"\x02\x28")
    story = told(Recording(End.FAILED, connected=0.1, messages=(said,)))
    assert story.outcome.result is Result.REFUSED
    assert "handshake_failure" in story.outcome.sentence
    assert story.steps[-2].title == "Alert handshake_failure"


# Trust


@pytest.fixture(scope="module")
def authority() -> TestAuthority:
    return TestAuthority.make(NOW - timedelta(days=4))


def test_openssl_judges_a_chain_that_it_never_met(authority: TestAuthority) -> None:
    pair = authority.pair(SERVER, dns_names=("shop.test",), ip_names=("10.0.0.1",), now=NOW - timedelta(minutes=1))
    roots = (authority.issuer.root,)
    good = chain_trial.judge(pair.chain, roots)
    assert (good.code, good.path[-1]) == (0, authority.issuer.root)
    assert chain_trial.judge(pair.chain, roots, "shop.test").code == 0
    assert chain_trial.judge(pair.chain, roots, "10.0.0.1").code == 0
    for name in ("bank.test", "10.0.0.2"):
        assert chain_trial.judge(pair.chain, roots, name).code in {62, 64}
    stranger = TestAuthority.make(NOW)
    assert chain_trial.judge(pair.chain, (stranger.issuer.root,)).code
    forged = (pair.chain[0], stranger.issuer.certificate)
    assert chain_trial.judge(forged, roots).code, "a CA that did not sign it does not help"


def test_why_it_is_not_believed_names_the_certificate(authority: TestAuthority) -> None:
    ended = authority.pair(SERVER, now=NOW - timedelta(days=3))
    trial = chain_trial.judge(ended.chain, (authority.issuer.root,))
    found = trust.judged(ended.chain, trial.code, trial.message, "the roots", NOW)
    assert "expired 3 days ago" in found.reason or "expired 71 h ago" in found.reason
    alone = ended.chain[:1]
    trial = chain_trial.judge(alone, (authority.issuer.root,))
    found = trust.judged(alone, trial.code, trial.message, "the roots", NOW)
    assert "sends its own certificate alone" in found.fix
