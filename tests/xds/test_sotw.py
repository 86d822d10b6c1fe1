"""A state-of-the-world stream, as conversations: subscriptions are no ACKs, versions are contents, refusals go back."""

from __future__ import annotations

from handsel.xds.sotw import Request
from handsel.xds.stream import Rejected
from tests.xds.conversation import TYPES, SotwConversation, version

CLUSTER, SECRET, LISTENER = TYPES["cluster"], TYPES["secret"], TYPES["listener"]


def _proxy(*lines: str, secrets: str = "s t") -> SotwConversation:
    """A client that has everything of a world."""
    talk = SotwConversation(*lines)
    talk.asks("cluster", "")
    talk.asks("secret", secrets)
    talk.asks("endpoint", "a b")
    talk.asks("listener", "")
    talk.settles()
    return talk


def test_a_client_that_names_nothing_gets_every_cluster_and_listener():
    talk = SotwConversation("cluster a1 b1", "listener x1")
    assert talk.asks("cluster", "") == ["cluster a1 b1"]
    assert talk.asks("listener", "") == []  # the clusters come first
    assert talk.acks("cluster") == ["listener x1"]
    assert talk.acks("listener") == []
    assert talk.stream.in_sync


def test_after_a_name_an_empty_list_means_nothing_and_a_star_everything():
    talk = SotwConversation("cluster a1 b1")
    assert talk.asks("cluster", "a") == ["cluster a1"]
    assert talk.acks("cluster", "") == []
    assert talk.learns("cluster a2 b2") == []
    assert talk.asks("cluster", "*") == ["cluster a2 b2"]


def test_secrets_and_endpoints_are_never_given_to_a_client_that_names_none():
    talk = SotwConversation("cluster a1", "endpoint a1", "secret s1")
    assert talk.asks("secret", "") == []
    assert talk.asks("endpoint", "") == []
    assert talk.asks("secret", "s") == ["secret s1"]


def test_a_name_added_in_an_ack_is_sent():
    talk = SotwConversation("secret s1 t1")
    talk.asks("secret", "s")
    assert talk.acks("secret", "s t") == ["secret s1 t1"]


def test_a_name_added_with_version_and_nonce_of_the_last_ack_is_no_ack_and_is_sent():
    talk = SotwConversation("secret s1 t1")
    talk.asks("secret", "s")
    talk.acks("secret")
    assert talk.asks("secret", "s t") == ["secret s1 t1"]
    assert not talk.stream.has(SECRET, "t", version("secret", "t1"))
    talk.acks("secret")
    assert talk.stream.has(SECRET, "t", version("secret", "t1"))


def test_a_name_added_while_a_response_is_under_way_is_not_lost():
    talk = SotwConversation("secret s1 t1")
    talk.asks("secret", "s")
    assert talk.asks("secret", "s t", nonce="") == []
    assert not talk.stream.has(SECRET, "s", version("secret", "s1"))
    assert talk.acks("secret") == ["secret s1 t1"]


def test_a_name_that_is_dropped_is_not_sent_and_comes_again_when_it_is_asked_for_again():
    talk = SotwConversation("secret s1 t1")
    talk.asks("secret", "s t")
    assert talk.acks("secret", "s") == []
    assert talk.learns("secret s1 t2") == []
    assert talk.asks("secret", "s t") == ["secret s1 t2"]


def test_a_request_that_answers_nothing_and_changes_nothing_asks_for_the_same_again():
    talk = SotwConversation("cluster a1", "endpoint a1")
    talk.asks("endpoint", "a")
    assert talk.acks("endpoint") == []
    assert talk.asks("endpoint") == ["endpoint a1"]
    assert talk.acks("endpoint") == []


def test_a_late_request_counts_for_nothing():
    talk = SotwConversation("secret s1")
    talk.asks("secret", "s")
    talk.acks("secret")
    talk.learns("secret s2")
    assert talk.asks("secret", nonce="1") == []
    assert not talk.stream.has(SECRET, "s", version("secret", "s2"))
    talk.stream.on_request(Request(SECRET, ("s",), nonce="1", error="too late"))
    assert talk.stream.rejections == ()
    assert talk.acks("secret") == []
    assert talk.stream.has(SECRET, "s", version("secret", "s2"))


def test_a_name_that_is_not_there_yet_waits_and_is_sent_once_it_is():
    talk = SotwConversation("secret s1")
    assert talk.asks("secret", "n") == []
    assert talk.learns("secret s2") == []
    assert talk.learns("secret s2 n1") == ["secret n1"]


def test_a_named_thing_that_goes_is_not_told_and_comes_back_only_when_it_changed():
    talk = SotwConversation("secret s1 t1")
    talk.asks("secret", "s t")
    talk.acks("secret")
    assert talk.learns("secret t1") == []
    assert talk.learns("secret s1 t1") == []
    assert talk.learns("secret s2 t1") == ["secret s2 t1"]


def test_the_latest_wins_and_nothing_between_is_sent():
    talk = SotwConversation("cluster a1")
    talk.asks("cluster", "")
    for content in ("a2", "a3", "a4"):
        assert talk.learns(f"cluster {content}") == []
    assert talk.acks("cluster") == ["cluster a4"]
    assert talk.acks("cluster") == []


def test_what_is_gone_is_left_out_and_nothing_at_all_is_an_answer():
    talk = SotwConversation("cluster a1", "listener x1 y1")
    talk.asks("listener", "")
    talk.acks("listener")
    assert talk.learns("cluster a1", "listener x1") == ["listener x1"]
    talk.acks("listener")
    assert talk.learns("cluster a1") == ["listener"]
    assert SotwConversation("listener x1").asks("cluster", "") == ["cluster"]
    assert SotwConversation().asks("cluster", "") == []  # nothing is known yet


# Versions


def _version(*lines: str) -> str:
    talk = SotwConversation(*lines)
    talk.asks("cluster", "")
    talk.acks("cluster")
    return talk.versions[CLUSTER]


def test_equal_content_is_an_equal_version_on_another_stream_too():
    assert _version("cluster a1 b1") == _version("cluster b1 a1")
    assert len({_version("cluster a1 b1"), _version("cluster a1"), _version("cluster a1 b2")}) == 3


def test_a_client_that_reconnects_with_what_it_should_have_gets_nothing_again():
    talk = SotwConversation("cluster a1 b1")
    assert talk.asks("cluster", "", version=_version("cluster a1 b1")) == []
    assert talk.stream.has(CLUSTER, "a", version("cluster", "a1"))
    assert talk.learns("cluster a2 b1") == ["cluster a2 b1"]
    assert talk.refuses("cluster") == ["cluster a1 b1"]  # what it had is what it goes back to


def test_a_client_that_reconnects_with_something_else_gets_all():
    talk = SotwConversation("cluster a1 b1")
    assert talk.asks("cluster", "", version=_version("cluster a1")) == ["cluster a1 b1"]


def _secrets(names: str, *lines: str) -> str:
    talk = SotwConversation(*lines)
    talk.asks("secret", names)
    talk.acks("secret")
    return talk.versions[SECRET]


def test_of_named_things_only_a_client_with_one_subscription_is_believed():
    """On ADS it may have dropped a name since, and would wait for it for ever."""
    has = _secrets("s", "secret s1 t1")
    assert SotwConversation("secret s1 t1", trusted=True).asks("secret", "s", version=has) == []
    assert SotwConversation("secret s1 t1").asks("secret", "s", version=has) == ["secret s1"]


def test_the_same_version_with_other_names_is_not_believed():
    has = _secrets("s", "secret s1 t1")
    assert SotwConversation("secret s1 t1", trusted=True).asks("secret", "s t", version=has) == ["secret s1 t1"]
    assert SotwConversation("secret s1 t1", trusted=True).asks("secret", "t", version=has) == ["secret t1"]


# The order of things


def test_what_is_new_comes_in_an_order_in_which_nothing_is_missing():
    talk = _proxy("secret s1", "cluster a1", "endpoint a1", "listener x1")
    heard = talk.learns("secret s1 t1", "cluster a1 b1", "endpoint a1 b1", "listener x2")
    assert heard == ["secret s1 t1", "cluster a1 b1", "endpoint a1 b1"]
    assert talk.acks("secret") == talk.acks("endpoint") == []
    assert talk.acks("cluster") == ["listener x2"]


def test_a_cluster_goes_after_the_listener_that_named_it():
    talk = _proxy("cluster a1 b1", "endpoint a1 b1", "listener x1 y1")
    assert talk.learns("cluster a1", "endpoint a1", "listener x2") == ["listener x2"]
    assert talk.acks("listener") == ["cluster a1"]
    assert talk.acks("cluster") == []
    assert talk.stream.in_sync


def test_a_cluster_that_is_to_go_stays_while_another_is_replaced():
    talk = _proxy("cluster a1 b1", "listener x1")
    assert talk.learns("cluster a2", "listener x2") == ["cluster a2 b1"]
    assert talk.acks("cluster") == ["listener x2"]
    assert talk.acks("listener") == ["cluster a2"]


def test_a_cluster_that_is_replaced_gets_its_endpoints_again():
    talk = _proxy("cluster a1", "endpoint a1", "listener x1")
    assert talk.learns("cluster a2", "endpoint a1", "listener x1") == ["cluster a2", "endpoint a1"]


# Refusals


def test_the_last_good_set_is_sent_at_once_and_the_refusal_is_told():
    talk = _proxy("cluster a1", "listener x1")
    assert talk.learns("cluster a2", "listener x1") == ["cluster a2"]
    assert talk.refuses("cluster", "bad TLS") == ["cluster a1"]
    assert talk.acks("cluster") == []
    assert talk.stream.rejections == (Rejected(CLUSTER, ("a",), "bad TLS"),)
    assert not talk.stream.in_sync


def test_a_refused_set_is_not_tried_again_and_a_newer_one_is():
    talk = _proxy("cluster a1", "listener x1")
    talk.learns("cluster a2", "listener x1")
    talk.refuses("cluster", "")
    talk.acks("cluster")
    assert talk.learns("cluster a2", "listener x1") == []
    assert talk.learns("cluster a3", "listener x1") == ["cluster a3"]
    talk.acks("cluster")
    assert talk.stream.in_sync


def test_a_secret_that_was_refused_holds_up_no_other():
    talk = _proxy("secret s1 t1", "cluster a1", "listener x1")
    talk.learns("secret s2 t1", "cluster a1", "listener x1")
    assert talk.refuses("secret", "key does not match") == ["secret s1 t1"]
    talk.acks("secret")
    assert talk.learns("secret s2 t2", "cluster a1", "listener x1") == ["secret s1 t2"]
    talk.acks("secret")
    assert talk.stream.has(SECRET, "t", version("secret", "t2"))
    assert talk.stream.rejections == (Rejected(SECRET, ("s",), "key does not match"),)


def test_a_first_set_that_is_refused_leaves_nothing_to_restore():
    talk = SotwConversation("cluster a1", "listener x1")
    talk.asks("cluster", "")
    talk.asks("listener", "")
    assert talk.refuses("cluster") == ["listener x1"]
    assert talk.acks("listener") == []


def test_a_client_that_refuses_even_the_last_good_set_is_left_alone_until_there_is_another():
    talk = _proxy("cluster a1", "listener x1")
    assert talk.learns("cluster a2", "listener x1") == ["cluster a2"]
    assert talk.refuses("cluster") == ["cluster a1"]
    assert talk.refuses("cluster") == []
    assert talk.learns("cluster a2 b1", "listener x1") == ["cluster a1 b1"]


def test_of_several_that_were_refused_together_only_the_one_at_fault_is_held():
    talk = SotwConversation("listener x1 y1 z1")
    talk.asks("listener", "")
    answer = talk.refuses("listener", "cannot bind")
    heard = []
    while answer:
        heard += answer
        answer = talk.refuses("listener", "y: cannot bind") if "y1" in answer[0] else talk.acks("listener")
    assert heard[-1] == "listener x1 z1"
    assert talk.stream.rejections == (Rejected(LISTENER, ("y",), "y: cannot bind"),)
    assert talk.learns("listener x1 y2 z1") == ["listener x1 y2 z1"]
    talk.acks("listener")
    assert talk.stream.in_sync


def test_a_stream_with_secrets_only_is_settled_but_is_no_proxy():
    talk = SotwConversation("secret s1")
    talk.asks("secret", "s")
    assert not talk.stream.settled
    talk.acks("secret")
    assert talk.stream.settled
    assert not talk.stream.in_sync
    assert not talk.stream.is_proxy
