"""Whether a call fits a rule, as far as the call is known.

An answer is yes, no, or None: that hangs on what is not known. So the same rules decide about whole connections before
there is any request, and about a request that a person describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from handsel.mesh.access import values
from handsel.mesh.ir import Access
from handsel.model.access import Condition, Operation, Rule, Source
from handsel.pki.names import SpiffeId

Truth = bool | None


class _Lacking(Enum):
    """Why an attribute has no value."""

    UNKNOWN = "not known yet"
    UNSAYABLE = "a connection that is not looked into has no such thing"


_Attribute = tuple[str, ...] | _Lacking
"""The values that a call has; none where it has no such thing."""


@dataclass(frozen=True)
class Request:
    """A request. Header names are in lower case; `token`: the claims of its valid token; `remote`: whom it is from
    by the headers of proxies."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    token: Mapping[str, Any] | None = None
    remote: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of a call. `identity` None: there is none, since the connection is plaintext.

    `within`: whether its address is in a block, None: not known. `http` False: requests are not seen at this port.
    `request`, `server_name` None: not known.
    """

    identity: SpiffeId | None
    http: bool
    within: Callable[[str], bool] | None = None
    request: Request | None = None
    server_name: str | None = None


@dataclass(frozen=True)
class Decision:
    """Whether a call is allowed, and the rule that says so: empty where none fits."""

    allowed: Truth
    rule: str = ""


def decide(access: Access, facts: Facts) -> Decision:
    """DENY is asked first; then one ALLOW is enough; where nothing is said about callers, what is left gets through."""
    denied: Truth = False
    for name, rule in access.deny:
        fit = rule_fits(rule, facts, narrows=True)
        if fit:
            return Decision(False, name)
        denied = None if fit is None else denied
    allowed = _allowed(access, facts)
    if denied is None and allowed.allowed is not False:
        return Decision(None)
    return allowed


def _allowed(access: Access, facts: Facts) -> Decision:
    if access.allow is None and access.calls is None:
        return Decision(True)
    if facts.identity is not None and facts.identity in (access.calls or ()):
        return Decision(True, "calls")
    answer: Truth = False
    for name, rule in access.allow or ():
        fit = rule_fits(rule, facts)
        if fit:
            return Decision(True, name)
        answer = None if fit is None else answer
    return Decision(answer)


def rule_fits(rule: Rule, facts: Facts, *, narrows: bool = False) -> Truth:
    """Whether a call fits a rule. `narrows`: a rule that denies, in which what cannot be asked counts as fitting."""
    sources = _any(_source(each, facts, narrows) for each in rule.sources) if rule.sources else True
    operations = _any(_operation(each, facts, narrows) for each in rule.operations) if rule.operations else True
    return _all((sources, operations, *(_condition(each, facts, narrows) for each in rule.conditions)))


def _source(said: Source, facts: Facts, narrows: bool) -> Truth:
    identity, request = facts.identity, facts.request
    name = values.principal(identity) if identity else ""
    checks = (
        _named(said.principals, said.not_principals, name, shown=values.without_scheme),
        _named(said.namespaces, said.not_namespaces, values.namespace(identity) if identity else ""),
        _named(said.service_accounts, said.not_service_accounts, values.service_account(identity) if identity else ""),
        _named(said.trust_domains, said.not_trust_domains, str(identity.trust_domain) if identity else ""),
        _asked(said.request_principals, said.not_request_principals, _request_principal(facts, request), narrows),
        _from(said.ip_blocks, said.not_ip_blocks, facts.within),
        _from(said.remote_ip_blocks, said.not_remote_ip_blocks, _remote(facts)),
    )
    return _all(checks)


def _operation(said: Operation, facts: Facts, narrows: bool) -> Truth:
    request = facts.request
    checks = (
        _asked(said.methods, said.not_methods, _of(facts, request.method if request else None), narrows),
        _asked(said.hosts, said.not_hosts, _of(facts, request.host if request else None), narrows, values.host_fits),
        _asked(said.paths, said.not_paths, _of(facts, request.path if request else None), narrows, values.path_fits),
    )
    return _all(checks)  # ports are settled before: see `policies.settled`


def _condition(said: Condition, facts: Facts, narrows: bool) -> Truth:  # noqa: PLR0911  # one line an attribute
    key, yes, no = said.key, said.values, said.not_values
    identity, request = facts.identity, facts.request
    if key == "source.ip":
        return _from(yes, no, facts.within)
    if key == "remote.ip":
        return _from(yes, no, _remote(facts))
    if key == "source.namespace":
        return _named(yes, no, values.namespace(identity) if identity else "")
    if key == "source.serviceAccount":
        return _named(yes, no, values.service_account(identity) if identity else "")
    if key == "source.principal":
        return _named(yes, no, values.principal(identity) if identity else "", shown=values.without_scheme)
    if key == "connection.sni":
        known = facts.server_name
        return _asked(yes, no, _Lacking.UNKNOWN if known is None else (known,), narrows)
    return _asked(yes, no, _of_request(key, facts, request), narrows)


def _of_request(key: str, facts: Facts, request: Request | None) -> _Attribute:
    """An attribute of a request or of its token, by the key of a condition."""
    if not facts.http or request is None:
        return _of(facts, None)
    path = values.entries(key)
    if key.startswith("request.headers["):
        found = request.headers.get(path[0].lower())
        return () if found is None else (found,)
    if key == "request.auth.principal":
        return _request_principal(facts, request)
    claims = {"request.auth.audiences": ("aud",), "request.auth.presenter": ("azp",)}
    return values.claim(request.token or {}, claims.get(key, path))


def _request_principal(facts: Facts, request: Request | None) -> _Attribute:
    if not facts.http or request is None:
        return _of(facts, None)
    token = request.token or {}
    return (f"{token['iss']}/{token['sub']}",) if "iss" in token and "sub" in token else ()


def _of(facts: Facts, value: str | None) -> _Attribute:
    if not facts.http:
        return _Lacking.UNSAYABLE
    return _Lacking.UNKNOWN if value is None else (value,)


def _remote(facts: Facts) -> Callable[[str], bool] | None:
    if not facts.http:
        return facts.within
    request = facts.request
    return (lambda block: values.block_has(block, request.remote)) if request and request.remote else None


def _named(
    yes: tuple[str, ...], no: tuple[str, ...], value: str, shown: Callable[[str], str] = lambda pattern: pattern
) -> bool:
    def one_of(patterns: tuple[str, ...]) -> bool:
        return any(values.fits(shown(each), value) for each in patterns) if value else False

    return (not yes or one_of(yes)) and not one_of(no)


def _from(yes: tuple[str, ...], no: tuple[str, ...], within: Callable[[str], bool] | None) -> Truth:
    if not yes and not no:
        return True
    if within is None:
        return None
    return (not yes or any(within(each) for each in yes)) and not any(within(each) for each in no)


def _asked(
    yes: tuple[str, ...],
    no: tuple[str, ...],
    found: _Attribute,
    narrows: bool,
    fits: Callable[[str, str], bool] = values.fits,
) -> Truth:
    if not yes and not no:
        return True
    if found is _Lacking.UNSAYABLE:
        return narrows
    if isinstance(found, _Lacking):
        return None

    def one_of(patterns: tuple[str, ...]) -> bool:
        return any(fits(pattern, value) for pattern in patterns for value in found)

    return (not yes or one_of(yes)) and not one_of(no)


def _all(truths: Iterable[Truth]) -> Truth:
    answer: Truth = True
    for truth in truths:
        if truth is False:
            return False
        answer = None if truth is None else answer
    return answer


def _any(truths: Iterable[Truth]) -> Truth:
    answer: Truth = False
    for truth in truths:
        if truth:
            return True
        answer = None if truth is None else answer
    return answer
