"""The places that workloads take on this host: ports, loopback addresses, users. Best that the host's rights allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import structlog

from handsel.agent import holdings as held
from handsel.agent import pod
from handsel.agent.adapters.host import rights
from handsel.agent.adapters.host.ports import chooser
from handsel.agent.model import Holdings, Owner, Workload
from handsel.errors import StateError
from handsel.model.pod import SIDECAR_PORTS

_log = structlog.get_logger("handsel.agent")
_HOSTS = Path("/etc/hosts")


class Seats:
    """Chooses for the workloads of one state folder. `address`: where other hosts reach this one.

    `has_names`: whether names of callees can lead to the proxies. `in_pod`: the mesh ports are those of a pod.
    """

    def __init__(self, place: Path, address: str, *, has_names: bool, in_pod: bool = False) -> None:
        self._place = place
        self._address = address
        self._in_pod = in_pod
        self.has_users, self.has_names = rights.may_set_users(), has_names
        self.problems: dict[str, str] = {}

    def choose(self, holdings: Holdings) -> Holdings:
        """A place for each workload that has none yet."""
        free, address = self._port_chooser(holdings), self._address_chooser(holdings)
        for workload in holdings.workloads.values():
            chosen = replace(held.choose_ports(workload, free, address), owner=self._owner(workload, holdings))
            if self._in_pod and chosen.ports:
                chosen = replace(chosen, ports=pod.in_front_of(chosen.ports))
            holdings = holdings.with_workload(chosen)
        return holdings

    def replace(self, holdings: Holdings, service: str, refused: Iterable[str]) -> Holdings:
        """Others for the listeners that a workload's proxy could not bind, by their names."""
        workload = held.replace_ports(holdings.workloads[service], refused, self._port_chooser(holdings))
        return self.choose(holdings.with_workload(workload))

    def hosts(self, workload: Workload) -> bytes:
        """What takes the place of /etc/hosts in the workload's program; empty when nothing has to."""
        entries = held.host_entries(workload)
        if not entries:
            return b""
        known = _HOSTS.read_bytes() if _HOSTS.exists() else b""
        return entries.encode() + known

    def _owner(self, workload: Workload, holdings: Holdings) -> Owner | None:
        service, user = workload.service, workload.assigned.user
        self.problems.pop(service, None)
        if not user or not self.has_users:
            return None
        if workload.owner is not None and user == "auto":
            return workload.owner
        taken = {each.owner.uid for each in holdings.workloads.values() if each.owner and each.service != service}
        try:
            return rights.find_owner(user, self._place, service, taken)
        except StateError as error:
            _log.error("a service has no user", service=service, problem=str(error))
            self.problems[service] = str(error)
            return None

    def _port_chooser(self, holdings: Holdings) -> Callable[[], int]:
        taken = {port for each in holdings.workloads.values() if each.ports for port in each.ports.all()}
        taken |= {each.assigned.port for each in holdings.workloads.values()}
        return chooser(taken | set(SIDECAR_PORTS), self._address)

    def _address_chooser(self, holdings: Holdings) -> Callable[[], str] | None:
        if not self.has_names:
            return None
        given = {each for w in holdings.workloads.values() if w.ports for each in w.ports.addresses.values()}
        return rights.address_chooser(given)
