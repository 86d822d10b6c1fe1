"""The rules for requests and connections to a callee, as one caller follows them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from handsel.mesh.ir import ByServerName, Mirrored, Route, Weighted
from handsel.mesh.view import Called, View, cluster_name, written_ports
from handsel.model.graph import External, is_address
from handsel.model.routing import (
    MESH_GATEWAY,
    UNCHANGED,
    ConnectionMatch,
    ConnectionRule,
    Headers,
    HttpRule,
    RequestMatch,
    Response,
    Retry,
    Target,
)
from handsel.model.traffic import NOTHING_SAID, HashOn, Sticky, TrafficPolicy

_EXTERNAL_REQUEST_TIMEOUT = timedelta(seconds=30)
# Only where the callee has certainly not seen the request.
_USUAL_RETRY = Retry(2, ("connect-failure", "refused-stream", "reset-before-request"), other_hosts=False)
_NOBODY_GETS_IT = Response(503, "handsel: all weights of this rule are 0\n")
_HOST = ("host", ":authority")


def http(view: View, called: Called) -> tuple[Route, ...]:
    """The routes of requests to a callee, in order. Without a rule that fits, a request is answered with 404."""
    if called.routes is None or not called.routes.http:
        return (_usual(view, called),)
    return tuple(_routes(view, called, called.routes.http))


def connections(view: View, called: Called) -> tuple[Weighted, ...]:
    """Where the bytes of a connection go that is not looked into; nowhere when rules are for others only."""
    said = called.routes
    if said is None or not said.tcp:
        return () if said is not None and said.tls else (Weighted(called.callee.name),)
    fitting = (each for each in said.tcp if _fits(view, called, each))
    return next((weighted(each.to) for each in fitting), ())


def by_server_name(view: View, called: Called) -> tuple[ByServerName, ...]:
    """Where TLS connections that programs make themselves go, by server name: the first rule with a name counts."""
    found: list[ByServerName] = []
    taken: set[str] = set()
    for rule in called.routes.tls if called.routes else ():
        matches = [each for each in rule.matches if _concerns_connection(view, called, each)]
        names = dict.fromkeys(name for each in matches for name in each.server_names if name not in taken)
        if names:
            taken.update(names)
            found.append(ByServerName(tuple(names), weighted(rule.to)))
    return tuple(found)


def policy_of(view: View, called: Called) -> TrafficPolicy:
    """How the callee itself is spoken to."""
    return view.policy_of.get(called.callee.name, NOTHING_SAID)


def looks_into_requests(view: View, called: Called) -> bool:
    """Whether what is said of a callee, or of what stands behind it, is about single requests."""
    if called.routes is not None and called.routes.http:
        return True
    return _is_about_requests(policy_of(view, called))


def _is_about_requests(policy: TrafficPolicy) -> bool:
    pool, sticky = policy.pool, policy.sticky
    counted = pool is not None and any(
        (pool.pending_requests, pool.requests, pool.requests_per_connection, pool.retries, pool.idle_timeout)
    )
    stays = sticky is not None and sticky.on is not HashOn.SOURCE_ADDRESS
    return (
        counted or stays or policy.outliers is not None or policy.retry_budget is not None or policy.balance is not None
    )


def _usual(view: View, called: Called) -> Route:
    callee = called.callee
    return Route(
        to=(Weighted(callee.name),),
        timeout=_timeout(called),
        retry=_USUAL_RETRY,
        host=_host_for(called),
        sticky=_sticky(view, callee.name),
    )


def _timeout(called: Called) -> timedelta | None:
    """How long an answer may take where no rule says it: of a third party not for ever."""
    callee = called.callee
    if not isinstance(callee, External):
        return None
    return _EXTERNAL_REQUEST_TIMEOUT if callee.request_timeout is None else callee.request_timeout


def _routes(view: View, called: Called, rules: Iterable[HttpRule]) -> Iterator[Route]:
    for rule in rules:
        matches = tuple(each for each in rule.matches if concerns(view, called, each))
        if rule.matches and not matches:
            continue  # for other callers
        made = route_of(view, rule, matches, _host_for(called))
        yield replace(made, timeout=_timeout(called)) if made.to and made.timeout is None else made


def route_of(view: View, rule: HttpRule, matches: tuple[RequestMatch, ...], usual_host: str) -> Route:
    """A rule as one proxy follows it. `usual_host`: what takes the place of Host where the rule says nothing of it."""
    to = weighted(rule.to)
    headers, host = _apart(rule.headers)
    rewritten = rule.rewrite.authority if rule.rewrite else ""
    return Route(
        name=rule.name,
        matches=matches,
        to=to,
        redirect=rule.redirect,
        response=_NOBODY_GETS_IT if rule.to and not to else rule.response,
        timeout=rule.timeout,
        retry=(rule.retry or _USUAL_RETRY) if to else None,
        headers=headers,
        rewrite=rule.rewrite,
        host=rewritten or host or (usual_host if to else ""),
        fault=rule.fault,
        mirrors=tuple(Mirrored(cluster_name(m.callee, m.subset), m.percent) for m in rule.mirrors if m.percent),
        cors=rule.cors,
        sticky=_sticky(view, to[0].upstream) if to else None,
    )


def concerns(view: View, called: Called, match: RequestMatch) -> bool:
    """Whether a match is about this caller: what it says of sources is decided here, not by the proxy."""
    return _is_from(view, match) and match.port in (None, *written_ports(called.callee))


def _is_from(view: View, match: RequestMatch | ConnectionMatch) -> bool:
    caller = view.service
    return (
        caller.has_labels(match.source_labels)
        and match.source_namespace in ("", caller.namespace)
        and (not match.gateways or MESH_GATEWAY in match.gateways)
    )


def _fits(view: View, called: Called, rule: ConnectionRule) -> bool:
    return not rule.matches or any(_concerns_connection(view, called, each) for each in rule.matches)


def _concerns_connection(view: View, called: Called, match: ConnectionMatch) -> bool:
    callee = called.callee
    there = [address for address, _ in callee.endpoints] if isinstance(callee, External) else []
    return (
        _is_from(view, match)
        and match.port in (None, callee.port, *written_ports(callee))
        and (not match.source_subnets or _is_within(view.seat.address, match.source_subnets))
        and (not match.destination_subnets or any(_is_within(each, match.destination_subnets) for each in there))
    )


def _is_within(address: str, subnets: Iterable[str]) -> bool:
    if not is_address(address):
        return False
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(each, strict=False) for each in subnets)


def weighted(targets: tuple[Target, ...]) -> tuple[Weighted, ...]:
    """One destination ignores its weight; of several those with weight 0 get nothing."""
    if len(targets) == 1:
        targets = (replace(targets[0], weight=1),)
    found = []
    for each in targets:
        if each.weight:
            headers, host = _apart(each.headers)
            found.append(Weighted(cluster_name(each.callee, each.subset), each.weight, headers, host))
    return tuple(found)


def _apart(headers: Headers) -> tuple[Headers, str]:
    """What is set, and apart from it the Host, which proxies change in a way of its own."""
    host = next((value for name, value in headers.request.set if name.lower() in _HOST), "")
    if not host:
        return headers, ""
    rest = tuple((name, value) for name, value in headers.request.set if name.lower() not in _HOST)
    changed = replace(headers, request=replace(headers.request, set=rest))
    return changed if changed != UNCHANGED else UNCHANGED, host


def _host_for(called: Called) -> str:
    return called.callee.host if isinstance(called.callee, External) else ""


def _sticky(view: View, upstream: str) -> Sticky | None:
    return view.policy_of.get(upstream, NOTHING_SAID).sticky
