"""`routes:` in the mesh file: rules for the requests to a callee, the first that fits counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.documents.yaml import Path
from handsel.model.faults import NAME, Strict, did_you_mean
from handsel.model.graph import Callee, External, Group, Protocol, Service
from handsel.model.matching_file import WhenFile
from handsel.model.origin import Origin
from handsel.model.route_parts_file import (
    CorsFile,
    FaultFile,
    HeadersFile,
    Limit,
    Percent,
    RedirectFile,
    ResponseFile,
    Retries,
    RewriteFile,
    within,
)
from handsel.model.routing import (
    Compare,
    ConnectionRule,
    HttpRule,
    Mirror,
    RequestMatch,
    Routes,
    Target,
    Text,
)

NAMESPACE = "default"


class ShareFile(Strict):
    """A share of the requests; a number alone is its weight."""

    weight: Annotated[int, Field(strict=True), within(0, 1_000_000)] = Field(1, description="Relative to the others.")
    headers: HeadersFile = Field(HeadersFile(), description="What becomes of headers on this way only.")


def _weight(value: Any) -> Any:
    return {"weight": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _one_target(value: Any) -> Any:
    return {value: {}} if isinstance(value, str) else value


def _mirrors(value: Any) -> Any:
    return {value: 100} if isinstance(value, str) else value


def _conditions(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _some_weight(shares: dict[str, ShareFile]) -> dict[str, ShareFile]:
    if not shares:
        raise ValueError("name at least one target")
    if len(shares) > 1 and not any(each.weight for each in shares.values()):
        raise ValueError("all weights are 0: nobody would get a request")
    return shares


Share = Annotated[ShareFile, BeforeValidator(_weight, json_schema_input_type=int | ShareFile)]
Shares = Annotated[
    dict[str, Share],
    BeforeValidator(_one_target, json_schema_input_type=str | dict[str, int | ShareFile]),
    AfterValidator(_some_weight),
]


class RouteRuleFile(Strict):
    """One rule: when it counts, and what happens then."""

    when: Annotated[list[WhenFile], BeforeValidator(_conditions, json_schema_input_type=WhenFile | list[WhenFile])] = (
        Field([], description="A condition, or several of which one must hold. Every request when left out.")
    )
    to: Shares | None = Field(None, description="Who gets it: a callee or `callee.subset`, or several with weights.")
    redirect: RedirectFile | None = Field(None, description="An answer with a new place.")
    response: ResponseFile | None = Field(None, description="An answer without asking anybody.")
    timeout: Limit | None = Field(None, description="How long the answer may take, attempts included; 0s is no limit.")
    retries: Retries | None = Field(None, description="When a request is tried again.")
    headers: HeadersFile = Field(HeadersFile(), description="What becomes of headers.")
    rewrite: RewriteFile | None = Field(None, description="What the callee sees in place of what was written.")
    fault: FaultFile | None = Field(None, description="Faults on purpose.")
    mirror: Annotated[
        dict[str, Percent], BeforeValidator(_mirrors, json_schema_input_type=str | dict[str, Percent])
    ] = Field({}, description="Who gets a copy: a callee, or several with percentages.")
    cors: CorsFile | None = Field(None, description="Cross-origin requests.")
    name: str = Field("", description="Its name in logs.")

    @model_validator(mode="after")
    def _is_one(self) -> RouteRuleFile:
        said = [key for key in ("to", "redirect", "response") if getattr(self, key) is not None]
        if len(said) != 1:
            raise ValueError(f"say one of to, redirect and response, not {' and '.join(said) or 'none'}")
        if said != ["to"]:
            for key in ("timeout", "retries", "rewrite", "mirror"):
                if key in self.model_fields_set:
                    raise ValueError(f"nobody is asked where there is a {said[0]}, so {key} has no meaning")
        per_try = self.retries.per_try if self.retries else None
        if self.timeout and per_try and per_try > self.timeout:
            raise ValueError("one attempt (per_try) may take longer than all of them (timeout)")
        return self

    @property
    def only_for_requests(self) -> list[str]:
        """What says that this is a rule for requests, not for connections."""
        keys = self.model_fields_set - {"when", "to"}
        return sorted({*keys, *(key for each in self.when for key in each.looks_into_requests)})


RoutesFile = list[RouteRuleFile]
"""The rules for one callee."""


def new_names(
    content: Mapping[str, RoutesFile], callees: Mapping[str, Callee], origin: Callable[[Path], Origin]
) -> dict[str, Group]:
    """A callee for each name of `routes` that is none yet: behind it stand all the targets of its rules."""
    made: dict[str, Group] = {}
    for name, rules in content.items():
        if name not in callees:
            known = {**callees, **made}
            targets = [known[callee] for callee, _ in _targets(rules) if callee in known]
            services = dict.fromkeys(each for target in targets for each in _services(target))
            protocol = next((target.protocol for target in targets), Protocol.HTTP)
            made[name] = Group(name, name, 80, protocol, tuple(services), origin((name,)), namespace=NAMESPACE)
    return made


def behind_new_names(content: Mapping[str, RoutesFile], new: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The targets of the names that `routes` makes."""
    return {name: tuple(dict.fromkeys(callee for callee, _ in _targets(content[name]))) for name in new}


def _services(target: Callee) -> tuple[str, ...]:
    if isinstance(target, Group):
        return target.services
    return (target.name,) if isinstance(target, Service) else ()


def _targets(rules: Sequence[RouteRuleFile]) -> Iterator[tuple[str, Path]]:
    """The callees that the rules lead to, each with its path below them."""
    for index, rule in enumerate(rules):
        for key, names in (("to", rule.to or {}), ("mirror", rule.mirror)):
            for name in names:
                yield name.partition(".")[0], (index, key, name)


def routes_faults(
    content: Mapping[str, RoutesFile],
    callees: Mapping[str, Callee],
    subsets: Mapping[str, Sequence[str]],
    called: Collection[str],
    *,
    all_known: bool = True,
) -> Iterator[tuple[Path, str]]:
    """What only the whole can tell, each with its path below `routes`.

    `callees`: what a call may name, those that `routes` makes too. `subsets`: theirs. `called`: what calls do name.
    """
    others = [name for name in callees if name not in content or not isinstance(callees[name], Group)]
    asked = {*called, *(target for rules in content.values() for target, _ in _targets(rules))}
    for name, rules in content.items():
        callee = callees.get(name)
        if not NAME.fullmatch(name):
            yield (name,), "a name has lower-case letters, digits and dashes, at most 63"
        elif callee is None or (isinstance(callee, Group) and name not in asked and all_known):
            yield (name,), f"nobody calls {name!r}{_hint(name, others)}"
        if not rules:
            yield (name,), "there is no rule"
        tcp = callee is not None and callee.protocol is Protocol.TCP
        for target, path in _targets(rules):
            yield from _target_faults((name, *path), target, callees, tcp=tcp, all_known=all_known)
            subset, known = str(path[-1]).partition(".")[2], subsets.get(target, ())
            if subset and subset not in known and all_known:
                yield (name, *path), f"{target!r} has no subset {subset!r} under traffic{_hint(subset, known)}"
        for index, rule in enumerate(rules):
            yield from (((name, index, *below), message) for below, message in _rule_faults(rule, tcp=tcp))


def _target_faults(
    path: Path, target: str, callees: Mapping[str, Callee], *, tcp: bool, all_known: bool
) -> Iterator[tuple[Path, str]]:
    found = callees.get(target)
    if found is None and all_known:
        yield path, f"there is no service or external {target!r}{_hint(target, callees)}"
    elif found is not None and (found.protocol is Protocol.TCP) != tcp:
        kinds = ("connections", "requests") if tcp else ("requests", "connections")
        yield path, f"{target!r} takes {kinds[1]}, and these are rules for {kinds[0]}"


def _rule_faults(rule: RouteRuleFile, *, tcp: bool) -> Iterator[tuple[Path, str]]:
    if tcp and rule.only_for_requests:
        yield (rule.only_for_requests[0],), "a callee that speaks tcp is not looked into: only port, from, server_name"
    for index, each in enumerate(rule.when):
        if each.server_name and not tcp:
            yield ("when", index, "server_name"), "this is for a callee that speaks tcp: use authority"


def _hint(word: str, known: Iterable[str]) -> str:
    hint = did_you_mean(word, known)
    return f", {hint}" if hint else ""


def read_routes(
    content: Mapping[str, RoutesFile], callees: Mapping[str, Callee], origin: Callable[[Path], Origin]
) -> tuple[Routes, ...]:
    """The rules, in the order of the file."""
    return tuple(_routes(name, rules, callees, origin) for name, rules in content.items())


def _routes(name: str, rules: RoutesFile, callees: Mapping[str, Callee], origin: Callable[[Path], Origin]) -> Routes:
    callee = callees[name]
    hosts = (name,) if isinstance(callee, Service) else (callee.host, *callee.aliases)
    made = Routes(name, NAMESPACE, hosts, (name,), origin=origin((name,)))
    if callee.protocol is Protocol.TCP:
        both = [_connection(rule, origin((name, index))) for index, rule in enumerate(rules)]
        tls = tuple(rule for rule in both if any(each.server_names for each in rule.matches))
        return replace(made, tls=tls, tcp=tuple(each for each in both if each not in tls))
    return replace(
        made, http=tuple(_request(name, rule, callees, origin((name, index))) for index, rule in enumerate(rules))
    )


def _connection(rule: RouteRuleFile, origin: Origin) -> ConnectionRule:
    return ConnectionRule(tuple(each.connection() for each in rule.when), _shares(rule.to or {}), origin)


def _request(name: str, rule: RouteRuleFile, callees: Mapping[str, Callee], origin: Origin) -> HttpRule:
    rewrite = rule.rewrite.rewrite() if rule.rewrite else None
    matches = tuple(each.request() for each in rule.when)
    redirect = rule.redirect.redirect() if rule.redirect else None
    if (rewrite and rewrite.path) or (redirect and redirect.prefix_only):
        # Else a proxy would put the new path before the old one without a slash between them.
        whole = Text(Compare.SUBPATH, "/")
        matches = tuple(replace(m, path=m.path or whole) for m in matches) or (RequestMatch(path=whole),)
    to = _shares(rule.to or {})
    if not (rewrite and rewrite.authority):
        to = tuple(_as_third_party(name, each, callees) for each in to)
    return HttpRule(
        matches=matches,
        to=to,
        redirect=redirect,
        response=rule.response.response() if rule.response else None,
        timeout=rule.timeout,
        retry=rule.retries.retry() if rule.retries else None,
        headers=rule.headers.headers(),
        rewrite=rewrite,
        fault=rule.fault.fault() if rule.fault else None,
        mirrors=tuple(Mirror(*_split(target), percent) for target, percent in rule.mirror.items()),
        cors=rule.cors.cors() if rule.cors else None,
        name=rule.name,
        origin=origin,
    )


def _as_third_party(name: str, target: Target, callees: Mapping[str, Callee]) -> Target:
    """A third party answers to its own name, not to that by which it is called here."""
    found = callees.get(target.callee)
    if not isinstance(found, External) or found.name == name:
        return target
    request = target.headers.request
    named = replace(request, set=(*request.set, ("host", found.host)))
    return replace(target, headers=replace(target.headers, request=named))


def _shares(shares: Mapping[str, ShareFile]) -> tuple[Target, ...]:
    return tuple(Target(*_split(name), each.weight, each.headers.headers()) for name, each in shares.items())


def _split(target: str) -> tuple[str, str]:
    callee, _, subset = target.partition(".")
    return callee, subset
