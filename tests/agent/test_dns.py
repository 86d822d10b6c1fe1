"""What a stub resolver answers: to whom it knows, to whom it does not, and to bytes that are no question."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.dns import LARGEST_QUERY, answer

NAMES = {"shop": "127.70.1.2", "Bank.Example.com": "127.70.1.3"}


def _ask(name: str, kind: str = "A", **more) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **more)
    wire = answer(query.to_wire(), NAMES)
    assert wire is not None
    reply = dns.message.from_wire(wire)
    assert query.is_response(reply)
    return reply


@pytest.mark.parametrize(("name", "address"), [("shop", "127.70.1.2"), ("SHOP.", "127.70.1.2"), ("bank.example.com", "127.70.1.3")])  # fmt: skip
def test_a_callee_is_found_by_its_name(name: str, address: str) -> None:
    reply = _ask(name)
    assert reply.rcode() == dns.rcode.NOERROR
    assert [str(each) for each in reply.answer[0]] == [address]


@pytest.mark.parametrize("kind", ["AAAA", "TXT", "HTTPS"])
def test_a_callee_has_no_other_records_and_is_there_all_the_same(kind: str) -> None:
    """An answer that the name is not there would make a program that asks for AAAA first give up."""
    reply = _ask("shop", kind)
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


@pytest.mark.parametrize("name", ["emoji", "shop.example.com", "my.shop", "example.com", ".", "c2VjcmV0.evil.example"])
def test_any_other_name_is_not_there(name: str) -> None:
    reply = _ask(name)
    assert (reply.rcode(), reply.answer) == (dns.rcode.NXDOMAIN, [])


def test_this_host_is_found() -> None:
    assert [str(each) for each in _ask("localhost").answer[0]] == ["127.0.0.1"]
    assert [str(each) for each in _ask("localhost", "AAAA").answer[0]] == ["::1"]


def test_options_and_flags_of_resolvers_are_taken() -> None:
    reply = _ask("shop", use_edns=0, payload=1232, options=[dns.edns.GenericOption(65001, b"x" * 100)])
    assert reply.answer
    assert reply.flags & dns.flags.RA


def test_updates_and_other_requests_are_not_carried_out() -> None:
    query = dns.message.make_query("shop", "A")
    query.set_opcode(dns.opcode.NOTIFY)
    reply = dns.message.from_wire(answer(query.to_wire(), NAMES) or b"")
    assert reply.rcode() == dns.rcode.NOTIMP


def test_a_question_that_cannot_be_read_is_told_so_and_an_answer_is_not_answered() -> None:
    query = dns.message.make_query("shop", "A").to_wire()
    refused = answer(query[:-3], NAMES) or b""
    assert refused[:2] == query[:2]
    assert dns.message.from_wire(refused).rcode() == dns.rcode.FORMERR
    # Two stubs that took each other's answers for questions would never stop.
    assert answer(answer(query, NAMES) or b"", NAMES) is None
    assert answer(refused, NAMES) is None
    assert answer(b"short", NAMES) is None


@given(st.binary(max_size=2 * LARGEST_QUERY))
def test_any_bytes_get_a_short_answer_or_none(data: bytes) -> None:
    reply = answer(data, NAMES)
    assert reply is None or (len(reply) <= 512 and reply[:2] == data[:2] and reply[2] & 0x80)
