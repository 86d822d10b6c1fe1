"""Routes (a RouteConfiguration): which requests go where, as the plan has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from handsel.mesh.ir import Chain, Outbound, Route
from handsel.mesh.render import match, words
from handsel.mesh.render.action import action, longest_body
from handsel.model.routing import RequestMatch

_USUAL_BODY = 4096  # Envoy's limit, unless another one is said
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


def front(name: str, chain: Chain) -> dict[str, Any]:
    """What is reached through a chain of a front. HTTP/2 clients reuse connections for other hosts (RFC 9113, 9.1.1).

    Such a request gets 421 and comes again on a connection of its own, instead of past what the chain would ask.
    """
    hosts = [_virtual_host(each.name, list(each.hosts), each.routes) for each in chain.sites]
    taken = {host for each in chain.sites for host in each.hosts}
    others = ("*",) if chain.server_names else chain.elsewhere
    misdirected = [each for each in others if each not in taken]
    if misdirected:
        refusal = {"match": {"prefix": "/"}, "directResponse": {"status": 421}}
        hosts.append({"name": "misdirected", "domains": misdirected, "routes": [refusal]})
    return {**_configuration(name, hosts), "ignorePortInHostMatching": True}


def _configuration(name: str, hosts: list[dict[str, Any]]) -> dict[str, Any]:
    # A callee whose secrets are not there yet has no cluster: its requests get 503, the others go on.
    made: dict[str, Any] = {"name": name, "virtualHosts": hosts, "validateClusters": False}
    longest = max((longest_body(route) for host in hosts for route in host["routes"]), default=0)
    return {**made, "maxDirectResponseBodySizeBytes": longest} if longest > _USUAL_BODY else made


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
    for each in route.matches or (RequestMatch(),):
        one: dict[str, Any] = {"match": match.request(each, plain_only=plain_only)}
        if route.name or each.name:
            one["name"] = ".".join(name for name in (route.name, each.name) if name)
        made.append(one | action(route, each))
    return made
