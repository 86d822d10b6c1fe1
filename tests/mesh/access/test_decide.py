"""Deciding with a part of a call known never contradicts what the whole of it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.mesh.access import values
from handsel.mesh.access.decide import Facts, Request, decide
from handsel.mesh.access.plan import Question, admit
from handsel.mesh.intent import PeerAnyone, PeerIds
from handsel.mesh.ir import Access, Layer
from handsel.model.access import Condition, Mode, Operation, Rule, Source
from handsel.pki.names import TrustDomain

DOMAIN = TrustDomain("test.internal")
WEB, BOT, OPS = (DOMAIN.workload(space, name) for space, name in (("a", "web"), ("a", "bot"), ("b", "ops")))
EVERYBODY = (WEB, BOT, OPS)
ADDRESSES = ["10.1.2.3", "10.9.9.9", "192.0.2.1"]
BLOCKS = ["10.0.0.0/8", "10.9.0.0/16", "192.0.2.0/24"]


def some(*items: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(items), max_size=2).map(tuple)


sources = st.builds(
    Source,
    principals=some("test.internal/ns/a/sa/web", "*/sa/bot", "test.internal/*", "*"),
    not_principals=some("*/sa/ops", "test.internal/ns/a/sa/web"),
    namespaces=some("a", "b", "*"),
    not_namespaces=some("b"),
    ip_blocks=some(*BLOCKS),
    not_ip_blocks=some(*BLOCKS),
)
operations = st.builds(
    Operation, methods=some("GET", "POST"), not_methods=some("POST"), paths=some("/a", "/a*"), hosts=some("A.example")
)
conditions = st.builds(
    Condition,
    key=st.sampled_from(["request.headers[x-a]", "source.namespace"]),
    values=some("a", "b*"),
    not_values=some("ab"),
)
rules = st.builds(
    Rule,
    st.lists(sources, max_size=2).map(tuple),
    st.lists(operations, max_size=2).map(tuple),
    st.lists(conditions, max_size=1).map(tuple),
)
named = st.lists(rules, max_size=3).map(lambda found: tuple((f"r#{i}", each) for i, each in enumerate(found)))
accesses = st.builds(
    Access,
    allow=st.one_of(st.none(), named),
    deny=named,
    calls=st.one_of(st.none(), st.just((WEB,)), st.just((DOMAIN.nobody,))),
)
requests = st.builds(
    Request,
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/a", "/ab", "/b"]),
    st.sampled_from(["a.example", "b.example"]),
    st.sampled_from([{}, {"x-a": "a"}, {"x-a": "bb"}]),
)


def at(address: str):
    return lambda block: values.block_has(block, address)


@given(accesses, st.sampled_from([*EVERYBODY, None]), st.sampled_from(ADDRESSES), requests, st.booleans())
def test_what_is_decided_early_stays_so(access, identity, address, request, http):
    whole = decide(access, Facts(identity, http, at(address), request, "")).allowed
    assert whole is not None
    for early in (
        Facts(identity, http),
        Facts(identity, http, at(address)),
        Facts(identity, http, None, request),
    ):
        assert decide(access, early).allowed in (None, whole)


@given(accesses, st.sampled_from(EVERYBODY), st.sampled_from(ADDRESSES), requests, st.booleans())
def test_the_handshake_lets_in_all_who_may_and_at_layer_4_nobody_else(access, identity, address, request, http):
    admitted = admit(Question(access, access, EVERYBODY, DOMAIN, http, Mode.PERMISSIVE))
    assert not admitted.closed
    around = [each for each in admitted.near if values.block_has(each.block, address)]
    nearest = max(around, key=lambda each: int(each.block.partition("/")[2]), default=None)
    peer = nearest.peer if nearest else admitted.peer
    let_in = isinstance(peer, PeerAnyone) or identity in peer.allowed
    may = decide(access, Facts(identity, http, at(address), request, "")).allowed
    plaintext = nearest.plaintext if nearest else admitted.plaintext is not None
    may_plain = decide(access, Facts(None, http, at(address), request, "")).allowed
    if admitted.layer is Layer.TCP:
        assert (let_in, plaintext) == (may, may_plain)
    else:
        assert let_in or not may
        assert plaintext or not may_plain
        assert admitted.access == access
    assert not isinstance(peer, PeerIds) or peer.allowed


@given(accesses)
def test_nobody_whom_the_mesh_does_not_know_is_let_in_by_a_list(access):
    admitted = admit(Question(access, access, EVERYBODY, DOMAIN, True, Mode.STRICT))
    stranger = Facts(DOMAIN.workload("c", "unknown"), http=True)
    if decide(access, stranger).allowed is False:
        peers = [admitted.peer, *(each.peer for each in admitted.near)]
        assert any(isinstance(each, PeerIds) for each in peers)
    assert admitted.plaintext is None


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("*", "", False), ("*", "a", True), ("a*", "ab", True), ("a*", "ba", False), ("*a", "ba", True), ("a", "A", False),
        ("a*b", "axb", False), ("a*b", "a*b", True),
    ],
)  # fmt: skip
def test_texts_fit(pattern, value, expected):
    assert values.fits(pattern, value) is expected


def test_a_claim_of_claims_and_a_list_are_found():
    token = {"a": {"b": ["x", 1, "y"]}, "c": True}
    assert values.claim(token, ("a", "b")) == ("x", "y")
    assert values.claim(token, ("a", "b", "x")) == ()
    assert values.claim(token, ("c",)) == ()
