"""Rules as a function: their order, variables, hosts, and the reasons of those that lose."""

from __future__ import annotations

import pytest

from handsel.mesh.balancer.mapping import Verdict, decide, rules
from handsel.mesh.balancer.names import endpoint_for
from handsel.mesh.balancer.normal import normal
from handsel.model.balancer import Application, Balancer, Mapping, SslEndpoint

APPS = tuple(Application(name) for name in ("orders", "orders-eu", "billing", "shop-web", "x-y"))


def _decide(path: str, *said: Mapping, host: str = "h.test", names: tuple[str, ...] = ()) -> Verdict:
    return decide(rules(said, APPS, names), host, path)


def _why(verdict: Verdict) -> list[str]:
    return [each.reason for each in verdict.lost]


@pytest.mark.parametrize(
    ("mapping", "path", "app", "seen"),
    [
        (Mapping("/a", "orders"), "/ab", "orders", "/b"),
        (Mapping("/a", "orders"), "/a/b", "orders", "/b"),
        (Mapping("/a", "orders", "/x"), "/a/b?c=d", "orders", "/x/b?c=d"),
        (Mapping("/a/", "orders", "/x/"), "/a/b", "orders", "/x/b"),
        (Mapping("/a/", "orders"), "/a", "", "/a"),
        (Mapping("/a", "orders", strict=True), "/ab", "", "/ab"),
        (Mapping("/a", "orders", strict=True), "/a", "orders", "/"),
        (Mapping("/a", "orders"), "/A", "", "/A"),
        (Mapping("/{app}/", "{app}"), "/billing/7", "billing", "/7"),
        (Mapping("/{app}", "{app}"), "/ordersx", "", "/"),
        (Mapping("/{app}", "{app}", "/p"), "/orders", "orders", "/p"),
        (Mapping("/{region}/{app}/", "{app}-{region}"), "/eu/orders/7", "orders-eu", "/7"),
        (Mapping("/{v}/x", "orders", "/p"), "/a/b/x", "", "/a/b/x"),
        (Mapping("/{b}", "x-{b}"), "/y/1", "x-y", "/1"),
    ],
)
def test_what_a_rule_takes(mapping: Mapping, path: str, app: str, seen: str):
    verdict = _decide(path, mapping)
    assert (verdict.app, verdict.path) == (app, seen)


def test_the_first_that_fits_counts_and_the_others_say_why_not():
    verdict = _decide(
        "/orders/7",
        Mapping("/billing", "billing"), Mapping("/order", "billing", strict=True),
        Mapping("/{app}/", "{app}"), Mapping("/", "billing"), Mapping("/", "{subdomain}"),
    )  # fmt: skip
    assert verdict.rule is not None
    assert (verdict.rule.number, verdict.app) == (3, "orders")
    assert _why(verdict) == [
        "the path does not begin with /billing",
        "the path goes on behind /order without a /",
        "it would fit, but rule 3 comes first",
        "{subdomain}: the Host h.test is none of the certificate",
    ]


def test_a_name_that_no_application_has_ends_there():
    verdict = _decide("/nobody/7", Mapping("/{app}/", "{app}"), Mapping("/", "billing"))
    assert verdict.rule is not None
    assert (verdict.rule.number, verdict.app) == (1, "")


@pytest.mark.parametrize(
    ("host", "app"),
    [
        ("shop.example.com", "shop-web"), ("SHOP.example.com:8443", "shop-web"), ("orders.example.com", ""),
        ("shop.example.org", ""), ("shop.fixed.example.org", "shop-web"), ("a.shop.example.com", ""),
    ],
)  # fmt: skip
def test_a_subdomain_comes_from_the_host(host: str, app: str):
    names = ("*.example.com", "shop.fixed.example.org", "example.net")
    assert _decide("/", Mapping("/", "{subdomain}-web"), host=host, names=names).app == app


def test_an_endpoint_is_found_by_its_name_as_envoy_does():
    first, second = (SslEndpoint((), names, ()) for names in (("a.example.com",), ("*.example.com", "*.b.example.com")))
    balancer = Balancer("front", (first, second), (), default=0)
    for name, index in (
        ("a.example.com", 0), ("A.Example.com", 0), ("c.example.com", 1), ("x.a.example.com", 1), ("", 0), ("b.net", 0),
    ):  # fmt: skip
        assert endpoint_for(balancer, name)[0] == index, name


def test_a_path_is_made_normal_once():
    for path in ("/a/../b", "//a///b/", "/%61%2Fb%5cc", "/a/./b/..?x=/../y", "/%7b|^"):
        once = normal(path, keep_url_encoding=False)
        assert normal(once, keep_url_encoding=False) == once
    with pytest.raises(ValueError, match="400"):
        normal("/%00", keep_url_encoding=False)
