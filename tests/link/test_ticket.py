"""Join tickets: copied as one short line, believed by proof, refused in order."""

from __future__ import annotations

import base64
import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import TicketRefused
from handsel.link import ticket as tickets
from handsel.link.joining import JoinResponse
from handsel.link.ticket import TicketText
from handsel.link.transcript import Transcript
from handsel.pki.names import TrustDomain
from handsel.pki.secret import Secret
from tests.support import mutations

TICKET = TicketText(
    "https://10.0.0.5:8443", "shop.internal", "a1b2c3d4e5f60718", Secret(b"s" * 16), ("ab" * 32, "cd" * 32)
)
LINE = TICKET.encode()

ticket_texts = st.builds(
    TicketText,
    url=st.from_regex(r"https://[a-z0-9.:\[\]-]{1,60}", fullmatch=True),
    trust_domain=st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True),
    ticket_id=st.binary(max_size=20).map(bytes.hex),
    secret=st.binary(min_size=tickets.SECRET_BYTES, max_size=32).map(Secret),
    pins=st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=2).map(tuple),
)


@given(ticket_texts)
def test_a_ticket_is_read_back_as_it_was_written(ticket):
    assert TicketText.decode(ticket.encode()) == ticket


@given(ticket_texts)
def test_a_ticket_is_one_word_that_a_shell_leaves_alone(ticket):
    assert set(ticket.encode()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@pytest.mark.parametrize("url", ["https://10.0.0.5:8443", "https://handsel.production.example.com:8443"])
def test_a_ticket_has_at_most_200_characters(url):
    """Section 3: at most 200 characters, fits a QR code; a ticket always carries both pins."""
    assert len(replace(TICKET, url=url).encode()) <= 200


def test_a_ticket_does_not_print_its_secret():
    assert "ssss" not in repr(TICKET)


FIRST_CONTENT = {
    "url": TICKET.url, "td": TICKET.trust_domain, "id": TICKET.ticket_id,
    "secret": base64.b64encode(b"s" * 16).decode(), "pins": list(TICKET.pins),
}  # fmt: skip


def _first(content: object) -> str:
    return "hs1." + base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def test_a_ticket_of_the_first_form_is_read():
    assert TicketText.decode(_first(FIRST_CONTENT)) == TICKET
    assert TicketText.decode(_first({**FIRST_CONTENT, "later": 1})) == TICKET


def _packed(*parts: bytes) -> str:
    packed = b"".join(bytes([len(part)]) + part for part in parts)
    return "hs2." + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


GOOD = (b"10.0.0.5:8443", b"shop.internal", b"\1", b"s" * 16, b"p" * 32)


def test_parts_are_a_ticket():
    assert TicketText.decode(_packed(*GOOD)).url == "https://10.0.0.5:8443"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="nothing"),
        pytest.param(LINE.replace("hs2.", "hs3."), id="another version"),
        pytest.param("hs2.", id="no content"),
        pytest.param("hs2.€", id="no base64"),
        pytest.param(LINE + "A" * 2048, id="too long"),
        pytest.param(LINE[:-4], id="cut off"),
        pytest.param(_packed(*GOOD[:3]), id="no secret"),
        pytest.param(_packed(*GOOD[:3], b"s" * 15), id="a short secret"),
        pytest.param(_packed(*GOOD, b"p" * 31), id="a pin that is none"),
        pytest.param(_packed(GOOD[0], b"Not A Domain", *GOOD[2:]), id="a trust domain that is none"),
        pytest.param(_packed(b"\xff", *GOOD[1:]), id="an address that is none"),
        pytest.param(_first([FIRST_CONTENT]), id="first form: a list"),
        pytest.param("hs1." + base64.urlsafe_b64encode(b"[" * 1500).decode(), id="first form: brackets without end"),
        pytest.param(_first({**FIRST_CONTENT, "secret": None}), id="first form: no secret"),
        pytest.param(_first({**FIRST_CONTENT, "pins": 7}), id="first form: pins that are none"),
    ],
)
def test_what_is_no_ticket_is_refused_with_the_next_step(line):
    with pytest.raises(TicketRefused, match="not a join ticket") as caught:
        TicketText.decode(line)
    assert "handsel agent ticket" in caught.value.next_step


@given(mutations(LINE.encode()) | st.text(max_size=60).map(lambda text: f"hs2.{text}".encode()))
def test_a_damaged_ticket_is_refused_or_is_another_ticket(line):
    try:
        ticket = TicketText.decode(line.decode("latin-1"))
    except TicketRefused:
        return
    assert TicketText.decode(ticket.encode()) == ticket


KEY = tickets.derive(TICKET.secret)
TRANSCRIPT = Transcript("ticket", "a1", "once", b"c" * 32, b"a request", b"another", "host.example")
ANSWER = JoinResponse("agent", TrustDomain("shop.internal"), (), ())


@pytest.mark.parametrize("name", [each.name for each in fields(Transcript)])
def test_a_proof_holds_for_one_transcript(name):
    other = replace(TRANSCRIPT, **{name: b"x" if isinstance(getattr(TRANSCRIPT, name), bytes) else "x"})
    proof = tickets.prove(KEY, TRANSCRIPT)
    assert tickets.proof_holds(KEY, TRANSCRIPT, proof)
    assert not tickets.proof_holds(KEY, other, proof)
    assert not tickets.proof_holds(tickets.derive(Secret(b"another secret!!")), TRANSCRIPT, proof)


def test_neither_side_can_be_shown_its_own_proof():
    answer = replace(ANSWER, proof=tickets.prove(KEY, TRANSCRIPT))
    assert not tickets.answer_holds(KEY, TRANSCRIPT, answer)
    proven = replace(ANSWER, proof=tickets.prove_answer(KEY, TRANSCRIPT, ANSWER))
    assert tickets.answer_holds(KEY, TRANSCRIPT, proven)
    assert not tickets.proof_holds(KEY, TRANSCRIPT, proven.proof)


@given(st.lists(st.binary(max_size=6), min_size=2, max_size=4), st.lists(st.binary(max_size=6), min_size=2, max_size=4))
def test_parts_that_are_joined_otherwise_are_other_transcripts(one, other):
    from handsel.link.transcript import digest

    assert (digest(*one) == digest(*other)) == (one == other)


@given(mutations(tickets.prove(KEY, TRANSCRIPT)))
def test_a_damaged_proof_never_holds(proof):
    assert tickets.proof_holds(KEY, TRANSCRIPT, proof) == (proof == tickets.prove(KEY, TRANSCRIPT))


def test_what_the_server_keeps_does_not_give_the_secret_away():
    assert TICKET.secret.reveal() not in KEY
    assert tickets.derive(Secret(b"x" * 16)) != KEY
