"""The agent, and the server, as services of the host."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import handsel
from handsel import settings
from handsel.agent import unit
from handsel.agent.adapters.host import systemd
from handsel.agent.adapters.host.notify import ServiceManager
from handsel.agent.join import Way
from handsel.agent.model import Enrolment
from handsel.agent.unit import AgentUnit
from handsel.envoy.adapters import binary
from handsel.errors import EnvoyMissing, UsageError
from handsel.wiring.agent import enrolment_of, join_host

_MACHINE = "HANDSEL_MACHINE_ID_FILE"


def told_to_the_host(status: str) -> contextlib.AbstractAsyncContextManager[None]:
    """While it is open, the service manager that started us, if there is one, knows that we serve."""
    return ServiceManager.of(os.environ).following(lambda: status)


def needs() -> tuple[str, ...]:
    """What an agent of this installation must see of the host: Python, our modules, Envoy."""
    paths = [Path(sys.executable), Path(sys.executable).resolve(), Path(handsel.__file__)]
    with contextlib.suppress(EnvoyMissing):
        paths.append(binary.find(None))
    return tuple(str(path) for path in paths)


class HostService:
    """The unit of an agent that is to be a service of this host. Raises `UsageError` when that cannot be."""

    def __init__(self, state: Path, *, user: str | None, address: str, folder: Path) -> None:
        self._user = systemd.user_named(user)
        self._state = state
        self.path = folder / unit.NAME
        environment = [(_MACHINE, os.environ[_MACHINE])] if os.environ.get(_MACHINE) else []
        program = (sys.executable, "-m", "handsel")
        name = self._user.pw_name
        try:
            self.text = unit.render(AgentUnit(program, str(state), address, name, needs(), tuple(environment)))
        except ValueError as error:
            raise UsageError(str(error)) from error

    def check(self, *, start: bool) -> None:
        """Raise `UsageError` or `EnvoyMissing` for what would fail only after the ticket is burnt."""
        systemd.check_unit(self.path)
        if start and not systemd.runs():
            raise UsageError("systemd does not run here", next_step="leave --start away, and start the agent yourself")
        binary.find(None)

    def warnings(self) -> list[str]:
        """What keeps the unit from working, and may be put right afterwards."""
        name = self._user.pw_name
        hidden = systemd.unreadable(self._user, needs())
        return [f"{name} cannot read {path}: install handsel where it can, such as below /opt" for path in hidden]

    def enrolment(self) -> Enrolment | None:
        """That this host has joined already. Raises `StateError`."""
        return enrolment_of(self._state, settings.runtime_folder(self._state, {}))

    async def join(self, way: Way) -> tuple[Enrolment, bool]:
        """Join as the service's user, so that the state is that user's."""
        with systemd.acting_as(self._user, self._state):
            return await join_host(self._state, settings.runtime_folder(self._state, {}), way)

    def install(self, *, start: bool) -> None:
        """Write the unit, and start it when that is asked for. Raises `StateError`."""
        systemd.write_unit(self.path, self.text)
        if start:
            systemd.start(self.path)
