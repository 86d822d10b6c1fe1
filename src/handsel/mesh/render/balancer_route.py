"""The load balancer's rules as Envoy's routes, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from handsel.mesh.balancer.names import fits
from handsel.mesh.balancing import Balancing, Forward, Site
from handsel.mesh.render import words
from handsel.mesh.render.action import OTHER_HOSTS
from handsel.mesh.render.balancer_filters import BODY_LIMIT

_NO_APPLICATION = "no application has this name\n"
# Only where the application has certainly not seen the request, and at another of its workers.
_RETRY = {
    "retryOn": "connect-failure,refused-stream,reset-before-request",
    "numRetries": 2,
    "retryHostPredicate": [OTHER_HOSTS],
    "hostSelectionRetryMaxAttempts": "5",
}
# What makes a request one for a WebSocket, to Envoy as well (RFC 6455, section 4.1).
_UPGRADE = [
    {"name": "upgrade", "stringMatch": {"exact": "websocket", "ignoreCase": True}},
    {"name": "connection", "stringMatch": {"contains": "upgrade", "ignoreCase": True}},
]


def configuration(name: str, site: Site, balancing: Balancing) -> dict[str, Any]:
    """The RouteConfiguration of a site. What no rule takes is answered with 404."""
    if site.redirect_port:
        hosts = [_virtual_host("*", [_redirect(site.redirect_port)])]
    else:
        hosts = [_virtual_host(each, _routes_at(each, site, balancing)) for each in _domains(site.forwards)]
    return {
        "name": name,
        "virtualHosts": hosts,
        "ignorePortInHostMatching": True,
        # An application whose secrets are not there yet has no cluster: its requests get 503, the others go on.
        "validateClusters": False,
    }


def _domains(forwards: Iterable[Forward]) -> list[str]:
    """Every host of which a rule says something of its own, and all others."""
    return [*sorted({host for each in forwards for host in each.hosts or ()}), "*"]


def _virtual_host(domain: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": domain, "domains": [domain], "routes": routes}


def _routes_at(domain: str, site: Site, balancing: Balancing) -> list[dict[str, Any]]:
    """The rules that hold at a host, in order; `*.x` stands for every host that is not named itself."""
    host = f"-{domain[1:]}" if domain.startswith("*") else domain
    here = [each for each in site.forwards if each.hosts is None or fits(each.hosts, host)]
    return [route for each in here for route in _routes(each, balancing)]


def _redirect(port: int) -> dict[str, Any]:
    where = {"portRedirect": port} if port != 443 else {}
    return {"match": {"prefix": "/"}, "redirect": {"httpsRedirect": True, **where}}


def _routes(forward: Forward, balancing: Balancing) -> list[dict[str, Any]]:
    match = _path(forward)
    plain = {"name": forward.name, "match": match, **_action(forward, balancing)}
    if not forward.websocket or not forward.upstream:
        return [plain]
    # A WebSocket is no body: it has no largest size. Requests at the same place have one.
    socket = {**plain, "match": {**match, "headers": _UPGRADE}}
    socket["route"] = {**plain["route"], "upgradeConfigs": [{"upgradeType": "websocket", "enabled": True}]}
    socket["typedPerFilterConfig"] = {
        BODY_LIMIT: {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
    }
    return [socket, plain]


def _path(forward: Forward) -> dict[str, Any]:
    literal = forward.path.literal
    if literal is None:
        return {"safeRegex": {"regex": forward.path.regex() + ("(?:/[ -~]*)?" if forward.whole else "[ -~]*")}}
    if forward.whole and not literal.endswith("/"):
        return {"pathSeparatedPrefix": literal}
    return {"prefix": literal}


def _action(forward: Forward, balancing: Balancing) -> dict[str, Any]:
    if not forward.upstream:
        return {"directResponse": {"status": 404, "body": {"inlineString": _NO_APPLICATION}}}
    limit = words.seconds(balancing.read_timeout)
    # Envoy's own limit would be 15 s.
    return {
        "route": {
            "cluster": forward.upstream,
            "timeout": limit,
            "idleTimeout": limit,
            "retryPolicy": _RETRY,
            **_rewrite(forward),
        }
    }


def _rewrite(forward: Forward) -> dict[str, Any]:
    literal = forward.path.literal
    if literal == forward.app_uri:
        return {}
    if literal is not None and not forward.eats_slash:
        return {"prefixRewrite": forward.app_uri}
    fitting = re.escape(literal) if literal is not None else forward.path.regex()
    pattern = f"^{fitting}/?" if forward.eats_slash else f"^{fitting}"
    return {"regexRewrite": {"pattern": {"regex": pattern}, "substitution": forward.app_uri}}
