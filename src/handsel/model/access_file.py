"""Modes, `allow:`, `deny:` and `tokens:` in the mesh file: who may reach what."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import import_key
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from handsel.documents.yaml import Path
from handsel.model.access import HEADER, Mode, condition_fault, pattern_fault
from handsel.model.durations import Duration
from handsel.model.faults import Port, Strict, did_you_mean, short
from handsel.pki.names import SpiffeId

MAXIMUM_JWKS_BYTES = 256 << 10


def block(text: str) -> str:
    """A block of addresses in the one way of writing it. Raises `ValueError`."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{short(text)} is no IP address and no block such as 10.0.0.0/8") from None


def _pattern(text: str) -> str:
    fault = pattern_fault(text)
    if fault:
        raise ValueError(fault)
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Block = Annotated[str, AfterValidator(block)]
Pattern = Annotated[str, AfterValidator(_pattern)]
OneOrMore = Annotated[list[Pattern], BeforeValidator(_listed)]


class ConditionFile(Strict):
    """One more condition of a rule: an attribute and its values, as Istio's `when` has them."""

    key: str = Field(description="Such as `request.headers[x-team]`, `request.auth.claims[role]`, `source.ip`.")
    values: list[str] = Field([], description="One of these must fit.")
    not_values: list[str] = Field([], description="None of these may fit.")


class AccessRuleFile(Strict):
    """A rule: everything in it must fit. A `*` stands for anything at the start or the end of a text, or alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: list[Pattern] = Field([], alias="from", description="Who calls: services by name, or principals "
                                 "(`shop.internal/ns/default/sa/web`). In `allow` without it: whoever has it in its "
                                 "calls.")  # fmt: skip
    not_from: list[Pattern] = Field([], description="Who does not, likewise.")
    namespaces: list[Pattern] = Field([], description="The namespaces of callers.")
    not_namespaces: list[Pattern] = Field([], description="Namespaces that callers are not of.")
    ip_blocks: list[Block] = Field([], description="From where, as addresses or blocks (10.0.0.0/8).")
    not_ip_blocks: list[Block] = Field([], description="From where not.")
    methods: list[Pattern] = Field([], description="Methods of requests.")
    not_methods: list[Pattern] = Field([], description="Methods that do not fit.")
    paths: list[Pattern] = Field([], description="Paths of requests, without the query; `{*}` is one segment.")
    not_paths: list[Pattern] = Field([], description="Paths that do not fit.")
    hosts: list[Pattern] = Field([], description="Host headers.")
    not_hosts: list[Pattern] = Field([], description="Host headers that do not fit.")
    ports: list[Port] = Field([], description="Ports at which the program listens.")
    not_ports: list[Port] = Field([], description="Ports that do not fit.")
    claims: dict[str, OneOrMore] = Field({}, description="Claims of the request's token, by name: a text or several.")
    not_claims: dict[str, OneOrMore] = Field({}, description="Claims that do not fit.")
    token_principals: list[Pattern] = Field([], description="`issuer/subject` of the token; `*`: any valid token.")
    not_token_principals: list[Pattern] = Field([], description="Those that do not fit; `*`: no token.")
    headers: dict[str, OneOrMore] = Field({}, description="Request headers, by name: a text or several.")
    not_headers: dict[str, OneOrMore] = Field({}, description="Request headers that do not fit.")
    when: list[ConditionFile] = Field([], description="More conditions.")


class TokenFile(Strict):
    """Tokens of one issuer (JWT) that requests may bring: of it, only valid ones get through."""

    issuer: str = Field(description="The `iss` of its tokens.")
    audiences: list[str] = Field([], description="One of these must be the token's `aud`. Any when left out.")
    jwks: str = Field("", description="Its keys, as a JSON Web Key Set (RFC 7517).")
    jwks_uri: str = Field("", description="Where its keys are fetched by the proxy: https, by a name of `external` "
                          "with its CA, or with the operating system's roots.")  # fmt: skip
    headers: dict[str, str] = Field({}, description="Headers with the token, and what stands before it there. "
                                    "`Authorization: Bearer` when nothing is said.")  # fmt: skip
    parameters: list[str] = Field([], description="Query parameters with the token.")
    cookies: list[str] = Field([], description="Cookies with the token.")
    payload_header: str = Field("", description="A header in which the program gets the claims, base64url.")
    claim_headers: dict[str, str] = Field({}, description="Headers in which the program gets single claims, by header.")
    forward: bool = Field(False, description="True: the program gets the token too.")
    timeout: Duration | None = Field(None, description="How long fetching the keys may take. 5s when left out.")
    space_delimited_claims: list[str] = Field(
        [], description="Claims that are lists written with spaces, beside scope."
    )


class AccessOfService(Strict):
    """What a service says of access to it."""

    mode: Mode | None = Field(
        None, description="What its ports take: `strict`, `permissive` (plaintext too), `disable`."
    )
    allow: list[AccessRuleFile] | None = Field(
        None, description="Who may do what, in place of `calls` allowing everything. `[]`: nobody anything."
    )
    deny: list[AccessRuleFile] = Field([], description="What is refused, whoever is allowed.")
    tokens: list[TokenFile] = Field([], description="The issuers of tokens whose requests it takes.")


def access_faults(
    content: AccessOfService, known: Mapping[str, SpiffeId], *, has_inbound: bool
) -> Iterator[tuple[Path, str]]:
    """What is wrong with what a service says of access, each with its path below it. `known`: services."""
    for key in ("mode", "allow", "deny", "tokens"):
        if not has_inbound and getattr(content, key):
            yield (key,), "no proxy takes its calls, so that nobody is asked"
    for key, rules in (("allow", content.allow or []), ("deny", content.deny)):
        for index, rule in enumerate(rules):
            for path, message in _rule_faults(rule, known):
                yield (key, index, *path), message
    issuers: set[str] = set()
    for index, token in enumerate(content.tokens):
        if token.issuer in issuers:
            yield ("tokens", index, "issuer"), "this issuer is there twice"
        issuers.add(token.issuer)
        for path, message in _token_faults(token):
            yield ("tokens", index, *path), message


def _rule_faults(rule: AccessRuleFile, known: Mapping[str, SpiffeId]) -> Iterator[tuple[Path, str]]:
    for key, names in (("from", rule.from_), ("not_from", rule.not_from)):
        for index, name in enumerate(names):
            if "/" not in name and "*" not in name and name not in known:
                hint = did_you_mean(name, known)
                yield (key, index), f"there is no service {name!r}{hint and ', '}{hint}"
    for key, headers in (("headers", rule.headers), ("not_headers", rule.not_headers)):
        for name in headers:
            if not HEADER.fullmatch(name):
                yield (key, name), "is no name of a header"
    for index, when in enumerate(rule.when):
        values = (*when.values, *when.not_values)
        fault = condition_fault(when.key, values) or next((f for f in map(pattern_fault, values) if f), "")
        if fault:
            yield ("when", index), fault


def _token_faults(token: TokenFile) -> Iterator[tuple[Path, str]]:
    if bool(token.jwks) == bool(token.jwks_uri):
        yield (), "say either jwks or jwks_uri"
    for name in (*token.headers, *token.claim_headers, *([token.payload_header] if token.payload_header else [])):
        if not HEADER.fullmatch(name):
            yield (), f"{short(name)} is no name of a header"
    fault = jwks_fault(token.jwks) if token.jwks else uri_fault(token.jwks_uri) if token.jwks_uri else ""
    if fault:
        yield ("jwks" if token.jwks else "jwks_uri",), fault


def jwks_fault(text: str) -> str:
    """What is wrong with a JSON Web Key Set."""
    if len(text) > MAXIMUM_JWKS_BYTES:
        return f"a key set has at most {MAXIMUM_JWKS_BYTES >> 10} KiB"
    try:
        keys = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "is no JSON Web Key Set: JSON with `keys`"
    if not isinstance(keys, list) or not all(isinstance(each, dict) and "kty" in each for each in keys):
        return "each of its keys has a `kty`"
    if any("d" in each or each["kty"] == "oct" for each in keys):
        return "has private keys: only public ones belong here"
    if not keys:
        return "has no key: then no token could be checked"
    unread = [number for number, each in enumerate(keys) if not _is_key(each)]
    return f"its key {unread[0] + 1} is none of RSA, EC or OKP (RFC 7518, section 6)" if unread else ""


def _is_key(said: dict[str, Any]) -> bool:
    try:
        import_key(said)
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return True


def uri_fault(text: str) -> str:
    """What is wrong with a place of keys."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return f"{short(text)} is no URI"
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        return f"{short(text)} is no https URI"
    return ""
