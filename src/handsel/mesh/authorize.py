"""Whether a described call is allowed, and what says so: what the proxies would answer, without asking any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from handsel.errors import UsageError
from handsel.mesh.access.decide import Facts, Request, decide
from handsel.mesh.access.paths import asks_for_paths, normalised
from handsel.mesh.access.plan import admit
from handsel.mesh.access.values import block_has
from handsel.mesh.entrance import Entrances
from handsel.mesh.ir import Access
from handsel.model.access import Mode, TokenIssuer
from handsel.model.faults import did_you_mean
from handsel.model.gateway import Role
from handsel.model.graph import Group, Mesh, Service, ServicePort
from handsel.model.origin import NOWHERE, Origin

_SPACE_DELIMITED = ("scope", "permission")


@dataclass(frozen=True)
class Call:
    """A call of a service to another. `caller` empty: a program outside the mesh, in plaintext.

    `port` 0: the main one. `address`: of the caller. `claims`: those of the token that it brings; None: none.
    """

    caller: str
    callee: str
    port: int = 0
    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, Any] | None = None
    address: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a call gets through, the rule that says so (empty: none fits), where it stands, and why in words."""

    allowed: bool
    rule: str
    why: str
    origin: Origin = NOWHERE


def authorize(mesh: Mesh, call: Call) -> Verdict:
    """The verdict about a call. Raises `UsageError` for names and ports that there are not."""
    caller = _member(mesh, call.caller) if call.caller else None
    entrances = Entrances(mesh)
    found = [_at(entrances, caller, service, port, call) for service, port in _behind(mesh, call)]
    return next((each for each in found if not each.allowed), found[0])


def _at(entrances: Entrances, caller: Service | None, service: Service, port: ServicePort, call: Call) -> Verdict:
    if caller is not None and caller.name not in {each.name for each in entrances.callers(service)}:
        why = f"{caller.name} does not name {call.callee} in its calls, so its proxy does not lead there"
        return Verdict(False, "calls", why, caller.origin)
    question = entrances.question(service, port)
    plaintext = caller is None or question.mode is Mode.DISABLE
    if plaintext and question.mode is Mode.STRICT:
        return Verdict(False, "mode", f"port {port.number} of {service.name} takes mutual TLS only (strict)")
    if admit(question).closed:
        why = f"what is asked at the TCP port {port.number} hangs on more than its connection"
        return Verdict(False, "closed", why)
    if plaintext:
        return _decided(question.plain, None, call, http=question.http)
    return _decided(question.secured, caller, call, http=question.http)


def _decided(access: Access, caller: Service | None, call: Call, *, http: bool) -> Verdict:
    request = Request(call.method, call.path.partition("?")[0], call.host or call.callee, _lower(call.headers))
    if http and asks_for_paths(access):
        path = normalised(call.path)
        if path is None:
            return Verdict(
                False, "path", "the path hides a slash in %2F or %5C, which is refused where rules ask for it"
            )
        request = replace(request, path=path)
    if http and access.tokens and call.claims is not None:
        token = _token(access.tokens, call.claims)
        if token is None:
            return Verdict(False, "tokens", "no issuer that is known here has made this token for it")
        request = replace(request, token=token)
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    request = replace(request, remote=forwarded or call.address)
    within = (lambda block: block_has(block, call.address)) if call.address else None
    identity = caller.identity if caller else None
    decision = decide(access, Facts(identity, http, within, request, server_name=""))
    if decision.allowed is None:
        raise UsageError("this hangs on the caller's address", next_step="say it with --ip")
    return _said(access, decision.rule, allowed=decision.allowed, plaintext=caller is None)


def _said(access: Access, rule: str, *, allowed: bool, plaintext: bool) -> Verdict:
    origins = {name: each.origin for name, each in (*access.deny, *(access.allow or ()))}
    if rule == "calls":
        why = "it is named in the calls of its caller, and nothing more is asked"
    elif rule:
        why = f"{'allowed' if allowed else 'denied'} by {rule}"
    elif allowed and plaintext:
        why = "the port takes plaintext, from whoever reaches it, and no rule says otherwise"
    elif allowed:
        why = "nobody said who may call here, so whoever is of the mesh may"
    else:
        why = "no rule allows it"
    return Verdict(allowed, rule, why, origins.get(rule, NOWHERE))


def _token(issuers: tuple[TokenIssuer, ...], claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The claims as the proxy has them once the token was checked; None: it is refused."""
    issuer = claims.get("iss") or (issuers[0].issuer if len(issuers) == 1 else "")
    known = next((each for each in issuers if each.issuer == issuer), None)
    if known is None:
        return None
    audience = claims.get("aud", ())
    if known.audiences and not set(known.audiences) & set([audience] if isinstance(audience, str) else audience):
        return None
    delimited = {*_SPACE_DELIMITED, *known.space_delimited_claims}
    listed = {k: v.split() for k, v in claims.items() if k in delimited and isinstance(v, str)}
    return {**claims, "iss": issuer, **listed}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _behind(mesh: Mesh, call: Call) -> list[tuple[Service, ServicePort]]:
    callee = mesh.callee(call.callee)
    if isinstance(callee, Group):
        return [
            (mesh.members[name], _port(mesh.members[name], call.port or callee.target_port)) for name in callee.services
        ]
    service = _member(mesh, call.callee)
    if not service.role.has_inbound:
        kind = "an ambassador, which nobody calls" if service.role is Role.AMBASSADOR else "a gateway"
        raise UsageError(f"{call.callee} is {kind}", next_step="name a service that takes calls")
    return [(service, _port(service, call.port))]


def _member(mesh: Mesh, name: str) -> Service:
    if name not in mesh.members:
        hint = did_you_mean(name, mesh.members, known_here=True)
        raise UsageError(f"there is no service {name!r} in the mesh", next_step=hint)
    return mesh.members[name]


def _port(service: Service, number: int) -> ServicePort:
    main = ServicePort(service.port, service.protocol)
    if number in (0, service.port):
        return main
    for each in service.more_ports:
        if each.number == number:
            return each
    known = ", ".join(str(each.number) for each in (main, *service.more_ports) if each.number)
    raise UsageError(f"{service.name} has no port {number}", next_step=f"its ports: {known or 'one that is chosen'}")
