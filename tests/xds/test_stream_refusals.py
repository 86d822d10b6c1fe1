"""A delta stream whose client refuses: the last good version comes back, and only the one at fault is held."""

from __future__ import annotations

from handsel.xds.stream import Rejected, Request
from tests.xds.conversation import TYPES, Conversation, version


def _with_listeners(*lines: str) -> Conversation:
    talk = Conversation(*lines)
    talk.asks("cluster")
    talk.asks("listener")
    talk.settles()
    return talk


def test_the_last_good_version_is_sent_at_once():
    talk = _with_listeners("cluster a1", "listener x1")
    assert talk.learns("cluster a2", "listener x1") == ["cluster +a2"]
    assert talk.refuses("cluster", "bad TLS") == ["cluster +a1"]
    assert talk.acks("cluster") == []


def test_the_refusal_is_told_with_its_reason_and_the_client_is_not_in_sync():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    talk.refuses("cluster", "bad TLS")
    talk.acks("cluster")
    assert talk.stream.rejections == (Rejected(TYPES["cluster"], ("a",), "bad TLS"),)
    assert not talk.stream.in_sync


def test_an_empty_reason_is_a_refusal_too():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    assert talk.refuses("cluster", "") == ["cluster +a1"]


def test_a_refused_version_is_not_tried_again_and_a_newer_one_is():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    talk.refuses("cluster")
    talk.acks("cluster")
    assert talk.learns("cluster a2", "listener x1") == []
    assert talk.learns("cluster a3", "listener x1") == ["cluster +a3"]
    talk.acks("cluster")
    assert talk.stream.in_sync


def test_a_newer_version_comes_at_once_instead_of_the_last_good_one():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    talk.learns("cluster a3", "listener x1")
    assert talk.refuses("cluster") == ["cluster +a3"]


def test_going_back_to_a_version_that_was_good_needs_no_more_than_that():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    talk.refuses("cluster")
    talk.acks("cluster")
    assert talk.learns("cluster a1", "listener x1") == []
    assert talk.stream.in_sync


def test_a_first_version_that_is_refused_leaves_nothing_to_restore():
    talk = Conversation("cluster a1", "listener x1")
    talk.asks("cluster")
    talk.asks("listener")
    assert talk.refuses("cluster") == ["listener +x1"]
    assert talk.acks("listener") == []


def test_a_client_that_refuses_even_the_last_good_version_is_left_alone():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    assert talk.refuses("cluster") == ["cluster +a1"]
    assert talk.refuses("cluster") == []
    assert talk.learns("cluster a3", "listener x1") == ["cluster +a3"]


def test_of_several_that_were_refused_together_only_the_one_at_fault_is_held():
    talk = Conversation("listener x1 y1 z1")
    talk.asks("listener")
    alone = talk.refuses("listener", "cannot bind")
    heard = []
    while alone:
        heard += alone
        alone = talk.refuses("listener", "y: cannot bind") if alone == ["listener +y1"] else talk.acks("listener")
    assert sorted(heard) == ["listener +x1", "listener +y1", "listener +z1"]
    assert talk.stream.rejections == (Rejected(TYPES["listener"], ("y",), "y: cannot bind"),)
    assert talk.learns("listener x1 y2 z1") == ["listener +y2"]
    talk.acks("listener")
    assert talk.stream.in_sync


def test_of_several_the_one_at_fault_goes_back_and_the_others_go_on():
    talk = _with_listeners("listener x1 y1")
    talk.learns("listener x2 y2")
    answer = talk.refuses("listener")
    heard = list(answer)
    while answer:
        answer = talk.refuses("listener") if answer == ["listener +y2"] else talk.acks("listener")
        heard += answer
    assert heard[-1] in ("listener +y1", "listener +x2")
    assert talk.stream.has(TYPES["listener"], "x", version("listener", "x2"))
    assert talk.stream.has(TYPES["listener"], "y", version("listener", "y1"))


def test_what_was_cleared_of_suspicion_travels_with_the_others_again():
    talk = _with_listeners("listener x1 y1")
    talk.learns("listener x2 y2")
    talk.refuses("listener")
    talk.settles()  # each alone is taken
    assert talk.stream.in_sync
    talk.learns("listener x1 y1")
    talk.settles()
    assert talk.learns("listener x2 y2") == ["listener +x2 +y2"]


def test_a_name_that_was_refused_and_is_asked_for_again_gets_a_definite_answer():
    talk = Conversation("secret s1")
    talk.asks("secret", "s")
    assert talk.refuses("secret") == []
    assert talk.asks("secret", "s") == ["secret -s"]
    talk.acks("secret")
    assert talk.learns("secret s2") == ["secret +s2"]


def test_what_was_to_go_in_a_refused_response_goes_in_the_next():
    talk = _with_listeners("listener x1 y1")
    assert talk.learns("listener x2") == ["listener +x2 -y"]
    assert talk.refuses("listener") == ["listener +x1 -y"]
    assert talk.acks("listener") == []


def test_nothing_is_taken_away_that_a_restored_listener_may_name():
    talk = _with_listeners("cluster a1 b1", "listener x1")
    assert talk.learns("cluster a1", "listener x2") == ["listener +x2"]  # no longer names b
    assert talk.refuses("listener") == ["listener +x1"]  # which names b
    assert talk.acks("listener") == []
    assert talk.learns("cluster a1", "listener x3") == ["listener +x3"]
    assert talk.acks("listener") == ["cluster -b"]


def test_what_a_client_had_before_it_reconnected_is_taken_away_also_after_a_refusal():
    talk = Conversation("cluster a2", "listener x1")
    assert talk.asks("cluster", has="a1") == ["cluster +a2"]
    talk.asks("listener")
    talk.refuses("cluster")
    talk.acks("listener")
    assert talk.learns("listener x1") == ["cluster -a"]


def test_another_type_goes_on_while_one_is_refused():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x2")
    talk.refuses("cluster")
    assert talk.acks("cluster") == ["listener +x2"]


def test_a_refusal_of_an_older_response_counts_for_nothing():
    talk = _with_listeners("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    talk.stream.on_request(Request(TYPES["cluster"], "1", "too late"))
    assert talk.stream.rejections == ()
    talk.acks("cluster")
    assert talk.stream.has(TYPES["cluster"], "a", version("cluster", "a2"))
