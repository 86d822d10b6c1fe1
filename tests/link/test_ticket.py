"""Join tickets: copied as one line, believed by proof, refused in order."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import TicketRefused
from handsel.link import ticket as tickets
from handsel.link.ticket import TicketText
from handsel.pki.secret import Secret
from tests.support import mutations

TICKET = TicketText("https://10.0.0.5:8443", "shop.internal", "a1b2c3", Secret(b"s" * 32), ("ab" * 32, "cd" * 32))
LINE = TICKET.encode()

ticket_texts = st.builds(
    TicketText,
    url=st.text(max_size=60),
    trust_domain=st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True),
    ticket_id=st.text(max_size=20),
    secret=st.binary(max_size=tickets.SECRET_BYTES).map(Secret),
    pins=st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=2).map(tuple),
)


@given(ticket_texts)
def test_a_ticket_is_read_back_as_it_was_written(ticket):
    assert TicketText.decode(ticket.encode()) == ticket


@given(ticket_texts)
def test_a_ticket_is_one_word_that_a_shell_leaves_alone(ticket):
    assert set(ticket.encode()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=")


def test_a_ticket_does_not_print_its_secret():
    assert "ssss" not in repr(TICKET)


def _line(content: object) -> str:
    return "hs1." + base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


CONTENT = json.loads(base64.urlsafe_b64decode(LINE.removeprefix("hs1.")))


def _without(key: str) -> dict[str, object]:
    return {name: value for name, value in CONTENT.items() if name != key}


def test_a_ticket_with_a_key_that_we_do_not_know_is_read():
    assert TicketText.decode(_line({**CONTENT, "later": 1})) == TICKET


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="nothing"),
        pytest.param(LINE.replace("hs1.", "hs2."), id="another version"),
        pytest.param("hs1.", id="no content"),
        pytest.param("hs1.€", id="no base64"),
        pytest.param("hs1." + base64.urlsafe_b64encode(b"[" * 1500).decode(), id="brackets without end"),
        pytest.param(LINE + "A" * 2048, id="too long"),
        pytest.param(_line([CONTENT]), id="a list"),
        pytest.param(_line("text"), id="a text"),
        pytest.param(_line({**CONTENT, "secret": "not base64!"}), id="a secret that is none"),
        pytest.param(_line({**CONTENT, "secret": None}), id="no secret"),
        pytest.param(_line({**CONTENT, "pins": 7}), id="pins that are none"),
        pytest.param(_line({**CONTENT, "td": "Not A Domain"}), id="a trust domain that is none"),
        *(pytest.param(_line(_without(key)), id=f"without {key}") for key in CONTENT),
    ],
)
def test_what_is_no_ticket_is_refused_with_the_next_step(line):
    with pytest.raises(TicketRefused, match="not a join ticket") as caught:
        TicketText.decode(line)
    assert "handsel agent ticket" in caught.value.next_step


@given(mutations(LINE.encode()) | st.text(max_size=60).map(lambda text: f"hs1.{text}".encode()))
def test_a_damaged_ticket_is_refused_or_is_another_ticket(line):
    try:
        ticket = TicketText.decode(line.decode("latin-1"))
    except TicketRefused:
        return
    assert TicketText.decode(ticket.encode()) == ticket


REQUEST, SEEN, BEFORE = b"a certificate request", b"c" * 32, b"b" * 32
KEY = tickets.derive(TICKET.secret)


def test_a_proof_holds_for_the_request_and_a_certificate_that_the_server_shows():
    proof = tickets.prove(KEY, REQUEST, SEEN)
    assert tickets.proof_holds(KEY, REQUEST, (SEEN,), proof)
    assert tickets.proof_holds(KEY, REQUEST, (BEFORE, SEEN), proof)


@pytest.mark.parametrize(
    ("key", "request_der", "seen"),
    [
        pytest.param(tickets.derive(Secret(b"another secret")), REQUEST, (SEEN,), id="another secret"),
        pytest.param(KEY, REQUEST + b"!", (SEEN,), id="another request"),
        pytest.param(KEY, REQUEST, (BEFORE,), id="a certificate of somebody in between"),
        pytest.param(KEY, REQUEST, (), id="no certificate"),
    ],
)
def test_a_proof_holds_for_nothing_else(key, request_der, seen):
    proof = tickets.prove(KEY, REQUEST, SEEN)
    assert not tickets.proof_holds(key, request_der, seen, proof)


@given(mutations(tickets.prove(KEY, REQUEST, SEEN)))
def test_a_damaged_proof_never_holds(proof):
    whole = tickets.prove(KEY, REQUEST, SEEN)
    assert tickets.proof_holds(KEY, REQUEST, (SEEN,), proof) == (proof == whole)


def test_what_the_server_keeps_does_not_give_the_secret_away():
    assert TICKET.secret.reveal() not in KEY
    assert tickets.derive(Secret(b"x" * 32)) != KEY
