"""DestinationRules: how callers speak to a host.

Rules for one host in one namespace are one: the subsets of all, and the policy of the first (Istio merges them so). The
most specific host comes first, so that a rule for `*.local` holds where no other does. The settings of a port replace
the policy as a whole; a subset's go before it field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import (
    DOUBLE_TLS,
    EMPTY_SUBSET,
    FEW_HOSTS,
    INERT,
    MERGED,
    UNKNOWN_PORT,
)
from handsel.mesh.istio.hosts import Hosts, KnownHost, full_name
from handsel.mesh.istio.policy import to_policy
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources.destination_rule import DestinationRule, PortTrafficPolicy, TrafficPolicy
from handsel.mesh.istio.resources.destination_rule import Subset as WrittenSubset
from handsel.mesh.istio.services import pairs
from handsel.model import traffic
from handsel.model.access import Labels
from handsel.model.traffic import Subset, TlsMode, Traffic

_FOREIGN = (TlsMode.SIMPLE, TlsMode.MUTUAL)


@dataclass
class Rule:
    """The rules for one host that one namespace has. `of_policy`: the one whose policy holds."""

    rules: list[Found[DestinationRule]]
    hosts: Sequence[KnownHost]
    subsets: dict[str, tuple[Found[DestinationRule], Path, WrittenSubset]] = field(default_factory=dict)

    @property
    def first(self) -> Found[DestinationRule]:
        return self.rules[0]

    @property
    def of_policy(self) -> Found[DestinationRule]:
        return next((each for each in self.rules if each.resource.spec.traffic_policy), self.first)

    @property
    def policy(self) -> TrafficPolicy:
        return self.of_policy.resource.spec.traffic_policy or TrafficPolicy()

    @property
    def callees(self) -> tuple[str, ...]:
        return tuple(port.callee for host in self.hosts for port in host.ports)


def read_rules(reading: Reading, hosts: Hosts) -> list[Rule]:
    """The rules, the most specific host first."""
    found: dict[tuple[str, str, Labels], Rule] = {}
    for each in reading.resources.of(DestinationRule):
        spec = each.resource.spec
        known = hosts.matching(spec.host, each.namespace)
        if not known:
            text = (
                f"no ServiceEntry or Service has the host {spec.host}, so this would do nothing{hosts.hint(spec.host)}"
            )
            reading.findings.add(each, ("spec", "host"), INERT, text)
            continue
        selector = pairs(spec.workload_selector.labels if spec.workload_selector else None)
        key = (full_name(spec.host, each.namespace), each.namespace, selector)
        rule = found.setdefault(key, Rule([], known))
        if rule.rules:
            text = (
                f"{rule.first.subject} ({rule.first.origin}) is for {spec.host} already: their subsets are put together"
            )
            reading.findings.add(each, ("spec", "host"), MERGED, text)
        rule.rules.append(each)
        for index, subset in enumerate(spec.subsets):
            rule.subsets.setdefault(subset.name, (each, ("spec", "subsets", index), subset))
    for rule in found.values():
        _check(reading, rule)
    return sorted(found.values(), key=lambda rule: _breadth(rule.first.resource.spec.host))


def _breadth(host: str) -> tuple[bool, int]:
    return host.startswith("*"), -len(host)


def to_traffic(reading: Reading, rule: Rule) -> Traffic:
    """The rule for the graph."""
    found = rule.of_policy
    spec = found.resource.spec
    path: Path = ("spec", "trafficPolicy")
    return Traffic(
        name=rule.first.name,
        namespace=rule.first.namespace,
        callees=rule.callees,
        policy=to_policy(reading, found, rule.policy, path),
        ports=_ports(reading, found, rule.policy, path),
        subsets=tuple(_subset(reading, *each) for each in rule.subsets.values()),
        selector=pairs(spec.workload_selector.labels if spec.workload_selector else None),
        visible_to=tuple(spec.export_to),
        origin=rule.first.origin,
    )


def _subset(reading: Reading, found: Found[DestinationRule], path: Path, said: WrittenSubset) -> Subset:
    policy = said.traffic_policy
    if policy is None:
        return Subset(said.name, pairs(said.labels))
    below = (*path, "trafficPolicy")
    return Subset(
        said.name, pairs(said.labels), to_policy(reading, found, policy, below), _ports(reading, found, policy, below)
    )


def _ports(
    reading: Reading, found: Found[DestinationRule], policy: TrafficPolicy, path: Path
) -> tuple[tuple[int, traffic.TrafficPolicy], ...]:
    return tuple(
        (each.port.number, to_policy(reading, found, each, (*path, "portLevelSettings", index)))
        for index, each in enumerate(policy.port_level_settings)
    )


# What is found


def _check(reading: Reading, rule: Rule) -> None:
    found = rule.of_policy
    policy = rule.policy
    path: Path = ("spec", "trafficPolicy")
    for index, settings in enumerate(policy.port_level_settings):
        _check_port(reading, rule, found, settings, (*path, "portLevelSettings", index, "port", "number"))
    _check_double_tls(reading, rule, found, policy, (*path, "tls"))
    _check_outliers(reading, rule, found, policy, (*path, "outlierDetection"))
    for each, where, subset in rule.subsets.values():
        _check_subset(reading, rule, each, where, subset)


def _check_port(
    reading: Reading, rule: Rule, found: Found[DestinationRule], settings: PortTrafficPolicy, path: Path
) -> None:
    number = settings.port.number
    if any(host.port(number) for host in rule.hosts):
        return
    host = rule.hosts[0]
    text = f"{host.subject} has port {numbers(host)}, not {number}{target_hint(host, number)}"
    reading.findings.add(found, path, UNKNOWN_PORT, text)


def numbers(host: KnownHost) -> str:
    """The ports that programs write for a host."""
    return ", ".join(str(each.number) for each in host.ports)


def target_hint(host: KnownHost, number: int) -> str:
    """Says it where somebody took the port at which endpoints listen."""
    if any(each.target == number for each in host.ports):
        return f"; {number} is its targetPort, and rules go by the port that programs use"
    return ""


def _check_double_tls(
    reading: Reading, rule: Rule, found: Found[DestinationRule], policy: TrafficPolicy, path: Path
) -> None:
    if policy.tls is None or policy.tls.mode not in _FOREIGN:
        return
    own = {each.port.number for each in policy.port_level_settings}
    for host in rule.hosts:
        for port in host.ports:
            if port.is_encrypted and port.number not in own:
                text = f"port {port.number} of {host.name} has {port.written} already: this puts TLS around it"
                reading.findings.add(found, path, DOUBLE_TLS, text)


def _check_outliers(
    reading: Reading, rule: Rule, found: Found[DestinationRule], policy: TrafficPolicy, path: Path
) -> None:
    said = policy.outlier_detection
    if said is None:
        return
    for host in rule.hosts:
        number = len(host.behind)
        if host.outside and number > 1 and number * said.max_ejection_percent < 100:
            text = f"{said.max_ejection_percent} % of the {number} endpoints of {host.name} is none: nobody is left out"
            reading.findings.add(found, path, FEW_HOSTS, text)


def _check_subset(
    reading: Reading, rule: Rule, found: Found[DestinationRule], path: Path, subset: WrittenSubset
) -> None:
    below = subset.traffic_policy.port_level_settings if subset.traffic_policy else []
    for index, settings in enumerate(below):
        place: Path = (*path, "trafficPolicy", "portLevelSettings", index, "port", "number")
        _check_port(reading, rule, found, settings, place)
    wanted = set(subset.labels.items())
    if not any(wanted <= set(labels) for host in rule.hosts for labels in host.behind):
        text = (
            f"nothing behind {found.resource.spec.host} has the labels of the subset {subset.name!r}: requests get 503"
        )
        reading.findings.add(found, (*path, "labels"), EMPTY_SUBSET, text)


def subset_names(rules: Iterable[Rule]) -> dict[str, set[str]]:
    """The subsets of each host, by its full name."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        for host in rule.hosts:
            found.setdefault(host.name, set()).update(rule.subsets)
    return found
