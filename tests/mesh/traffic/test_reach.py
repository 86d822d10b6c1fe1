"""Who answers a call to a name, with which share."""

from __future__ import annotations

import pytest

from handsel.mesh.reach import answering
from handsel.mesh.scope import Scope
from tests.support import read_mesh

SERVICES = """
services:
  web: {calls: [reviews, one, store, bank]}
  one: {labels: {version: one}}
  two: {}
  store: {protocol: tcp}
  store-b: {protocol: tcp}
external: {bank: {host: bank.example.com}}
"""


def _answering(name: str, said: str) -> list[tuple[str, str, float]]:
    mesh = read_mesh(f"{SERVICES}\n{said}")
    found = answering(mesh, Scope(mesh, {}, {}), mesh.services["web"], name, "/x")
    return [(each.service, each.cluster, round(each.share, 3)) for each in found]


REVIEWS = "routes: {{reviews: [{}]}}"


@pytest.mark.parametrize(
    ("name", "said", "found"),
    [
        ("one", REVIEWS.format("{to: one}"), [("one", "one", 1)]),
        ("reviews", REVIEWS.format("{to: {one: 90, two: 10}}"), [("one", "one", 0.9), ("two", "two", 0.1)]),
        ("reviews", REVIEWS.format("{to: {one: 0, two: 10}}"), [("two", "two", 1)]),
        ("reviews", REVIEWS.format("{when: {path: /y}, to: one}, {to: two}"), [("two", "two", 1)]),
        ("reviews", REVIEWS.format("{when: {path: /x}, to: one}, {to: two}"), [("one", "one", 1)]),
        ("reviews", REVIEWS.format("{when: {from: web}, to: one}, {to: two}"), [("one", "one", 1)]),
        ("reviews", REVIEWS.format("{when: {path: /y}, to: one}"), []),
        ("reviews", REVIEWS.format("{response: {status: 200}}"), []),
        ("reviews", REVIEWS.format("{to: bank}"), []),
        (
            "reviews",
            "routes: {reviews: [{to: both}], both: [{to: {one: 1, two: 1}}]}",
            [("one", "both", 0.5), ("two", "both", 0.5)],
        ),
        (
            "reviews",
            "routes: {reviews: [{to: one.it}]}\ntraffic: {one: {subsets: {it: {version: one}}}}",
            [("one", "one.it", 1)],
        ),
        (
            "store",
            "routes: {reviews: [{to: one}], store: [{to: {store: 3, store-b: 1}}]}",
            [("store", "store", 0.75), ("store-b", "store-b", 0.25)],
        ),
        ("bank", REVIEWS.format("{to: one}"), []),
    ],
)
def test_who_answers(name, said, found):
    assert _answering(name, said) == found
