"""What all policies together ask at one port."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from handsel.mesh.access import values
from handsel.mesh.ir import Access
from handsel.model.access import Action, Condition, Operation, Policy, Rule, Tokens
from handsel.model.graph import Service
from handsel.pki.names import SpiffeId

_PORT = "destination.port"
_ADDRESS = "destination.ip"


@dataclass(frozen=True)
class Port:
    """The port at which the program listens, and the address of its host."""

    number: int
    address: str = ""


@dataclass(frozen=True)
class Said:
    """All that was said of a service: the policies and issuers that hold for it, and who names it in their calls."""

    service: Service
    callers: tuple[SpiffeId, ...]
    policies: tuple[Policy, ...]
    tokens: tuple[Tokens, ...]


def asked(said: Said, port: Port) -> Access:
    """What is asked of whoever comes by mutual TLS."""
    nobody = said.service.identity.trust_domain.nobody
    callers = said.callers or (nobody,)
    own = any(each.services and each.action is Action.ALLOW for each in said.policies)
    resolved = [_resolved(each, callers) for each in said.policies]
    made = _access(resolved, port, said)
    return replace(made, calls=callers if said.service.guarded and not own else None)


def asked_without_identity(said: Said, port: Port) -> Access:
    """What is asked of whoever comes in plaintext: nobody can be found among the callers, so that is not asked."""
    return _access([_resolved(each, None) for each in said.policies], port, said)


def rule_name(policy: Policy, index: int) -> str:
    """What a rule is called in logs, statistics and answers: a contract."""
    return f"{policy.namespace or '*'}/{policy.name}#{index}"


def _access(policies: list[Policy], port: Port, said: Said) -> Access:
    allowing = any(each.action is Action.ALLOW for each in policies)
    return Access(
        allow=tuple(_rules(policies, Action.ALLOW, port)) if allowing else None,
        deny=tuple(_rules(policies, Action.DENY, port)),
        audit=tuple(_rules(policies, Action.AUDIT, port)),
        tokens=tuple(issuer for each in said.tokens for issuer in each.issuers),
    )


def _rules(policies: Iterable[Policy], action: Action, port: Port) -> Iterable[tuple[str, Rule]]:
    for policy in policies:
        for index, rule in enumerate(policy.rules):
            found = settled(rule, port) if policy.action is action else None
            if found is not None:
                yield rule_name(policy, index), found


def _resolved(policy: Policy, callers: tuple[SpiffeId, ...] | None) -> Policy:
    """A policy with the callers by name; None: without asking for them."""
    names = tuple(values.principal(each) for each in callers or ())
    rules = []
    for rule in policy.rules:
        sources = tuple(
            replace(each, callers=False, principals=names) if each.callers else each for each in rule.sources
        )
        rules.append(replace(rule, sources=sources))
    return replace(policy, rules=tuple(rules))


def settled(rule: Rule, port: Port) -> Rule | None:
    """A rule at one port, of which its ports and addresses need not be asked any more; None: it is never for this."""
    operations = tuple(replace(each, ports=(), not_ports=()) for each in rule.operations if _is_for(each, port))
    conditions = tuple(each for each in rule.conditions if each.key not in (_PORT, _ADDRESS))
    if rule.operations and not operations:
        return None
    if not all(_holds(each, port) for each in rule.conditions):
        return None
    if Operation() in operations:
        operations = ()  # one of them is about everything
    return replace(rule, operations=operations, conditions=conditions)


def _is_for(operation: Operation, port: Port) -> bool:
    return (not operation.ports or port.number in operation.ports) and port.number not in operation.not_ports


def _holds(condition: Condition, port: Port) -> bool:
    if condition.key == _PORT:
        return _one_of(condition, lambda value: value == str(port.number))
    if condition.key == _ADDRESS:
        return _one_of(condition, lambda value: values.block_has(value, port.address))
    return True


def _one_of(condition: Condition, fits: Callable[[str], bool]) -> bool:
    yes, no = condition.values, condition.not_values
    return (not yes or any(fits(each) for each in yes)) and not any(fits(each) for each in no)
