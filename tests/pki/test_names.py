"""SPIFFE IDs: what the standard allows, and the names that are ours alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki.names import SpiffeId, TrustDomain

DOMAIN = TrustDomain("shop.internal")
segments = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True).filter(lambda s: s not in (".", ".."))
domains = st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True)


@given(domains, st.lists(segments, max_size=5))
def test_an_identity_is_read_back_as_it_was_written(domain, parts):
    identity = SpiffeId(TrustDomain(domain), "".join(f"/{part}" for part in parts))
    assert SpiffeId.parse(str(identity)) == identity


@given(st.text(max_size=60) | st.text(max_size=60).map("spiffe://".__add__))
def test_what_is_read_is_what_was_written_or_nothing(text):
    try:
        identity = SpiffeId.parse(text)
    except ValueError:
        return
    assert str(identity) == text


@pytest.mark.parametrize("name", ["shop.internal", "a", "a_b-c.1", "x" * 255])
def test_a_trust_domain_has_lower_case_letters_digits_dots_dashes_and_underscores(name):
    assert str(TrustDomain(name)) == name


@pytest.mark.parametrize("name", ["", "Shop", "shop internal", "shop/internal", "shop:1", "ümlaut", "x" * 256, "a\n"])
def test_no_other_trust_domain_is_taken(name):
    with pytest.raises(ValueError, match="trust domain"):
        TrustDomain(name)


@pytest.mark.parametrize("path", ["", "/a", "/ns/default/sa/web", "/A.b_c-d", "/..."])
def test_a_path_that_the_standard_allows_is_taken(path):
    assert SpiffeId(DOMAIN, path).path == path


@pytest.mark.parametrize(
    "path", ["/", "a", "/a/", "//a", "/./a", "/a/..", "/a b", "/ü", "/a%20b", "/a?b", "/a#b", "/a\n", "/" + "x" * 2048]
)
def test_no_other_path_is_taken(path):
    with pytest.raises(ValueError):
        SpiffeId(DOMAIN, path)


@pytest.mark.parametrize(
    "text", ["", "shop.internal/a", "http://shop.internal/a", "SPIFFE://shop.internal/a", "spiffe:/shop.internal"]
)
def test_an_identity_starts_with_its_scheme(text):
    with pytest.raises(ValueError, match="spiffe://"):
        SpiffeId.parse(text)


def test_names_of_our_own_are_reserved_and_those_of_workloads_are_not():
    ours = [DOMAIN.server, DOMAIN.nobody, DOMAIN.agent("a1b2")]
    workloads = [DOMAIN.workload("default", "web"), DOMAIN.workload("handsel", "server"), SpiffeId(DOMAIN, "/handselx")]
    assert all(name.is_reserved for name in ours)
    assert not any(name.is_reserved for name in workloads)
    assert len({*ours, *workloads}) == 6


def test_only_an_agent_has_an_agent_id():
    assert DOMAIN.agent("a1b2").agent_id == "a1b2"
    assert DOMAIN.server.agent_id is None
    assert DOMAIN.workload("handsel", "agent").agent_id is None


@pytest.mark.parametrize("part", ["", "a/../b", "..", "a b"])
def test_a_workload_cannot_climb_out_of_its_namespace(part):
    with pytest.raises(ValueError):
        DOMAIN.workload("default", part)
