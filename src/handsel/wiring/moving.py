"""Ports on their way to another mode: a step at a time, each when the proxies concerned have taken the one before."""

from __future__ import annotations

import json
from collections.abc import Collection

import structlog

from handsel.mesh.access.moving import Step, Steps, advance, goal, goals, is_done
from handsel.mesh.compiler import Workload
from handsel.mesh.scope import Places
from handsel.model.access import Mode
from handsel.model.graph import Mesh

_log = structlog.get_logger("handsel.server")
_STEP_SECONDS = 2.0
"""How long proxies have at least: an agent says that it is in sync a moment after it was told something new."""
_WAITS_LONG_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 30.0


class Moving:
    """Of one server; what it has done is published, so that it and others go on from there. Times are the loop's."""

    KIND = "modes"
    """Of the publication; no host is called so that it would get it."""

    def __init__(self) -> None:
        self._steps: Steps = {}
        self._restored: Steps | None = None
        self._stepped_at = 0.0
        self._stepped = False
        self._concerned: frozenset[Workload] = frozenset()
        self._warned = False
        self.pause: float | None = None
        """After how many seconds to look again; None: everything is where it is to be."""

    def restore(self, body: bytes) -> None:
        """Go on from what was published; without anything every port that there was is strict."""
        found = json.loads(body or b"{}")
        self._restored = {
            (name, int(port)): Step(Mode(takes), plaintext=plaintext)
            for name, port, takes, plaintext in found.get("ports", [])
        }

    def body(self) -> bytes:
        """What is to be published: every port that is not strict, nothing when there is none."""
        ports = [
            [name, port, str(step.takes), step.plaintext]
            for (name, port), step in sorted(self._steps.items())
            if step != goal(Mode.STRICT)
        ]
        return json.dumps({"ports": ports}).encode() if ports else b""

    def steps(self, mesh: Mesh, places: Places, now: float) -> Steps:
        """Where every port is now."""
        late = [
            f"{service} on {host}" for host, service in sorted(self._concerned) if not _in_sync(places, host, service)
        ]
        wanted = goals(mesh)
        restored, self._restored = self._restored, None
        if restored is not None:
            before = {port: restored.get(port, self._steps.get(port, goal(Mode.STRICT))) for port in wanted}
            self._stepped_at = self._stepped_at if before == self._steps else now
            self._steps = before
        waited = now - self._stepped_at
        taken = advance(self._steps, wanted, settled=not late and waited >= _STEP_SECONDS)
        moved = any(step != self._steps.get(port, step) for port, step in taken.items())
        self._stepped = moved or self._stepped_at == now
        if moved:
            self._stepped_at, waited, self._warned = now, 0.0, False
        self._steps = taken
        done = is_done(taken, wanted)
        self._concerned = frozenset() if done else self._concerned
        self.pause = None if done else min(max(_STEP_SECONDS / 2, waited / 4), _LONGEST_PAUSE_SECONDS)
        if not done and waited > _WAITS_LONG_SECONDS and not self._warned:
            self._warned = True
            _log.warning("a change of modes waits, and ports take plaintext until then", proxies=", ".join(late[:10]))
        return taken

    def told(self, changed: Collection[Workload]) -> None:
        """The workloads whose configuration is another one since the last steps were asked for."""
        if self._stepped:
            self._concerned |= frozenset(changed)


def _in_sync(places: Places, host: str, service: str) -> bool:
    report = places.get(host, {}).get(service)
    return report is None or report.in_sync
