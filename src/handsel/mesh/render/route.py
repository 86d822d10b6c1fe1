"""Routes (a RouteConfiguration): which requests go where, as the plan has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from handsel.mesh.ir import Outbound, Route, Weighted
from handsel.mesh.render import words
from handsel.model.routing import Compare, HeaderChange, RequestMatch, Retry, Text

_PLAIN_ONLY = {"name": ":scheme", "stringMatch": {"exact": "http"}}
_REFUSAL = "handsel: this destination is not among the service's calls\n"


def outbound(callee: Outbound) -> dict[str, Any]:
    """What is reached by the loopback port of a callee, whatever Host the program writes."""
    return _configuration(words.outbound(callee.callee), [_virtual_host(callee.callee, ["*"], callee.routes)])


def proxy(outbounds: Iterable[Outbound]) -> dict[str, Any]:
    """What is reached by name, as `http_proxy` makes clients write it; anything else is refused."""
    hosts = [
        _virtual_host(each.callee, _domains(each), each.routes, plain_only=True) for each in outbounds if each.via_proxy
    ]
    refusal = {"match": {"prefix": "/"}, "directResponse": {"status": 403, "body": {"inlineString": _REFUSAL}}}
    configuration = _configuration(words.PROXY, [*hosts, {"name": "refused", "domains": ["*"], "routes": [refusal]}])
    # Credentials for the proxy end at the proxy.
    return {**configuration, "requestHeadersToRemove": ["proxy-authorization"]}


def _configuration(name: str, hosts: list[dict[str, Any]]) -> dict[str, Any]:
    # A callee whose secrets are not there yet has no cluster: its requests get 503, the others go on.
    return {"name": name, "virtualHosts": hosts, "validateClusters": False}


def _virtual_host(
    name: str, domains: list[str], routes: Iterable[Route], *, plain_only: bool = False
) -> dict[str, Any]:
    made = [each for route in routes for each in _routes(route, plain_only=plain_only)]
    return {"name": name, "domains": domains, "routes": made}


def _domains(outbound: Outbound) -> list[str]:
    """The Host headers that mean this callee: clients leave port 80 out, and no other."""
    with_port = [f"{host}:{outbound.host_port}" for host in outbound.hosts]
    return [*outbound.hosts, *with_port] if outbound.host_port == 80 else with_port


def _routes(route: Route, *, plain_only: bool) -> list[dict[str, Any]]:
    """One of Envoy's routes for each match: it knows no "or"."""
    made = []
    for match in route.matches or (RequestMatch(),):
        one: dict[str, Any] = {"match": _match(match, plain_only=plain_only)}
        if route.name or match.name:
            one["name"] = ".".join(each for each in (route.name, match.name) if each)
        made.append(one | _action(route))
    return made


def _match(match: RequestMatch, *, plain_only: bool) -> dict[str, Any]:
    made = _path(match.path)
    pseudo = ((":method", match.method), (":scheme", match.scheme), (":authority", match.authority))
    headers = [_header(name, text) for name, text in pseudo if text]
    headers += [_header(name, text) for name, text in match.headers]
    headers += [{**_header(name, text), "invertMatch": True} for name, text in match.without_headers]
    if plain_only and not match.scheme:
        headers.append(_PLAIN_ONLY)
    if headers:
        made["headers"] = headers
    if match.query:
        made["queryParameters"] = [_parameter(name, text) for name, text in match.query]
    return made


def _path(text: Text | None) -> dict[str, Any]:
    if text is None or text.compare is Compare.PRESENT:
        return {"prefix": "/"}
    made: dict[str, Any] = {"caseSensitive": False} if text.ignore_case else {}
    if text.compare is Compare.REGEX:
        return {**made, "safeRegex": {"regex": text.value}}
    key = {Compare.EXACT: "path", Compare.PREFIX: "prefix", Compare.SUBPATH: "pathSeparatedPrefix"}[text.compare]
    return {**made, key: text.value}


def _header(name: str, text: Text) -> dict[str, Any]:
    if text.compare is Compare.PRESENT:
        return {"name": name, "presentMatch": True}
    return {"name": name, "stringMatch": string_match(text)}


def _parameter(name: str, text: Text) -> dict[str, Any]:
    if text.compare is Compare.PRESENT:
        return {"name": name, "presentMatch": True}
    return {"name": name, "stringMatch": string_match(text)}


def string_match(text: Text) -> dict[str, Any]:
    """A StringMatcher."""
    if text.compare is Compare.REGEX:
        return {"safeRegex": {"regex": text.value}}
    key = "exact" if text.compare is Compare.EXACT else "prefix"
    return {key: text.value, **({"ignoreCase": True} if text.ignore_case else {})}


def _action(route: Route) -> dict[str, Any]:
    if route.response is not None:
        body = {"body": {"inlineString": route.response.body}} if route.response.body else {}
        return {"directResponse": {"status": route.response.status, **body}}
    action: dict[str, Any] = {
        **_clusters(route.to),
        "timeout": words.seconds(route.timeout) if route.timeout else "0s",
    }
    if route.retry is not None and route.retry.attempts:
        action["retryPolicy"] = _retry(route.retry)
    if route.host:
        action["hostRewriteLiteral"] = route.host
    return {
        "route": action,
        **_headers("request", route.headers.request),
        **_headers("response", route.headers.response),
    }


def _clusters(to: tuple[Weighted, ...]) -> dict[str, Any]:
    if len(to) == 1:
        return {"cluster": to[0].upstream}
    return {"weightedClusters": {"clusters": [{"name": each.upstream, "weight": each.weight} for each in to]}}


def _retry(retry: Retry) -> dict[str, Any]:
    made: dict[str, Any] = {"retryOn": ",".join(retry.on), "numRetries": retry.attempts}
    if retry.per_try_timeout is not None:
        made["perTryTimeout"] = words.seconds(retry.per_try_timeout)
    return made


def _headers(of: str, change: HeaderChange) -> dict[str, Any]:
    made: dict[str, Any] = {}
    said = [({"key": name, "value": value}, "OVERWRITE_IF_EXISTS_OR_ADD") for name, value in change.set]
    said += [({"key": name, "value": value}, "APPEND_IF_EXISTS_OR_ADD") for name, value in change.add]
    if said:
        made[f"{of}HeadersToAdd"] = [{"header": header, "appendAction": action} for header, action in said]
    if change.remove:
        made[f"{of}HeadersToRemove"] = list(change.remove)
    return made
