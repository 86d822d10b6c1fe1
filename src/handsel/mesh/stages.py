"""The stages of compiling, printable: the graph, the plans, Envoy's configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Any

from handsel.mesh.render import workload
from handsel.mesh.scope import Places
from handsel.mesh.translate import translate
from handsel.model.finding import Severity
from handsel.model.graph import Mesh
from handsel.model.origin import Origin
from handsel.pki.names import SpiffeId, TrustDomain
from handsel.pki.secret import Secret


class Stage(StrEnum):
    """How far the mesh is compiled."""

    MODEL = "model"
    IR = "ir"
    XDS = "xds"


def show(mesh: Mesh, places: Places, stage: Stage) -> dict[str, Any]:
    """A stage as plain values. Keys never appear: every secret is named only."""
    if stage is Stage.MODEL:
        content: dict[str, Any] = plain(mesh)
        return content
    plans = translate(mesh, places)
    if stage is Stage.IR:
        return {f"{host}/{service}": plain(plan) for (host, service), plan in plans.items()}
    return {f"{host}/{service}": workload.render(plan) for (host, service), plan in plans.items()}


def _is_usual(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a field has what it has where nothing is said: of that nothing is printed."""
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default)
    return field.default_factory is not dataclasses.MISSING and bool(value == field.default_factory())


def plain(value: Any) -> Any:  # noqa: PLR0911  # one line a kind of value
    """A value of ours as JSON has it: data classes become mappings of what they say, names and places become text."""
    if isinstance(value, SpiffeId | TrustDomain | Origin | Secret):
        return str(value)
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, Severity):
        return value.name.lower()
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        said = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {field.name: plain(each) for field, each in said if not _is_usual(field, each)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(each) for each in value]
    return value
