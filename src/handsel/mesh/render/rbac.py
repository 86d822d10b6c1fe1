"""Who may do what, in the words of Envoy's RBAC filters."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from handsel.mesh.access import values
from handsel.mesh.ir import Access
from handsel.mesh.render.jwt import METADATA, PAYLOAD
from handsel.model.access import Condition, Operation, Rule, Source
from handsel.pki.names import SpiffeId

_HTTP = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
_NETWORK = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
_ANY = {"any": True}
_SCHEME = "spiffe://"
AUDIT_PREFIX = "audit_"
AUDITED_REQUEST = f"%DYNAMIC_METADATA(envoy.filters.http.rbac:{AUDIT_PREFIX}shadow_effective_policy_id)%"
"""The name of the rule of AUDIT that a request fits, in access logs."""
AUDITED_CONNECTION = f"%DYNAMIC_METADATA(envoy.filters.network.rbac:{AUDIT_PREFIX}shadow_effective_policy_id)%"

_Made = dict[str, Any]


def http(callers: tuple[SpiffeId, ...]) -> _Made:
    """The second line behind the check of names in the handshake."""
    return _http_filter("rbac", rules=of_callers(callers))


def network(callers: tuple[SpiffeId, ...], prefix: str) -> _Made:
    """The same for connections that are not looked into. `prefix`: of its statistics."""
    return _network_filter("rbac", prefix, rules=of_callers(callers))


def requests(access: Access) -> list[_Made]:
    """What is asked of each request: what is only noted, what is refused, what is allowed."""
    made = []
    if access.audit:
        shadow = {"shadowRules": _rules("ALLOW", access.audit), "shadowRulesStatPrefix": AUDIT_PREFIX}
        made.append(_http_filter("audit", **shadow))
    if access.deny:
        made.append(_http_filter("deny", rules=_rules("DENY", access.deny)))
    if access.allow is not None or access.calls is not None:
        allowed = of_callers(access.calls or ())
        allowed["policies"] |= _rules("ALLOW", access.allow or ())["policies"]
        made.append(_http_filter("rbac", rules=allowed))
    return made


def connections(access: Access, prefix: str) -> list[_Made]:
    """What is noted of each connection; who may connect was decided by the handshake."""
    if not access.audit:
        return []
    shadow = {"shadowRules": _rules("ALLOW", access.audit), "shadowRulesStatPrefix": AUDIT_PREFIX}
    return [_network_filter("audit", prefix, **shadow)]


def of_callers(callers: tuple[SpiffeId, ...]) -> _Made:
    """One policy a caller, so that its statistics count the edge."""
    return {
        "action": "ALLOW",
        "policies": {
            str(caller): {"permissions": [_ANY], "principals": [_authenticated({"exact": str(caller)})]}
            for caller in callers
        },
    }


def block(text: str) -> _Made:
    """A block of addresses (a CidrRange)."""
    network = ipaddress.ip_network(text, strict=False)
    return {"addressPrefix": str(network.network_address), "prefixLen": network.prefixlen}


def _http_filter(name: str, **content: Any) -> _Made:
    return {"name": _filter_name("http", name), "typedConfig": {"@type": _HTTP, **content}}


def _network_filter(name: str, prefix: str, **content: Any) -> _Made:
    typed = {"@type": _NETWORK, "statPrefix": f"{prefix}.", **content}
    return {"name": _filter_name("network", name), "typedConfig": typed}


def _filter_name(kind: str, name: str) -> str:
    return f"envoy.filters.{kind}.rbac" if name == "rbac" else f"handsel.{name}"


def _rules(action: str, rules: Iterable[tuple[str, Rule]]) -> _Made:
    return {"action": action, "policies": {name: _policy(rule) for name, rule in rules}}


def _policy(rule: Rule) -> _Made:
    names = [each for each in rule.conditions if each.key == "connection.sni"]
    others = [_condition(each) for each in rule.conditions if each.key != "connection.sni"]
    sources = [_all_ids([*_source(each), *others]) for each in rule.sources or (Source(),)]
    asked = [_sni(each) for each in names]
    operations = [_all_rules([*_operation(each), *asked]) for each in rule.operations or (Operation(),)]
    return {"permissions": operations, "principals": sources}


# Who


def _source(said: Source) -> list[_Made]:
    fields: list[tuple[tuple[str, ...], tuple[str, ...], Callable[[str], _Made]]] = [
        (said.principals, said.not_principals, _principal),
        (said.namespaces, said.not_namespaces, _namespace),
        (said.service_accounts, said.not_service_accounts, _service_account),
        (said.trust_domains, said.not_trust_domains, _trust_domain),
        (said.request_principals, said.not_request_principals, _request_principal),
        (said.ip_blocks, said.not_ip_blocks, _direct),
        (said.remote_ip_blocks, said.not_remote_ip_blocks, _remote),
    ]
    return [made for yes, no, one in fields for made in _listed(yes, no, one, "orIds", "ids", "notId")]


def _principal(pattern: str) -> _Made:
    text = values.without_scheme(pattern)
    if text == "*":
        return _authenticated({"prefix": _SCHEME})
    if text.startswith("*"):
        return _authenticated({"suffix": text[1:]})
    matcher = {"prefix": _SCHEME + text[:-1]} if text.endswith("*") else {"exact": _SCHEME + text}
    return _authenticated(matcher)


def _namespace(pattern: str) -> _Made:
    return _authenticated_as(f"[^/]+/ns/{_part(pattern)}/sa/[^/]+")


def _service_account(name: str) -> _Made:
    namespace, _, account = name.partition("/")
    return _authenticated_as(f"[^/]+/ns/{re.escape(namespace)}/sa/{re.escape(account)}")


def _trust_domain(pattern: str) -> _Made:
    return _authenticated_as(f"{_part(pattern)}/.*")


def _part(pattern: str) -> str:
    """A pattern that stands for a part between slashes, as a regular expression."""
    if pattern == "*":
        return "[^/]+"
    if pattern.startswith("*"):
        return "[^/]*" + re.escape(pattern[1:])
    return re.escape(pattern[:-1]) + "[^/]*" if pattern.endswith("*") else re.escape(pattern)


def _authenticated_as(expression: str) -> _Made:
    return _authenticated({"safeRegex": {"regex": f"{_SCHEME}{expression}"}})


def _authenticated(matcher: _Made) -> _Made:
    return {"authenticated": {"principalName": matcher}}


def _direct(text: str) -> _Made:
    return {"directRemoteIp": block(text)}


def _remote(text: str) -> _Made:
    return {"remoteIp": block(text)}


def _request_principal(pattern: str) -> _Made:
    """`issuer/subject` as one text, though a token has them apart: wherever a slash may be the one between them."""
    if pattern == "*":
        return _all_ids([_claim(("iss",), "*"), _claim(("sub",), "*")])
    suffix = pattern.startswith("*")
    prefix = pattern.endswith("*") and not suffix
    text = pattern[1:] if suffix else pattern.removesuffix("*")
    ways = []
    if prefix:
        ways.append(_all_ids([_claim(("iss",), pattern), _claim(("sub",), "*")]))
    if suffix:
        ways.append(_all_ids([_claim(("iss",), "*"), _claim(("sub",), pattern)]))
    for found in re.finditer("/", text):
        issuer = ("*" if suffix else "") + text[: found.start()]
        subject = text[found.end() :] + ("*" if prefix else "")
        ways.append(_all_ids([_claim(("iss",), issuer), _claim(("sub",), subject)]))
    return _any_of(ways, "orIds", "ids") if ways else {"notId": _ANY}


def _claim(path: tuple[str, ...], pattern: str) -> _Made:
    """A claim of the token that was checked: text, or a list of texts."""
    text = {"stringMatch": _string(pattern)}
    either = {"orMatch": {"valueMatchers": [text, {"listMatch": {"oneOf": text}}]}}
    keys = [{"key": key} for key in (PAYLOAD, *path)]
    return {"metadata": {"filter": METADATA, "path": keys, "value": either}}


def _condition(said: Condition) -> _Made:
    path = values.entries(said.key)
    by_key: dict[str, Callable[[str], _Made]] = {
        "source.ip": _direct,
        "remote.ip": _remote,
        "source.namespace": _namespace,
        "source.principal": _principal,
        "source.serviceAccount": _service_account,
        "request.auth.principal": _request_principal,
        "request.auth.audiences": lambda value: _claim(("aud",), value),
        "request.auth.presenter": lambda value: _claim(("azp",), value),
    }
    one = by_key.get(said.key)
    if one is None:
        is_header = said.key.startswith("request.headers[")
        one = (lambda value: _header(path[0], value)) if is_header else (lambda value: _claim(path, value))
    return _all_ids(_listed(said.values, said.not_values, one, "orIds", "ids", "notId"))


# What


def _operation(said: Operation) -> list[_Made]:
    fields: list[tuple[tuple[str, ...], tuple[str, ...], Callable[[str], _Made]]] = [
        (said.hosts, said.not_hosts, lambda value: _header(":authority", value, ignore_case=True)),
        (said.methods, said.not_methods, lambda value: _header(":method", value)),
        (said.paths, said.not_paths, _path),
    ]
    return [made for yes, no, one in fields for made in _listed(yes, no, one, "orRules", "rules", "notRule")]


def _path(pattern: str) -> _Made:
    matcher = {"safeRegex": {"regex": values.path_expression(pattern)}} if "{" in pattern else _string(pattern)
    return {"urlPath": {"path": matcher}}


def _header(name: str, pattern: str, *, ignore_case: bool = False) -> _Made:
    return {"header": {"name": name.lower(), "stringMatch": _string(pattern, ignore_case=ignore_case)}}


def _sni(said: Condition) -> _Made:
    def one(pattern: str) -> _Made:
        return {"requestedServerName": _string(pattern)}

    return _all_rules(_listed(said.values, said.not_values, one, "orRules", "rules", "notRule"))


def _string(pattern: str, *, ignore_case: bool = False) -> _Made:
    if pattern == "*":
        return {"safeRegex": {"regex": ".+"}}
    more = {"ignoreCase": True} if ignore_case else {}
    if pattern.startswith("*"):
        return {"suffix": pattern[1:], **more}
    return {"prefix": pattern[:-1], **more} if pattern.endswith("*") else {"exact": pattern, **more}


# And, or, not


def _listed(
    yes: tuple[str, ...], no: tuple[str, ...], one: Callable[[str], _Made], either: str, inner: str, negated: str
) -> list[_Made]:
    made = [_any_of([one(each) for each in yes], either, inner)] if yes else []
    if no:
        made.append({negated: _any_of([one(each) for each in no], either, inner)})
    return made


def _any_of(several: list[_Made], either: str, inner: str) -> _Made:
    return several[0] if len(several) == 1 else {either: {inner: several}}


def _all_ids(several: list[_Made]) -> _Made:
    return _joined(several, "andIds", "ids")


def _all_rules(several: list[_Made]) -> _Made:
    return _joined(several, "andRules", "rules")


def _joined(several: list[_Made], both: str, inner: str) -> _Made:
    if not several:
        return _ANY
    return several[0] if len(several) == 1 else {both: {inner: several}}
