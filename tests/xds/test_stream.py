"""A delta stream, as conversations: subscriptions, ACKs, the order of things, reconnecting."""

from __future__ import annotations

import pytest

from handsel.xds.stream import Request
from tests.xds.conversation import TYPES, Conversation, version


def test_a_client_that_names_nothing_gets_every_cluster_and_listener():
    talk = Conversation("cluster a1 b1", "listener x1")
    assert talk.asks("cluster") == ["cluster +a1 +b1"]
    assert talk.asks("listener") == []  # the clusters come first
    assert talk.acks("cluster") == ["listener +x1"]
    assert talk.acks("listener") == []
    assert talk.stream.in_sync


def test_a_star_is_the_same_as_naming_nothing():
    assert Conversation("cluster a1 b1").asks("cluster", "*") == ["cluster +a1 +b1"]


def test_a_client_that_names_things_gets_those_and_no_others():
    talk = Conversation("cluster a1 b1 c1", "secret s1 t1")
    assert talk.asks("secret", "s") == ["secret +s1"]
    assert talk.asks("cluster", "a c") == ["cluster +a1 +c1"]
    talk.settles()
    assert talk.learns("cluster a1 b2 c2", "secret s1 t2") == ["cluster +c2"]


def test_secrets_and_endpoints_are_never_given_to_a_client_that_names_none():
    talk = Conversation("cluster a1", "endpoint a1", "secret s1")
    assert talk.asks("secret") == []
    assert talk.asks("endpoint") == []
    assert talk.asks("secret", "s") == ["secret +s1"]


def test_a_name_that_is_not_there_gets_a_definite_answer_at_once():
    talk = Conversation("secret s1")
    assert talk.asks("secret", "s n") == ["secret +s1 -n"]
    assert talk.acks("secret") == []


def test_a_name_that_was_absent_is_sent_as_soon_as_it_is_there():
    talk = Conversation("secret s1")
    talk.asks("secret", "n")
    assert talk.acks("secret") == []
    assert talk.learns("secret s1 n1") == ["secret +n1"]


def test_a_type_that_nobody_knows_gets_a_definite_answer_too():
    assert Conversation("cluster a1").asks("other", "n") == ["other -n"]


def test_a_name_added_while_a_response_is_under_way_is_not_lost():
    talk = Conversation("secret s1 t1")
    assert talk.asks("secret", "s") == ["secret +s1"]
    assert talk.asks("secret", "t") == []
    assert talk.acks("secret") == ["secret +t1"]


def test_a_changed_subscription_is_no_ack():
    talk = Conversation("secret s1 t1")
    talk.asks("secret", "s")
    talk.asks("secret", "t", nonce="")
    assert not talk.stream.has(TYPES["secret"], "s", version("secret", "s1"))
    assert talk.learns("secret s2 t1") == []  # the first response is still under way
    assert talk.acks("secret") == ["secret +s2 +t1"]
    assert talk.stream.has(TYPES["secret"], "t", version("secret", "t1")) is False


def test_an_ack_can_change_the_subscription_in_the_same_breath():
    talk = Conversation("secret s1 t1 u1")
    talk.asks("secret", "s t")
    assert talk.acks("secret", subscribe="u", unsubscribe="s") == ["secret +u1"]
    talk.acks("secret")
    assert talk.learns("secret s2 t2 u2") == ["secret +t2 +u2"]


def test_an_ack_of_an_older_response_counts_for_nothing():
    talk = Conversation("cluster a1")
    talk.asks("cluster")
    talk.acks("cluster")
    talk.learns("cluster a2")
    assert talk.asks("cluster", nonce="1") == []
    assert not talk.stream.has(TYPES["cluster"], "a", version("cluster", "a2"))
    talk.acks("cluster")
    assert talk.stream.has(TYPES["cluster"], "a", version("cluster", "a2"))


def test_a_name_that_was_unsubscribed_is_not_sent_again():
    talk = Conversation("secret s1")
    talk.asks("secret", "s")
    assert talk.acks("secret", unsubscribe="s") == []
    assert talk.learns("secret s2") == []
    assert talk.asks("secret", "s") == ["secret +s2"]


def test_a_client_that_subscribes_again_gets_an_answer_though_nothing_changed():
    talk = Conversation("secret s1")
    talk.asks("secret", "s")
    talk.acks("secret")
    assert talk.asks("secret", "s") == ["secret +s1"]


def test_a_name_beside_the_star_stays_when_the_name_alone_is_unsubscribed():
    talk = Conversation("cluster a1 b1")
    talk.asks("cluster", "* a")
    talk.acks("cluster")
    assert talk.asks("cluster", unsubscribe="a") == ["cluster +a1"]  # the star still covers it


def test_without_the_star_only_the_names_are_left():
    talk = Conversation("cluster a1 b1")
    talk.asks("cluster", "* a")
    assert talk.acks("cluster", unsubscribe="*") == []
    assert talk.learns("cluster a2 b2") == ["cluster +a2"]


def test_only_what_changed_is_sent():
    talk = Conversation("cluster a1 b1")
    talk.asks("cluster")
    talk.acks("cluster")
    assert talk.learns("cluster a1 b1") == []
    assert talk.learns("cluster a1 b2 c1") == ["cluster +b2 +c1"]


def test_the_latest_wins_and_nothing_between_is_sent():
    talk = Conversation("cluster a1")
    talk.asks("cluster")
    for content in ("a2", "a3", "a4"):
        assert talk.learns(f"cluster {content}") == []
    assert talk.acks("cluster") == ["cluster +a4"]
    assert talk.acks("cluster") == []


def test_a_change_that_was_taken_back_in_time_is_never_sent():
    talk = Conversation("cluster a1")
    talk.asks("cluster")
    talk.learns("cluster a2")
    talk.learns("cluster a1")
    assert talk.acks("cluster") == []


def test_what_is_gone_is_taken_away():
    talk = Conversation("cluster a1 b1", "listener x1 y1")
    talk.asks("cluster")
    talk.asks("listener")
    talk.settles()
    assert talk.learns("cluster a1 b1", "listener x1") == ["listener -y"]
    assert talk.acks("listener") == []
    assert talk.learns("cluster a1 b1", "listener x1 y1") == ["listener +y1"]


def _all(*lines: str) -> Conversation:
    """A client that has everything of a world, and names the secrets `s` and `t` and the endpoints `a` and `b`."""
    talk = Conversation(*lines)
    talk.asks("secret", "s t")
    talk.asks("cluster")
    talk.asks("endpoint", "a b")
    talk.asks("listener")
    talk.settles()
    return talk


def test_what_is_new_comes_in_an_order_in_which_nothing_is_missing():
    talk = _all("secret s1", "cluster a1", "endpoint a1", "listener x1")
    heard = talk.learns("secret s1 t1", "cluster a1 b1", "endpoint a1 b1", "listener x2")
    assert heard == ["secret +t1", "cluster +b1", "endpoint +b1"]
    assert talk.acks("secret") == talk.acks("endpoint") == []  # a client may wait for both before it takes a cluster
    assert talk.acks("cluster") == ["listener +x2"]


def test_what_is_old_goes_in_an_order_in_which_nothing_is_missing():
    talk = _all("secret s1 t1", "cluster a1 b1", "endpoint a1 b1", "listener x1 y1")
    assert talk.learns("secret s1", "cluster a1", "endpoint a1", "listener x2") == ["listener +x2 -y"]
    assert talk.acks("listener") == ["cluster -b", "endpoint -b"]
    assert talk.acks("endpoint") == []
    assert talk.acks("cluster") == ["secret -t"]


def test_a_secret_stays_until_the_cluster_that_named_it_has_been_replaced():
    talk = _all("secret s1 t1", "cluster a1", "endpoint a1", "listener x1")
    # The endpoints come again: the replaced cluster waits for them, and Envoy does not ask for what it has.
    assert talk.learns("secret s1", "cluster a2", "endpoint a1", "listener x1") == ["cluster +a2", "endpoint +a1"]
    assert talk.acks("cluster") == ["secret -t"]


def test_a_listener_waits_for_a_cluster_that_came_while_another_was_under_way():
    talk = _all("cluster a1", "listener x1")
    assert talk.learns("cluster a2", "listener x1") == ["cluster +a2"]
    assert talk.learns("cluster a2 b1", "listener x1 y1") == []
    assert talk.acks("cluster") == ["cluster +b1"]
    assert talk.acks("cluster") == ["listener +y1"]


def test_an_absent_name_is_answered_though_something_else_must_stay_for_now():
    talk = _all("secret s1", "cluster a1", "listener x1")
    talk.learns("cluster a1", "listener x2")  # the secret waits for the listener
    assert talk.asks("secret", "n") == ["secret -n"]
    talk.acks("secret")
    assert talk.acks("listener") == ["secret -s"]


def test_a_client_that_reconnects_gets_only_what_it_lacks():
    talk = Conversation("cluster a1 b2 c1", "secret s1")
    assert talk.asks("secret", "s", has="s1") == []
    assert talk.asks("cluster", has="a1 b1 d1") == ["cluster +b2 +c1 -d"]
    assert talk.stream.has(TYPES["cluster"], "a", version("cluster", "a1"))


def test_a_client_that_reconnects_is_told_of_a_name_that_went():
    assert Conversation("secret s1").asks("secret", "s t", has="s1 t1") == ["secret -t"]


def test_what_a_client_says_that_it_has_counts_only_in_its_first_request():
    talk = Conversation("cluster a1")
    assert talk.asks("cluster") == ["cluster +a1"]
    talk.acks("cluster")
    talk.asks("cluster", has={"a": "something else"})
    assert talk.stream.has(TYPES["cluster"], "a", version("cluster", "a1"))


def test_a_client_is_in_sync_when_it_has_taken_all_that_it_asked_for():
    talk = Conversation("cluster a1", "listener x1", "secret s1")
    seen = [talk.stream.in_sync]
    for step in (lambda: talk.asks("cluster"), lambda: talk.asks("listener"), lambda: talk.acks("cluster")):
        step()
        seen.append(talk.stream.in_sync)
    talk.acks("listener")
    assert seen == [False] * 4
    assert talk.stream.in_sync
    talk.learns("cluster a1", "listener x2")
    assert not talk.stream.in_sync
    talk.acks("listener")
    assert talk.stream.in_sync


@pytest.mark.parametrize("kind", TYPES)
def test_no_two_responses_have_the_same_nonce(kind):
    talk = Conversation("cluster a1", "listener x1")
    nonces = []
    for _ in range(5):
        talk.stream.on_request(Request(TYPES[kind], subscribe=("n",)))
        for response in talk.stream.responses():
            nonces.append(response.nonce)
            talk.stream.on_request(Request(response.type_url, response.nonce))
    assert len(nonces) == len(set(nonces)) == 5
