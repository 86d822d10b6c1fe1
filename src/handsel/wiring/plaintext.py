"""`mesh plaintext`: who still calls the services of this host without TLS, from their proxies' access logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from handsel.errors import StateError
from handsel.mesh.access.holds import Holding
from handsel.model.graph import Mesh
from handsel.telemetry.plaintext import Heard, hear

_PUT_ASIDE = ".1"


def heard_on_this_host(workloads: Iterable[Mapping[str, str]]) -> list[Heard]:
    """Of each workload, as the agent's status has it. Raises `StateError` when a log may not be read."""
    return [hear(each["service"], _lines(Path(each["access_log"]))) for each in workloads]


def modes_of(mesh: Mesh, name: str) -> list[str]:
    """The modes of a service's ports."""
    service = mesh.members.get(name)
    if service is None:
        return []
    holding = Holding(mesh)
    return [str(holding.mode(service, port)) for port in (0, *(each.number for each in service.more_ports))]


def _lines(log: Path) -> Iterator[str]:
    """The lines of a log and of the one before it, which was put aside when it was large."""
    for path in (log.with_name(log.name + _PUT_ASIDE), log):
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from file
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StateError(
                f"{path} cannot be read: {error.strerror}", next_step="run this as the agent's user, or as root"
            ) from error
