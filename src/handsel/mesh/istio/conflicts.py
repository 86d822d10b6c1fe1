"""What two resources say against each other, each right by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from handsel.documents.yaml import Path
from handsel.mesh.access.modes import holds, mode_of
from handsel.mesh.istio.findings import TLS_AGAINST_MODE
from handsel.mesh.istio.reading import Reading
from handsel.mesh.istio.traffic import Rule
from handsel.model.access import Mode, PeerMode
from handsel.model.graph import Group, Service
from handsel.model.traffic import ClientTls, TlsMode, Traffic

_POLICY: Path = ("spec", "trafficPolicy")


def note_tls_against_mode(
    reading: Reading,
    rules: Sequence[tuple[Rule, Traffic]],
    groups: Mapping[str, Group],
    services: Mapping[str, Service],
    modes: Sequence[PeerMode],
) -> None:
    """A rule that lets callers speak something else than mutual TLS to workloads that take nothing else.

    Said once a rule. Any explicit TLS wins over the mesh's own, even that of a rule for `*.local`.
    """
    for rule, traffic in rules:
        for group in (groups[each] for each in traffic.callees if each in groups):
            tls = traffic.at(group.port).tls
            strict = _first_strict(reading, group, services, modes) if _is_other(tls) else None
            if tls is not None and strict is not None:
                found = rule.of_policy
                text = f"callers of {group.host} speak {tls.mode.upper()}, {strict!r} takes mutual TLS only (STRICT)"
                reading.findings.add(found, _POLICY, TLS_AGAINST_MODE, text)
                break


def _is_other(tls: ClientTls | None) -> bool:
    return tls is not None and tls.mode is not TlsMode.MESH


def _first_strict(
    reading: Reading, group: Group, services: Mapping[str, Service], modes: Sequence[PeerMode]
) -> str | None:
    root = reading.root_namespace
    for name in group.services:
        service = services.get(name)
        if service is None or not service.sidecar:
            continue
        here = [each for each in modes if holds(each, service, root)]
        if mode_of(service, group.port_of(name), here, Mode.STRICT, root) is Mode.STRICT:
            return name
    return None
