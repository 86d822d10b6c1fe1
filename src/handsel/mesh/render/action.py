"""What happens with a request that a route takes, in Envoy's words."""

from __future__ import annotations

import re
from typing import Any

from handsel.mesh.ir import Route, Weighted
from handsel.mesh.render import match, words
from handsel.model.routing import UNCHANGED, Compare, Cors, Fault, HeaderChange, Redirect, RequestMatch, Retry
from handsel.model.traffic import HashOn, Sticky

FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"
_FAULT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
_CORS_TYPE = "type.googleapis.com/envoy.extensions.filters.http.cors.v3."
_CODES = {
    301: "MOVED_PERMANENTLY", 302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT", 308: "PERMANENT_REDIRECT",
}  # fmt: skip
_GRPC = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
OTHER_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}


def filters(routes: tuple[Route, ...]) -> list[dict[str, Any]]:
    """The HTTP filters that these routes need, before the router."""
    made = []
    if any(each.cors for each in routes):
        made.append({"name": CORS, "typedConfig": {"@type": f"{_CORS_TYPE}Cors"}})
    if any(each.fault for each in routes):
        made.append({"name": FAULT, "typedConfig": {"@type": _FAULT_TYPE}})
    return made


def action(route: Route, taken: RequestMatch) -> dict[str, Any]:
    """What an Envoy route says beside its condition, which is `taken`."""
    made = {**_per_filter(route), **_headers("request", route.headers.request)}
    made |= _headers("response", route.headers.response)
    if route.response is not None:
        body = {"body": {"inlineString": route.response.body}} if route.response.body else {}
        return {"directResponse": {"status": route.response.status, **body}, **made}
    if route.redirect is not None:
        return {"redirect": _redirect(route.redirect, taken), **made}
    return {"route": _forward(route, taken), **made}


def longest_body(made: dict[str, Any]) -> int:
    """The length in bytes of what an Envoy route answers by itself."""
    body: str = made.get("directResponse", {}).get("body", {}).get("inlineString", "")
    return len(body.encode())


def _forward(route: Route, taken: RequestMatch) -> dict[str, Any]:
    made: dict[str, Any] = {**_clusters(route.to), "timeout": words.seconds(route.timeout) if route.timeout else "0s"}
    if route.retry is not None and route.retry.attempts:
        made["retryPolicy"] = _retry(route.retry)
    if route.host:
        made["hostRewriteLiteral"] = route.host
    if route.rewrite is not None and route.rewrite.pattern:
        made["regexRewrite"] = _substitution(route.rewrite.pattern, route.rewrite.substitution)
    elif route.rewrite is not None and route.rewrite.path:
        made |= _new_path(route.rewrite.path, taken)
    if route.mirrors:
        made["requestMirrorPolicies"] = [
            {"cluster": each.upstream, "runtimeFraction": {"defaultValue": _percent(each.percent)}}
            for each in route.mirrors
        ]
    if route.sticky is not None:
        made["hashPolicy"] = [_hash(route.sticky)]
    return made


def _clusters(to: tuple[Weighted, ...]) -> dict[str, Any]:
    if len(to) == 1 and to[0].headers == UNCHANGED and not to[0].host:
        return {"cluster": to[0].upstream}
    return {"weightedClusters": {"clusters": [_weighted(each) for each in to]}}


def _weighted(each: Weighted) -> dict[str, Any]:
    host = {"hostRewriteLiteral": each.host} if each.host else {}
    return {
        "name": each.upstream,
        "weight": each.weight,
        **host,
        **_headers("request", each.headers.request),
        **_headers("response", each.headers.response),
    }


def _retry(retry: Retry) -> dict[str, Any]:
    codes = [int(each) for each in retry.on if each.isdecimal()]
    on = [each for each in retry.on if not each.isdecimal()]
    if codes and "retriable-status-codes" not in on:
        on.append("retriable-status-codes")
    made: dict[str, Any] = {"retryOn": ",".join(on), "numRetries": retry.attempts}
    if codes:
        made["retriableStatusCodes"] = codes
    if retry.per_try_timeout is not None:
        made["perTryTimeout"] = words.seconds(retry.per_try_timeout)
    if retry.backoff is not None:
        made["retryBackOff"] = {"baseInterval": words.seconds(retry.backoff)}
    if retry.other_hosts:
        made |= {"retryHostPredicate": [OTHER_HOSTS], "hostSelectionRetryMaxAttempts": "5"}
    return made


def _redirect(redirect: Redirect, taken: RequestMatch) -> dict[str, Any]:
    made: dict[str, Any] = {"responseCode": _CODES[redirect.code]}
    if redirect.path:
        made |= _new_path(redirect.path, taken) if redirect.prefix_only else {"pathRedirect": redirect.path}
    said = {"hostRedirect": redirect.authority, "schemeRedirect": redirect.scheme, "portRedirect": redirect.port}
    return made | {key: value for key, value in said.items() if value}


def _new_path(path: str, taken: RequestMatch) -> dict[str, Any]:
    """What takes the place of the path that was matched; what is below it stays, with one slash between them."""
    text = taken.path
    if text is None or text.compare is not Compare.SUBPATH:
        return {"prefixRewrite": path}
    base = text.value.rstrip("/")
    if base and not path.endswith("/"):
        return {"prefixRewrite": path}
    case = "(?i)" if text.ignore_case else ""
    new = path.rstrip("/").replace("\\", "\\\\") + "/"
    return {"regexRewrite": _substitution(f"{case}^{re.escape(base)}/?", new)}


def _substitution(pattern: str, substitution: str) -> dict[str, Any]:
    return {"pattern": {"regex": pattern}, "substitution": substitution}


def _hash(sticky: Sticky) -> dict[str, Any]:
    if sticky.on is HashOn.HEADER:
        return {"header": {"headerName": sticky.name}}
    if sticky.on is HashOn.QUERY:
        return {"queryParameter": {"name": sticky.name}}
    if sticky.on is HashOn.SOURCE_ADDRESS:
        return {"connectionProperties": {"sourceIp": True}}
    made = {"name": sticky.name, **({"path": sticky.path} if sticky.path else {})}
    return {"cookie": made if sticky.ttl is None else {**made, "ttl": words.seconds(sticky.ttl)}}


def _per_filter(route: Route) -> dict[str, Any]:
    made = {}
    if route.cors is not None:
        made[CORS] = _cors(route.cors)
    if route.fault is not None:
        made[FAULT] = _fault(route.fault)
    return {"typedPerFilterConfig": made} if made else {}


def _fault(fault: Fault) -> dict[str, Any]:
    made: dict[str, Any] = {"@type": _FAULT_TYPE}
    if fault.delay is not None and fault.delay_percent:
        made["delay"] = {"fixedDelay": words.seconds(fault.delay), "percentage": _percent(fault.delay_percent)}
    if fault.abort_percent and (fault.abort_status or fault.abort_grpc):
        how = {"grpcStatus": _grpc(fault.abort_grpc)} if fault.abort_grpc else {"httpStatus": fault.abort_status}
        made["abort"] = {**how, "percentage": _percent(fault.abort_percent)}
    return made


def _grpc(status: str) -> int:
    return int(status) if status.isdecimal() else _GRPC.index(status)


def _cors(cors: Cors) -> dict[str, Any]:
    made: dict[str, Any] = {"@type": f"{_CORS_TYPE}CorsPolicy"}
    made["allowOriginStringMatch"] = [match.string(each) for each in cors.origins]
    said = {"allowMethods": cors.methods, "allowHeaders": cors.headers, "exposeHeaders": cors.expose}
    made |= {key: ",".join(value) for key, value in said.items() if value}
    if cors.maximum_age is not None:
        made["maxAge"] = f"{cors.maximum_age.total_seconds():.0f}"
    if cors.credentials is not None:
        made["allowCredentials"] = cors.credentials
    return {**made, "forwardNotMatchingPreflights": cors.forward_unmatched}


def _percent(percent: float) -> dict[str, Any]:
    return {"numerator": round(percent * 10_000), "denominator": "MILLION"}


def _headers(of: str, change: HeaderChange) -> dict[str, Any]:
    made: dict[str, Any] = {}
    said = [({"key": name, "value": value}, "OVERWRITE_IF_EXISTS_OR_ADD") for name, value in change.set]
    said += [({"key": name, "value": value}, "APPEND_IF_EXISTS_OR_ADD") for name, value in change.add]
    if said:
        made[f"{of}HeadersToAdd"] = [{"header": header, "appendAction": action} for header, action in said]
    if change.remove:
        made[f"{of}HeadersToRemove"] = list(change.remove)
    return made
