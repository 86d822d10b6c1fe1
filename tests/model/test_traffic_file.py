"""`traffic:` in the mesh file: what is written, what it means, and what is refused."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import InvalidFile
from handsel.model.graph import Mesh
from handsel.model.traffic import (
    Balance,
    ClientTls,
    HashOn,
    KeepAlive,
    Outliers,
    Pool,
    RetryBudget,
    Sticky,
    Subset,
    TlsMode,
    TrafficPolicy,
)
from tests.support import read_mesh

SERVICES = """
services:
  web: {calls: [reviews, shop, store, bank]}
  shop: {port: 8080, labels: {version: v1}}
  store: {protocol: tcp}
  other: {}
external:
  bank: {host: bank.example.com, endpoints: ["10.0.0.1:443", "10.0.0.2:443"]}
routes: {reviews: [{to: {shop: 1, other: 1}}]}
"""


def _read(traffic: str) -> Mesh:
    return read_mesh(f"{SERVICES}\ntraffic:\n  {traffic}\n")


def _policy(written: str, callee: str = "shop") -> TrafficPolicy:
    (found,) = _read(f"{callee}: {{{written}}}").traffic
    return found.policy


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("balance: random", {"balance": Balance.RANDOM}),
        ("sticky: {header: X-User}", {"sticky": Sticky(HashOn.HEADER, "x-user")}),
        ("sticky: {cookie: sid, ttl: 1h, path: /}", {"sticky": Sticky(HashOn.COOKIE, "sid", "/", timedelta(hours=1))}),
        ("sticky: {query: user, table: 251}", {"sticky": Sticky(HashOn.QUERY, "user", table=251)}),
        ("sticky: {source: true, ring: 5}", {"sticky": Sticky(HashOn.SOURCE_ADDRESS, ring=5)}),
        (
            "pool: {connections: 5, pending_requests: 1, keep_alive: {time: 10s}}",
            {"pool": Pool(5, pending_requests=1, keep_alive=KeepAlive(time=timedelta(seconds=10)))},
        ),
        ("outliers: {}", {"outliers": Outliers(most_ejected_percent=50)}),
        (
            "outliers: {errors: 0, gateway_errors: 3, local_failures: 2, codes: [429]}",
            {"outliers": Outliers(None, 3, 2, split_local=True, most_ejected_percent=50, error_codes=(429,))},
        ),
        ("retry_budget: {percent: 30}", {"retry_budget": RetryBudget(30)}),
        ("tls: {mode: simple, ca_certificates: ca.pem}", {"tls": ClientTls(TlsMode.SIMPLE, ca_certificates="/etc/shop/ca.pem")}),
    ],
)  # fmt: skip
def test_a_policy_is_read(written, means):
    assert _policy(written) == TrafficPolicy(**means)


def test_the_idle_time_of_a_tcp_callee_is_that_of_its_connections():
    assert _policy("pool: {idle_timeout: 5s}").pool == Pool(idle_timeout=timedelta(seconds=5))
    assert _policy("pool: {idle_timeout: 5s}", "store").pool == Pool(tcp_idle_timeout=timedelta(seconds=5))


def test_subsets_are_labels_perhaps_with_a_policy_of_their_own():
    (found,) = _read("shop: {subsets: {v1: {version: v1}, all: {balance: random}, x: {labels: {balance: no}}}}").traffic
    assert found.subsets == (
        Subset("v1", (("version", "v1"),)),
        Subset("all", (), TrafficPolicy(balance=Balance.RANDOM)),
        Subset("x", (("balance", "no"),)),
    )


def test_ports_have_policies_of_their_own():
    (found,) = _read("bank: {balance: random, ports: {80: {pool: {http2: true}}}}").traffic
    assert found.ports == ((80, TrafficPolicy(pool=Pool(upgrade_to_http2=True))),)


def test_what_holds_for_a_name_that_routes_make_holds_for_its_targets_too():
    assert [each.callees for each in _read("reviews: {balance: random}").traffic] == [("reviews", "shop", "other")]
    both = _read("reviews: {balance: random}\n  shop: {balance: round_robin}").traffic
    assert [each.callees for each in both] == [("reviews", "other"), ("shop",)]


@pytest.mark.parametrize(
    ("traffic", "fault"),
    [
        ("shp: {}", "12:3 traffic.shp: there is no service or external 'shp', did you mean \"shop\"?"),
        ("store: {pool: {requests: 3}}", "12:18 traffic.store.pool.requests: a callee that speaks tcp has connections"),
        ("store: {sticky: {header: a}}", "traffic.store.sticky: a callee that speaks tcp has connections"),
        ("shop: {balance: best}", "must be 'round_robin', 'least_request' or 'random', not 'best'"),
        ("shop: {balance: random, sticky: {header: a}}", "say either balance or sticky"),
        ("shop: {sticky: {}}", "say one of header, cookie, query and source"),
        ("shop: {sticky: {header: a, query: b}}", "say one of header, cookie, query and source"),
        ("shop: {sticky: {header: a, ttl: 1h}}", "ttl and path are for a cookie"),
        ("shop: {sticky: {header: a, table: 10}}", "the size of a table is a prime number"),
        ("shop: {sticky: {header: a, table: 251, ring: 5}}", "say either ring or table"),
        ("shop: {pool: {connections: 0}}", "must be from 1 to 2147483647, not 0"),
        ("shop: {pool: {keep_alive: {time: 1500ms}}}", "whole seconds only"),
        ("shop: {pool: {retries: 5}, retry_budget: {}}", "say either retry_budget or pool.retries"),
        ("shop: {outliers: {most_ejected: 101}}", "must be from 0 to 100, not 101"),
        ("shop: {outliers: {codes: [99]}}", "must be from 200 to 599, not 99"),
        ("shop: {outliers: {interval: 0s}}", "must be from 1ms to 1d"),
        ("shop: {tls: {mode: mutual}}", "mode mutual, and no other, has client_certificate and private_key"),
        ("shop: {tls: {mode: disable, server_name: a}}", "mode disable says it all"),
        ("shop: {ports: {0: {}}}", "a port is a number from 1 to 65535, not 0"),
        ("shop: {subsets: {V1: {version: v1}}}", "a name has lower-case letters, digits and dashes"),
        ("shop: {ballance: random}", 'unknown key, did you mean "balance"?'),
    ],
)
def test_a_fault_is_told_with_its_place(traffic, fault):
    with pytest.raises(InvalidFile) as refused:
        _read(traffic)
    assert fault in "\n".join(f"{e.line}:{e.column} {e.path}: {e.message}" for e in refused.value.faults)


@pytest.mark.parametrize(
    ("traffic", "code", "message"),
    [
        ("shop: {subsets: {v2: {version: v2}}}", "HM-302", "nobody is of the subset v2"),
        ("bank: {outliers: {most_ejected: 10}}", "HM-303", "with fewer than 10 instances nobody is ever left out"),
        ("shop: {outliers: {most_ejected: 0}}", "HM-303", "nobody is left out"),
        ("shop: {sticky: {source: true}}", "HM-304", "all requests of one program come from one address"),
        ("shop: {pool: {http2: true}}", "HM-305", "http2 is for third parties"),
    ],
)
def test_what_never_happens_is_a_finding(traffic, code, message):
    (found,) = _read(traffic).findings
    assert (found.code, found.line) == (code, 12)
    assert message in found.message


@pytest.mark.parametrize(
    "traffic", ["bank: {outliers: {}}", "reviews: {outliers: {}}", "shop: {outliers: {}, subsets: {v1: {version: v1}}}"]
)
def test_what_does_is_none(traffic):
    assert _read(traffic).findings == ()


WORDS = """
when to path exact regex headers a retries on timeout 1s redirect fault delay for abort cors origins mirror shop v1
sticky cookie pool outliers subsets labels ports 80 tls mode simple ttl keep_alive time weight name prefix
"""
words = st.sampled_from(WORDS.split())
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**12) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(["routes", "traffic"]), values)
def test_whatever_is_written_is_read_or_refused_by_name(key, value):
    services = {"web": {"calls": ["shop"]}, "shop": {}}
    with contextlib.suppress(InvalidFile):
        read_mesh(yaml.safe_dump({"services": services, key: {"shop": value}}))
