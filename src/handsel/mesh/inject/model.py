"""What the injector is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handsel.documents.yaml import Path, Value
from handsel.errors import FileFault
from handsel.model.pod import Interception

IMAGE = "handsel:latest"
CONFIG_MAP = "handsel"
AUDIENCE = "handsel"

Object = dict[str, Any]
"""A part of a manifest, as JSON has it."""


@dataclass(frozen=True)
class Settings:
    """The same for every pod.

    `server`: its URL, else the key `server` of the ConfigMap; `pins`: of the authority's root keys, else the roots are
    `roots.pem` in the ConfigMap; `revision`: only pods with this `istio.io/rev` or with none are ours; `by_default`:
    whether a pod is injected when neither it nor its namespace says anything; `namespace`: of manifests that name none.
    """

    image: str = IMAGE
    config_map: str = CONFIG_MAP
    server: str = ""
    pins: tuple[str, ...] = ()
    trust_domain: str = ""
    audience: str = AUDIENCE
    interception: Interception = Interception.REDIRECT
    revision: str = ""
    by_default: bool = True
    namespace: str = ""

    @property
    def reads_config_map(self) -> bool:
        """Whether pods need the ConfigMap at all."""
        return not (self.server and self.pins)


Namespaces = Mapping[str, Mapping[str, Any]]
"""The labels of the namespaces that are known, by name."""


@dataclass(frozen=True)
class Pod:
    """A pod template of a manifest: what it belongs to, and where it stands."""

    kind: str
    name: str
    namespace: str
    path: Path

    def __str__(self) -> str:
        return f"{self.kind} {self.name or '(without a name)'}"


@dataclass(frozen=True)
class Injection:
    """A manifest as it should be; equal to what it was when there is nothing to inject."""

    value: Value
    injected: tuple[Pod, ...]
    notes: tuple[FileFault, ...]
    """What a person should know, such as why a pod was left as it is."""
