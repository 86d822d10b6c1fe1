"""From what the mesh file says of access to modes, policies and issuers of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from handsel.documents.yaml import Path
from handsel.model.access import Action, Condition, Mode, Operation, PeerMode, Policy, Rule, Source, TokenIssuer, Tokens
from handsel.model.access_file import AccessOfService, AccessRuleFile, TokenFile
from handsel.model.graph import Service
from handsel.model.origin import Origin
from handsel.model.service_file import ServiceFile
from handsel.pki.names import SpiffeId

_Below = Callable[[Path], Origin]
_Known = Mapping[str, SpiffeId]


@dataclass(frozen=True)
class Said:
    """What the file says of access."""

    modes: tuple[PeerMode, ...]
    policies: tuple[Policy, ...]
    tokens: tuple[Tokens, ...]


def read_access(
    contents: Mapping[str, ServiceFile], modes: Mapping[str, Mode], services: Mapping[str, Service], origin: _Below
) -> Said:
    """What is said of namespaces and of each service. `services`: all that rules may name."""
    known = {name: each.identity for name, each in services.items()}
    of_modes = [
        PeerMode(f"modes-{name}", name, (), mode, origin=origin(("modes", name))) for name, mode in modes.items()
    ]
    policies: list[Policy] = []
    tokens: list[Tokens] = []
    for name, content in contents.items():
        path: Path = ("services", name)

        def below(inner: Path, path: Path = path) -> Origin:
            return origin((*path, *inner))

        of_modes += _modes(name, content, below)
        policies += _policies(name, content.namespace, content, known, below)
        if content.tokens:
            issuers = tuple(_issuer(each) for each in content.tokens)
            tokens.append(
                Tokens(f"{name}-tokens", content.namespace, (), issuers, services=(name,), origin=below(("tokens",)))
            )
    return Said(tuple(of_modes), tuple(policies), tuple(tokens))


def _modes(name: str, content: ServiceFile, origin: _Below) -> list[PeerMode]:
    ports = tuple((each.port, each.mode) for each in content.ports.values() if each.mode is not None)
    if content.mode is None and not ports:
        return []
    place = origin(("mode",) if content.mode else ())
    return [PeerMode(name, content.namespace, (), content.mode, ports, services=(name,), origin=place)]


def _policies(name: str, namespace: str, content: AccessOfService, known: _Known, origin: _Below) -> list[Policy]:
    found = []
    if content.deny:
        rules = tuple(_rule(each, known, origin(("deny", i)), Source()) for i, each in enumerate(content.deny))
        found.append(Policy(f"{name}-deny", namespace, (), Action.DENY, rules, (name,), origin(("deny",))))
    if content.allow is not None:
        callers = Source(callers=True)
        rules = tuple(_rule(each, known, origin(("allow", i)), callers) for i, each in enumerate(content.allow))
        found.append(Policy(f"{name}-allow", namespace, (), Action.ALLOW, rules, (name,), origin(("allow",))))
    return found


def _rule(said: AccessRuleFile, known: _Known, origin: Origin, unsaid: Source) -> Rule:
    """`unsaid`: who is meant where nobody is named."""
    source = Source(
        principals=_principals(said.from_, known),
        not_principals=_principals(said.not_from, known),
        namespaces=tuple(said.namespaces),
        not_namespaces=tuple(said.not_namespaces),
        request_principals=tuple(said.token_principals),
        not_request_principals=tuple(said.not_token_principals),
        ip_blocks=tuple(said.ip_blocks),
        not_ip_blocks=tuple(said.not_ip_blocks),
        callers=unsaid.callers and not (said.from_ or said.namespaces),
    )
    operation = Operation(
        tuple(said.hosts), tuple(said.not_hosts), tuple(said.ports), tuple(said.not_ports), tuple(said.methods),
        tuple(said.not_methods), tuple(said.paths), tuple(said.not_paths),
    )  # fmt: skip
    return Rule(
        (source,) if source != Source() else (),
        (operation,) if operation != Operation() else (),
        tuple(_conditions(said)),
        origin,
    )


def _conditions(said: AccessRuleFile) -> Iterator[Condition]:
    by_key = (
        ("request.auth.claims", said.claims, said.not_claims),
        ("request.headers", said.headers, said.not_headers),
    )
    for key, yes, no in by_key:
        for name in dict.fromkeys((*yes, *no)):
            path = "".join(f"[{each}]" for each in name.split(".")) if key.endswith("claims") else f"[{name}]"
            yield Condition(f"{key}{path}", tuple(yes.get(name, ())), tuple(no.get(name, ())))
    for each in said.when:
        yield Condition(each.key, tuple(each.values), tuple(each.not_values))


def _principals(names: list[str], known: _Known) -> tuple[str, ...]:
    return tuple(str(known[name]).removeprefix("spiffe://") if name in known else name for name in names)


def _issuer(said: TokenFile) -> TokenIssuer:
    return TokenIssuer(
        said.issuer,
        tuple(said.audiences),
        said.jwks,
        said.jwks_uri,
        tuple(said.headers.items()),
        tuple(said.parameters),
        tuple(said.cookies),
        said.payload_header,
        tuple(said.claim_headers.items()),
        said.forward,
        said.timeout,
        tuple(said.space_delimited_claims),
    )
