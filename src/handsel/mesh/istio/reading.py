"""One reading of resources: what was written, what is around it, and where what is found goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from handsel.documents.yaml import Document, Path, show
from handsel.mesh.istio.resources.common import Metadata, Object
from handsel.mesh.istio.resources.kubernetes import LooseObject, MeshConfig
from handsel.model.finding import Finding, Known, Severity
from handsel.model.included import Around
from handsel.model.origin import Origin

Resource = Object | LooseObject

R = TypeVar("R", bound=Resource)

_SUPPRESS = "galley.istio.io/analyze-suppress"
_YOUNGEST = "9999"


@dataclass(frozen=True)
class Found(Generic[R]):
    """A resource and where it stands."""

    document: Document
    resource: R

    @property
    def metadata(self) -> Metadata:
        return self.resource.metadata

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def subject(self) -> str:
        """As findings name it: `VirtualService default/reviews`."""
        return f"{self.resource.kind} {self.namespace}/{self.name}"

    @property
    def origin(self) -> Origin:
        return self.at(("metadata", "name"))

    def at(self, path: Path) -> Origin:
        """Where something in it stands."""
        return Origin(self.document.file, self.document.place(path)[0])


AnyFound = Found[Any]


class Findings:
    """Gathers what is found. What an annotation suppresses is left out, unless it is an error."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def add(self, found: AnyFound, path: Path, known: Known, message: str) -> None:
        """Something `known` is the case at `path` of a resource."""
        if known.severity < Severity.ERROR and _suppresses(found, known):
            return
        document = found.document
        finding = Finding(
            document.file, *document.place(path), known.code, known.severity, message,
            show(path), found.subject, known.fix, known.istio,
        )  # fmt: skip
        self._found[finding] = None

    def all(self) -> tuple[Finding, ...]:
        """In the order of the files."""
        return tuple(sorted(self._found))


def _suppresses(found: AnyFound, known: Known) -> bool:
    said = [each.strip() for each in found.metadata.annotation(_SUPPRESS).split(",")]
    return "*" in said or known.code in said or (known.istio != "" and known.istio in said)


class Resources:
    """The resources by kind: the oldest first, then in the order of the files."""

    def __init__(self, found: Iterable[AnyFound]) -> None:
        self._by_kind: dict[type[Resource], list[AnyFound]] = {}
        for each in sorted(found, key=_age):
            self._by_kind.setdefault(type(each.resource), []).append(each)

    def of(self, kind: type[R]) -> Sequence[Found[R]]:
        """Those of one kind."""
        by_kind: dict[Any, list[AnyFound]] = self._by_kind  # of one kind each
        return by_kind.get(kind, ())


def _age(found: AnyFound) -> str:
    return found.metadata.creation_timestamp or _YOUNGEST


@dataclass(frozen=True)
class Reading:
    """What every part of the reading needs."""

    resources: Resources
    around: Around
    absolute: Callable[[str], str]
    config: MeshConfig = field(default_factory=MeshConfig)
    findings: Findings = field(default_factory=Findings)

    @property
    def root_namespace(self) -> str:
        return self.config.root_namespace or "istio-system"

    def path(self, text: str) -> str:
        """A path of a resource as an absolute one; empty stays empty."""
        return self.absolute(text) if text else ""
