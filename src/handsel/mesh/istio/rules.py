"""The rules of a VirtualService, word by word."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence

from handsel.documents.yaml import Path
from handsel.mesh.istio.reading import Found
from handsel.mesh.istio.resources import http_route as written
from handsel.mesh.istio.resources.common import Percent, StringMatch
from handsel.mesh.istio.resources.http_route import Destination, HttpMatch, HttpRoute
from handsel.mesh.istio.resources.virtual_service import TcpMatch, TcpRoute, TlsMatch, TlsRoute, VirtualService
from handsel.mesh.istio.services import pairs
from handsel.model.finding import Known
from handsel.model.routing import (
    UNCHANGED,
    Compare,
    ConnectionMatch,
    ConnectionRule,
    Cors,
    Fault,
    HeaderChange,
    Headers,
    HttpRule,
    Mirror,
    Named,
    Redirect,
    RequestMatch,
    Response,
    Retry,
    Rewrite,
    Target,
    Text,
)

USUAL_RETRY = Retry(2, ("connect-failure", "refused-stream", "unavailable", "cancelled", "503"))
"""Istio's, where nothing is said: the status of `retriable-status-codes` is 503."""

PSEUDO = ("uri", "scheme", "method", "authority")
"""Istio ignores these names of headers: there are fields for them."""
_DEFAULT_PORT = {"http": 80, "https": 443}

SetAside = tuple[Path, Known, str]
FindTarget = Callable[[Destination], str]
FullNames = Callable[[Sequence[str], str], tuple[str, ...]]


def http_rules(
    found: Found[VirtualService], routes: Sequence[HttpRoute], target: FindTarget, gateways: FullNames
) -> tuple[HttpRule, ...]:
    """The rules for requests."""
    return tuple(
        _http_rule(found, route, ("spec", "http", number), target, gateways) for number, route in enumerate(routes)
    )


def _http_rule(
    found: Found[VirtualService], route: HttpRoute, path: Path, target: FindTarget, gateways: FullNames
) -> HttpRule:
    sent = [(each.destination, each.weight, each.headers) for each in route.route]
    return HttpRule(
        matches=tuple(_match(each, gateways(each.gateways, found.namespace)) for each in route.match),
        to=tuple(_target(each, weight, target, len(sent), headers) for each, weight, headers in sent),
        redirect=_redirect(route.redirect) if route.redirect else None,
        response=_response(route.direct_response) if route.direct_response else None,
        timeout=route.timeout,
        retry=_retry(route.retries) if route.retries else USUAL_RETRY,
        headers=_headers(route.headers),
        rewrite=_rewrite(route.rewrite) if route.rewrite else None,
        fault=_fault(route.fault) if route.fault else None,
        mirrors=tuple(_mirrors(route, target)),
        cors=_cors(route.cors_policy) if route.cors_policy else None,
        name=route.name,
        origin=found.at(path),
    )


def _target(
    to: Destination, weight: int, target: FindTarget, number: int, headers: written.Headers | None = None
) -> Target:
    """The only destination ignores its weight."""
    share = weight if number > 1 else 1
    return Target(target(to), to.subset, share, _headers(headers))


def _match(said: HttpMatch, gateways: tuple[str, ...]) -> RequestMatch:
    return RequestMatch(
        path=_text(said.uri, ignore_case=said.ignore_uri_case) if said.uri else None,
        method=_text(said.method) if said.method else None,
        scheme=_text(said.scheme) if said.scheme else None,
        authority=_text(said.authority) if said.authority else None,
        headers=_named(said.headers),
        without_headers=_named(said.without_headers),
        query=_named(said.query_params, fold=False),
        port=said.port,
        source_labels=pairs(said.source_labels),
        source_namespace=said.source_namespace,
        gateways=gateways,
        name=said.name,
        stat_prefix=said.stat_prefix,
    )


def _text(said: StringMatch, *, ignore_case: bool = False) -> Text:
    """Istio ignores the case of exact paths and prefixes only."""
    if said.exact is not None:
        return Text(Compare.EXACT, said.exact, ignore_case)
    if said.prefix is not None:
        return Text(Compare.PREFIX, said.prefix, ignore_case)
    return Text(Compare.REGEX, said.regex) if said.regex is not None else Text(Compare.PRESENT)


def _named(said: Mapping[str, StringMatch], *, fold: bool = True) -> Named:
    """By name; names of headers have no case (RFC 9110, section 5.1)."""
    folded = {name.lower() if fold else name: _text(match) for name, match in said.items()}
    return tuple(sorted(((name, text) for name, text in folded.items() if not (fold and name in PSEUDO)), key=_first))


def _first(pair: tuple[str, Text]) -> str:
    return pair[0]


def _retry(said: written.Retries) -> Retry:
    """`attempts: 0` turns them off."""
    if not said.attempts:
        return Retry(0, ())
    words = [each.strip() for each in said.retry_on.split(",")]
    on = tuple(each for each in words if each and each != "retriable-status-codes")
    if "retriable-status-codes" in words and not any(each.isdigit() for each in on):
        on = (*on, "503")
    other_hosts = said.retry_ignore_previous_hosts
    return Retry(
        said.attempts,
        on or USUAL_RETRY.on,
        said.per_try_timeout or None,
        said.backoff,
        True if other_hosts is None else other_hosts,
    )


def _headers(said: written.Headers | None) -> Headers:
    return Headers(_change(said.request), _change(said.response)) if said else UNCHANGED


def _change(said: written.HeaderOperations | None) -> HeaderChange:
    if said is None:
        return HeaderChange()
    return HeaderChange(tuple(said.set.items()), tuple(said.add.items()), tuple(said.remove))


def _rewrite(said: written.Rewrite) -> Rewrite:
    regex = said.uri_regex_rewrite
    return Rewrite(said.uri, said.authority, regex.match if regex else "", regex.rewrite if regex else "")


def _redirect(said: written.Redirect) -> Redirect:
    port = said.port or 0
    if said.derive_port == "FROM_PROTOCOL_DEFAULT":
        port = _DEFAULT_PORT.get(said.scheme, 0)
    return Redirect(
        said.uri or said.uri_prefix, said.authority, said.scheme, port, said.redirect_code, bool(said.uri_prefix)
    )


def _response(said: written.DirectResponse) -> Response:
    body = said.body
    if body is None:
        return Response(said.status)
    if body.bytes is not None:
        try:
            return Response(said.status, base64.b64decode(body.bytes, validate=True).decode())
        except (binascii.Error, ValueError):
            return Response(said.status, body.string or "")
    return Response(said.status, body.string or "")


def _fault(said: written.FaultInjection) -> Fault:
    delay, abort = said.delay, said.abort
    percent = _percent(delay.percentage, delay.percent) if delay else 0.0
    return Fault(
        delay=delay.fixed_delay if delay else None,
        delay_percent=percent if delay and delay.fixed_delay else 0.0,
        abort_status=(abort.http_status or 0) if abort else 0,
        abort_grpc=(abort.grpc_status or "") if abort else "",
        abort_percent=_percent(abort.percentage, None) if abort else 0.0,
    )


def _percent(said: Percent | None, old: int | None) -> float:
    """All, where nothing is said."""
    if said is not None:
        return float(said.value)
    return float(old) if old is not None else 100.0


def _mirrors(route: HttpRoute, target: FindTarget) -> list[Mirror]:
    if route.mirror:
        percent = _percent(route.mirror_percentage, route.mirror_percent)
        return [Mirror(target(route.mirror), route.mirror.subset, percent)]
    return [
        Mirror(target(each.destination), each.destination.subset, _percent(each.percentage, None))
        for each in route.mirrors
    ]


def _cors(said: written.CorsPolicy) -> Cors:
    exact = tuple(Text(Compare.REGEX, ".*") if each == "*" else Text(Compare.EXACT, each) for each in said.allow_origin)
    return Cors(
        (*(_text(each) for each in said.allow_origins), *exact),
        tuple(said.allow_methods),
        tuple(said.allow_headers),
        tuple(said.expose_headers),
        said.max_age,
        said.allow_credentials,
        said.unmatched_preflights != "IGNORE",
    )


# Connections


def connection_rules(
    found: Found[VirtualService],
    routes: Sequence[TlsRoute | TcpRoute],
    kind: str,
    target: FindTarget,
    gateways: FullNames,
) -> tuple[ConnectionRule, ...]:
    """The rules for connections."""
    return tuple(
        ConnectionRule(
            tuple(_connection(each, gateways(each.gateways, found.namespace)) for each in route.match),
            tuple(_target(each.destination, each.weight, target, len(route.route)) for each in route.route),
            found.at(("spec", kind, number)),
        )
        for number, route in enumerate(routes)
    )


def _connection(said: TlsMatch | TcpMatch, gateways: tuple[str, ...]) -> ConnectionMatch:
    names = tuple(said.sni_hosts) if isinstance(said, TlsMatch) else ()
    source = said.source_subnet if isinstance(said, TcpMatch) else None
    return ConnectionMatch(
        names,
        tuple(said.destination_subnets),
        (source,) if source else (),
        said.port,
        pairs(said.source_labels),
        said.source_namespace,
        gateways,
    )
