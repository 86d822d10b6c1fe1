"""What Envoy's admin door prints, read: the lines are of a real proxy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handsel.envoy.stats import ProxyCounts, parse

PRINTED = """\
cluster._agent.upstream_cx_total: 1
cluster._application.upstream_rq_2xx: 29
cluster._application.upstream_cx_total: 2
cluster.emoji.external.upstream_rq_2xx: 38
cluster.emoji.grpc.0: 30
cluster.emoji.grpc.13: 8
cluster.emoji.grpc.failure: 8
cluster.emoji.grpc.request_message_count: 38
cluster.emoji.ssl.certificate.ROOTCA.expiration_unix_time_seconds: 2111492096
cluster.emoji.ssl.ciphers.TLS_AES_128_GCM_SHA256: 2
cluster.emoji.ssl.curves.X25519MLKEM768: 2
cluster.emoji.ssl.fail_verify_san: 3
cluster.emoji.ssl.handshake: 2
cluster.emoji.ssl.sigalgs.ecdsa_secp256r1_sha256: 2
cluster.emoji.ssl.versions.TLSv1.3: 2
cluster.emoji.upstream_cx_active: 1
cluster.emoji.upstream_cx_connect_fail: 4
cluster.emoji.upstream_cx_rx_bytes_total: 4371
cluster.emoji.upstream_cx_total: 8
cluster.emoji.upstream_cx_tx_bytes_total: 3299
cluster.emoji.upstream_rq_2xx: 38
cluster.emoji.upstream_rq_5xx: 2
cluster.emoji.upstream_rq_total: 38
http.admin.downstream_rq_2xx: 4
http.emoji.downstream_rq_total: 40
http.inbound.downstream_cx_total: 10
http.inbound.downstream_rq_2xx: 29
http.inbound.downstream_rq_5xx: 10
http.inbound.downstream_rq_total: 39
http.inbound.rbac.allowed: 39
http.inbound.rbac.denied: 6
inbound.rbac.denied: 1
listener.admin.downstream_cx_total: 4
listener.inbound.downstream_cx_total: 10
listener.inbound.http.inbound.downstream_rq_5xx: 10
listener.inbound.ssl.connection_error: 2
listener.inbound.ssl.curves.X25519: 1
listener.inbound.ssl.fail_verify_error: 1
listener.inbound.ssl.fail_verify_no_cert: 1
listener.inbound.ssl.fail_verify_san: 3
listener.inbound.ssl.versions.TLSv1.3: 3
listener.inbound.worker_0.downstream_cx_total: 10
listener.outbound.emoji.downstream_cx_total: 3
server.live: 1
tls_inspector.tls_not_found: 5
cluster.emoji.external.upstream_rq_time: B0.5(0,0) B1(20,20) B1.8e+06(23,23)
cluster.emoji.upstream_rq_time: B0.5(0,0) B1(20,20) B5(22,22) B1.8e+06(23,23)
"""


def test_what_was_counted_of_a_callee() -> None:
    (callee,) = parse(PRINTED).callees.items()
    name, counts = callee
    assert name == "emoji"
    assert (counts.connections, counts.active, counts.failures, counts.requests) == (8, 1, 4, 38)
    assert (counts.received, counts.sent) == (4371, 3299)
    assert counts.responses == {"2xx": 38, "5xx": 2}
    assert counts.grpc == {"OK": 30, "INTERNAL": 8}
    assert counts.errors == 8
    assert counts.tls_versions == {"TLSv1.3": 2}
    assert counts.tls_groups == {"X25519MLKEM768": 2}
    assert counts.refused == {"identity": 3}
    assert counts.times == {0.5: 0, 1.0: 20, 5.0: 22, 1.8e6: 23}


def test_what_was_counted_at_its_own_port_is_counted_once() -> None:
    inbound = parse(PRINTED).inbound
    assert inbound.connections == 10
    assert inbound.responses == {"2xx": 29, "5xx": 10}
    assert inbound.refused == {
        "handshake": 2, "certificate": 1, "no certificate": 1, "identity": 3, "policy": 7,
    }  # fmt: skip
    assert inbound.tls_groups == {"X25519": 1}
    assert parse(PRINTED).plaintext == 5


def test_subsets_of_a_callee_and_further_ports_of_a_service_are_added_up() -> None:
    counts = parse(
        "cluster.emoji.upstream_cx_total: 1\ncluster.emoji.v2.upstream_cx_total: 2\n"
        "cluster.emoji.v2.external.upstream_rq_2xx: 9\ncluster.emoji.v2.upstream_rq_2xx: 9\n"
        "cluster.emoji.v1.upstream_rq_time: B1(2,2) B5(3,3)\ncluster.emoji.v2.upstream_rq_time: B1(0,0) B5(4,4)\n"
        "listener.inbound.downstream_cx_total: 3\nlistener.inbound.9090.downstream_cx_total: 4\n"
        "listener.inbound.9090.worker_0.downstream_cx_total: 4\n"
    )
    assert counts.callees["emoji"].connections == 3
    assert counts.callees["emoji"].responses == {"2xx": 9}
    assert counts.callees["emoji"].times == {1.0: 2, 5.0: 7}
    assert counts.inbound.connections == 7


def test_nothing_was_counted() -> None:
    assert parse("") == ProxyCounts()


def test_more_callees_than_a_mesh_has_are_not_kept() -> None:
    text = "".join(f"cluster.c{number}.upstream_cx_total: 1\n" for number in range(5000))
    assert len(parse(text).callees) == 2000


@given(st.text())
def test_whatever_is_printed_is_read(text: str) -> None:
    assert isinstance(parse(text), ProxyCounts)


@given(st.lists(st.sampled_from(PRINTED.splitlines()), max_size=8).map("\n".join), st.integers(0, 400))
def test_an_answer_that_breaks_off_is_read(text: str, end: int) -> None:
    assert isinstance(parse(text[:end]), ProxyCounts)
