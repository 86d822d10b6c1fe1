"""Secrets as the mesh file declares them: who gets them, and as which file. Their values are never in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
SECRET_NAME = re.compile(rf"({_PART}/)?{_PART}")
"""The name of a secret, with its group before it when it is of one: `db-password`, `orders/store.p12`."""
PART = re.compile(_PART)
"""A group, or a name without one. It becomes the name of a file."""
OWNER = re.compile(r"[a-z_][a-z0-9_-]{0,31}(:[a-z_][a-z0-9_-]{0,31})?")
"""Who has a file on the host: a user, perhaps with a group."""
FILE_MODE = 0o600


def unit_of(name: str) -> str:
    """What is granted and delivered as one: the group of a secret, or itself when it has none."""
    return name.partition("/")[0]


def group_of(name: str) -> str:
    """The group of a secret, empty when it has none."""
    before, slash, _ = name.partition("/")
    return before if slash else ""


@dataclass(frozen=True)
class DeliveredFile:
    """How a secret lies on a host. `name` empty: as the secret. `owner` empty: the agent's own user."""

    name: str = ""
    owner: str = ""
    mode: int = FILE_MODE


@dataclass(frozen=True)
class SecretDeclared:
    """What the file says of one secret. `grant`: services and SPIFFE IDs, each with where that is written.

    `expires`: how long a version is delivered, unless whoever puts it says otherwise.
    """

    name: str
    grant: Mapping[str, str]
    file: DeliveredFile = field(default=DeliveredFile())
    expires: timedelta | None = None

    @property
    def unit(self) -> str:
        return unit_of(self.name)


Declared = Mapping[str, SecretDeclared]
"""Every secret that the mesh file names, by its name."""
