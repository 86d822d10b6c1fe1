"""The rules for requests and connections to a callee, as one caller follows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from handsel.mesh.ir import Mirrored, Route, Weighted
from handsel.mesh.scope import Called, View, cluster_name
from handsel.model.graph import External
from handsel.model.routing import MESH_GATEWAY, HttpRule, RequestMatch, Retry, Target
from handsel.model.traffic import Sticky

_EXTERNAL_REQUEST_TIMEOUT = timedelta(seconds=30)
# Only where the callee has certainly not seen the request.
_USUAL_RETRY = Retry(2, ("connect-failure", "refused-stream", "reset-before-request"), other_hosts=False)


def http(view: View, called: Called) -> tuple[Route, ...]:
    """The routes of requests to a callee, in order. Without a rule that fits, a request is answered with 404."""
    if called.routes is None or not called.routes.http:
        return (_usual(view, called),)
    return tuple(_routes(view, called, called.routes.http))


def connections(called: Called) -> tuple[Weighted, ...]:
    """Where the bytes of a connection go that is not looked into."""
    said = called.routes
    rules = [*said.tcp, *said.tls] if said else []
    for rule in rules:
        return _weighted(rule.to)
    return (Weighted(called.callee.name),)


def _usual(view: View, called: Called) -> Route:
    callee = called.callee
    outside = isinstance(callee, External)
    timeout = callee.request_timeout if isinstance(callee, External) else None
    if outside and timeout is None:
        timeout = _EXTERNAL_REQUEST_TIMEOUT
    return Route(
        to=(Weighted(callee.name),),
        timeout=timeout,
        retry=_USUAL_RETRY,
        host=_host_for(called, ""),
        sticky=_sticky(view, callee.name),
    )


def _routes(view: View, called: Called, rules: Iterable[HttpRule]) -> Iterable[Route]:
    for rule in rules:
        matches = tuple(each for each in rule.matches if _concerns(view, called, each))
        if rule.matches and not matches:
            continue  # for other callers
        to = _weighted(rule.to)
        yield Route(
            name=rule.name,
            matches=matches,
            to=to,
            redirect=rule.redirect,
            response=rule.response,
            timeout=rule.timeout,
            retry=rule.retry or _USUAL_RETRY,
            headers=rule.headers,
            rewrite=rule.rewrite,
            host=_host_for(called, rule.rewrite.authority if rule.rewrite else ""),
            fault=rule.fault,
            mirrors=tuple(Mirrored(cluster_name(m.callee, m.subset), m.percent) for m in rule.mirrors),
            cors=rule.cors,
            sticky=_sticky(view, to[0].upstream) if to else None,
        )


def _concerns(view: View, called: Called, match: RequestMatch) -> bool:
    """Whether a match is about this caller: what it says of sources is decided here, not by the proxy."""
    caller = view.service
    callee = called.callee
    written = callee.plain_port if isinstance(callee, External) else callee.port
    return (
        caller.has_labels(match.source_labels)
        and match.source_namespace in ("", caller.namespace)
        and (not match.gateways or MESH_GATEWAY in match.gateways)
        and match.port in (None, written)
    )


def _weighted(targets: tuple[Target, ...]) -> tuple[Weighted, ...]:
    """One destination ignores its weight; of several those with weight 0 get nothing."""
    if len(targets) == 1:
        return (Weighted(cluster_name(targets[0].callee, targets[0].subset), 1, targets[0].headers),)
    return tuple(Weighted(cluster_name(t.callee, t.subset), t.weight, t.headers) for t in targets if t.weight)


def _host_for(called: Called, rewritten: str) -> str:
    if rewritten:
        return rewritten
    return called.callee.host if isinstance(called.callee, External) else ""


def _sticky(view: View, upstream: str) -> Sticky | None:
    return next((each.policy.sticky for each in view.reached if each.name == upstream), None)
