"""A snapshot is consistent in itself, or is none."""

from __future__ import annotations

import pytest

from handsel.errors import Bug
from handsel.xds.resources import ADDING_ORDER, CLUSTER, ENDPOINT, resource
from handsel.xds.snapshot import snapshot

A = resource(CLUSTER, "a", b"1")


def test_resources_are_found_by_their_type():
    endpoints = resource(ENDPOINT, "a", b"2")
    there = snapshot([A, endpoints])
    assert there.of_type(CLUSTER) == {"a": A}
    assert there.of_type(ENDPOINT) == {"a": endpoints}
    assert there.of_type(ADDING_ORDER[0]) == {}


def test_two_resources_of_one_type_have_two_names():
    snapshot([A, resource(CLUSTER, "b", b"1")])
    with pytest.raises(Bug, match="two resources of one name"):
        snapshot([A, resource(CLUSTER, "a", b"2")])


def test_endpoints_belong_to_a_cluster():
    snapshot([A, resource(ENDPOINT, "a", b"2")])
    with pytest.raises(Bug, match="no cluster"):
        snapshot([A, resource(ENDPOINT, "b", b"2")])


def test_equal_content_is_an_equal_version_and_other_content_another():
    assert resource(CLUSTER, "a", b"1") == A
    assert resource(CLUSTER, "b", b"1").version == A.version
    assert resource(CLUSTER, "a", b"2").version != A.version


def test_a_resource_does_not_print_its_body():
    assert "private key" not in repr(resource(CLUSTER, "a", b"private key"))
