"""Looking at a manifest that may have any shape: what is not as Kubernetes has it becomes a fault with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from handsel.documents.yaml import Document, Path
from handsel.errors import FileFault
from handsel.model.faults import short


@dataclass
class Look:
    """Faults and notes of one document, as they are found."""

    document: Document
    faults: list[FileFault] = field(default_factory=list)
    notes: list[FileFault] = field(default_factory=list)

    def fault(self, path: Path, message: str) -> None:
        self.faults.append(self.document.fault(path, message))

    def note(self, path: Path, message: str) -> None:
        self.notes.append(self.document.fault(path, message))

    def mapping(self, value: Any, path: Path) -> dict[str, Any]:
        """`value` as a mapping; nothing is an empty one."""
        if isinstance(value, dict):
            return value
        self._fault_of(value, path, "a mapping")
        return {}

    def items(self, value: Any, path: Path) -> list[dict[str, Any]]:
        """`value` as a list of mappings; when it is none, an empty one."""
        if not isinstance(value, list):
            self._fault_of(value, path, "a list")
            return []
        wrong = [index for index, each in enumerate(value) if not isinstance(each, dict)]
        for index in wrong:
            self.fault((*path, index), f"must be a mapping, not {short(value[index])}")
        return [] if wrong else value

    def _fault_of(self, value: Any, path: Path, kind: str) -> None:
        if value is not None:
            self.fault(path, f"must be {kind}, not {short(value)}")
