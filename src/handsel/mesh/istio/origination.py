"""TLS towards externals: what of the rules becomes a part of the external itself.

Where every caller finds the same rule for an external, and it says no more than an external of the mesh file can, the
two are one and the same. Else the rule stays beside it, and each caller looks up its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from handsel.mesh.istio.externals import Outside
from handsel.mesh.istio.findings import NAME_CHECKED, PLAIN
from handsel.mesh.istio.reading import Reading
from handsel.mesh.istio.traffic import Rule
from handsel.model.faults import HOST
from handsel.model.graph import External, ExternalTls
from handsel.model.traffic import NOTHING_SAID, ClientTls, TlsMode, Traffic

_SAID = {TlsMode.SIMPLE: ExternalTls.SIMPLE, TlsMode.MUTUAL: ExternalTls.MUTUAL, TlsMode.DISABLE: ExternalTls.DISABLE}


def originate(
    reading: Reading, outside: Outside, rules: Sequence[tuple[Rule, Traffic]]
) -> tuple[list[External], list[Traffic]]:
    """The externals with their TLS, and what of the rules is left to say."""
    by_callee: dict[str, list[tuple[Rule, Traffic]]] = defaultdict(list)
    for each in rules:
        for callee in each[1].callees:
            by_callee[callee].append(each)
    externals = []
    merged: dict[str, set[str]] = defaultdict(set)
    for bare in outside.externals:
        here = by_callee.get(bare.name, [])
        _say(reading, outside, bare, here)
        external = bare
        if here and _is_for_all(reading, bare, here):
            rule, traffic = here[0]
            tls = traffic.at(bare.plain_port).tls
            if tls is None or _is_plain_enough(tls):
                external = _with(bare, tls)
                merged[bare.name] = {rule.first.subject}
        externals.append(external)
    left = [each for rule, traffic in rules for each in _rest(rule, traffic, merged, outside)]
    return externals, left


def _is_for_all(reading: Reading, external: External, rules: Sequence[tuple[Rule, Traffic]]) -> bool:
    """Whether every caller finds the first of these rules: it is of the external's namespace, and there is no other."""
    namespaces = {traffic.namespace for _, traffic in rules}
    first = rules[0][1]
    seen = not first.visible_to or "*" in first.visible_to
    return (
        namespaces <= {external.namespace, reading.root_namespace}
        and len(namespaces) == 1
        and seen
        and not any(traffic.selector for _, traffic in rules)
    )


def _is_plain_enough(tls: ClientTls) -> bool:
    """Whether an external of the mesh file could say it."""
    more = tls.credential or tls.crl or tls.insecure or tls.mode is TlsMode.MESH
    return not more and all(HOST.fullmatch(name) for name in tls.names)


def _with(external: External, tls: ClientTls | None) -> External:
    if tls is None or tls.mode is TlsMode.DISABLE:
        return external
    server_name = tls.server_name or external.host
    said = external.server_names if external.server_names != (external.host,) else ()
    return replace(
        external,
        tls=_SAID[tls.mode],
        client_certificate=tls.client_certificate,
        private_key=tls.private_key,
        ca_certificates=tls.ca_certificates,
        server_name=server_name,
        server_names=tls.names or said or (server_name,),
    )


def _rest(rule: Rule, traffic: Traffic, merged: dict[str, set[str]], outside: Outside) -> Iterable[Traffic]:
    """The rule without the TLS that its externals have, and with the names that their entries say."""
    own = tuple(each for each in traffic.callees if rule.first.subject in merged.get(each, ()))
    others = tuple(each for each in traffic.callees if each not in own)
    if own:
        bare = replace(
            traffic,
            callees=own,
            policy=replace(traffic.policy, tls=None),
            ports=tuple((port, replace(policy, tls=None)) for port, policy in traffic.ports),
        )
        said = {bare.policy, *(policy for _, policy in bare.ports)}
        if bare.subsets or said != {NOTHING_SAID}:
            yield bare
    by_names: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for callee in others:
        entry = outside.entries.get(callee)
        by_names[tuple(entry.resource.spec.subject_alt_names) if entry else ()].append(callee)
    for names, callees in by_names.items():
        yield _naming(replace(traffic, callees=tuple(callees)), names)


def _naming(traffic: Traffic, names: tuple[str, ...]) -> Traffic:
    if not names:
        return traffic

    def named(tls: ClientTls | None) -> ClientTls | None:
        return replace(tls, names=names) if tls and not tls.names and tls.mode is not TlsMode.DISABLE else tls

    ports = tuple((port, replace(policy, tls=named(policy.tls))) for port, policy in traffic.ports)
    return replace(traffic, policy=replace(traffic.policy, tls=named(traffic.policy.tls)), ports=ports)


# What is said


def _say(reading: Reading, outside: Outside, external: External, rules: Sequence[tuple[Rule, Traffic]]) -> None:
    """Where calls are not encrypted, and where a name is checked that Istio does not check."""
    entry = outside.entries.get(external.name)
    if entry is None:
        return
    if not rules:
        _say_plain(reading, outside, external, f"no DestinationRule has the host {external.host}")
    for rule, traffic in rules:
        tls = traffic.at(external.plain_port).tls
        if tls is None:
            why = f"DestinationRule {rule.first.name!r} has no tls for port {external.plain_port}"
            _say_plain(reading, outside, external, why)
        elif tls.mode is TlsMode.DISABLE:
            _say_plain(reading, outside, external, f"DestinationRule {rule.first.name!r} has tls mode DISABLE")
        elif tls.server_name and not (tls.names or tls.insecure or entry.resource.spec.subject_alt_names):
            text = f"the certificate of {external.name!r} must carry the name {tls.server_name}"
            text += " (Istio checks no name where sni stands without subjectAltNames)"
            reading.findings.add(rule.of_policy, ("metadata", "name"), NAME_CHECKED, text)


def _say_plain(reading: Reading, outside: Outside, external: External, why: str) -> None:
    if not outside.written[external.name].is_encrypted:  # else the program speaks TLS itself
        text = f"calls to {external.name!r} leave the sidecar unencrypted: {why}"
        reading.findings.add(outside.entries[external.name], ("metadata", "name"), PLAIN, text)
