"""Findings: what a person should know of what was written, with its place, how bad it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from handsel.model.origin import Origin


class Severity(IntEnum):
    """How bad a finding is."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    ERROR = 4
    """It cannot be carried out: what says it is set aside."""


@dataclass(frozen=True, order=True)
class Finding:
    """One finding at a place of a file (1-based). `istio`: the code of Istio's analysis for the same, if it has one.

    `subject`: what it is about, such as `DestinationRule default/bank`. `fix`: the next step.
    """

    file: str
    line: int
    column: int
    code: str
    severity: Severity = field(compare=False)
    message: str
    path: str = ""
    subject: str = ""
    fix: str = ""
    istio: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Known:
    """One thing that can be found. `istio`: the code of Istio's analysis for the same, if it has one."""

    code: str
    severity: Severity
    fix: str
    istio: str = ""

    def at(self, origin: Origin, subject: str, message: str) -> Finding:
        """It was found here. `subject`: what it is about."""
        place = (origin.file, origin.line, 1)
        return Finding(*place, self.code, self.severity, message, subject=subject, fix=self.fix, istio=self.istio)
