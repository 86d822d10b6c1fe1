"""A delivery: files that the agent of a host writes for a workload and keeps new, and what is done afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

USUAL_ALIAS = "identity"
PRIVATE_MODE = 0o600
OF_ACME = "acme"


class Kind(StrEnum):
    """What a file holds. PEM unless it says otherwise; `PASSWORD` is the stores' one, one line."""

    KEY = "key"
    CERTIFICATE = "certificate"
    LEAF = "leaf"
    CHAIN = "chain"
    BUNDLE = "bundle"
    ROOTS = "roots"
    CRL = "crl"
    PKCS12 = "pkcs12"
    JKS = "jks"
    PKCS12_TRUST = "pkcs12-trust"
    JKS_TRUST = "jks-trust"
    PASSWORD = "password"  # noqa: S105  # the word, not one

    @property
    def is_secret(self) -> bool:
        """Whether nobody else may read it."""
        return self in (Kind.KEY, Kind.BUNDLE, Kind.PKCS12, Kind.JKS, Kind.PASSWORD)

    @property
    def is_store(self) -> bool:
        """Whether it is opened with a password."""
        return self in (Kind.PKCS12, Kind.JKS, Kind.PKCS12_TRUST, Kind.JKS_TRUST)

    @property
    def has_alias(self) -> bool:
        """Whether its key has a name in it."""
        return self in (Kind.PKCS12, Kind.JKS)

    @property
    def needs_identity(self) -> bool:
        """Whether it can only be written once there is a certificate."""
        return self not in (Kind.ROOTS, Kind.CRL, Kind.PKCS12_TRUST, Kind.JKS_TRUST, Kind.PASSWORD)


@dataclass(frozen=True)
class Content:
    """One file.

    `kind` is a value of `Kind`, or a word of a newer server. `owner` empty: as the delivery has it. `source`: whose key
    and chain, those of the identity (empty) or of the ACME CA (`acme`).
    """

    name: str
    kind: str
    alias: str = ""
    owner: str = ""
    mode: int = PRIVATE_MODE
    source: str = ""


@dataclass(frozen=True)
class Reload:
    """How the program is told: a signal, a command, a call of HTTP to loopback; all empty: it looks by itself."""

    signal: str = ""
    pid_file: str = ""
    command: tuple[str, ...] = ()
    url: str = ""
    method: str = "POST"
    timeout: timedelta = timedelta(seconds=10)

    @property
    def is_wanted(self) -> bool:
        return bool(self.signal or self.command or self.url)

    def __str__(self) -> str:
        if self.signal:
            return f"SIG{self.signal} to the process of {self.pid_file}"
        return f"command {self.command[0]}" if self.command else f"{self.method} {self.url}" if self.url else "nothing"


@dataclass(frozen=True)
class Delivery:
    """All files of one folder, swapped as one.

    `folder` is absolute on the workload's host. `owner`: a user, user:group or numbers; empty: the agent's own user.
    `password_file`: whose first line is the stores' password; empty: it is made once.
    """

    name: str
    folder: str
    contents: tuple[Content, ...]
    owner: str = ""
    reload: Reload = field(default=Reload())
    password_file: str = ""

    @property
    def needs_identity(self) -> bool:
        return self._needs("")

    @property
    def needs_acme(self) -> bool:
        return self._needs(OF_ACME)

    def _needs(self, source: str) -> bool:
        return any(
            each.kind in KINDS and Kind(each.kind).needs_identity and each.source == source for each in self.contents
        )

    @property
    def has_stores(self) -> bool:
        return any(each.kind in KINDS and Kind(each.kind).is_store for each in self.contents)

    def name_of(self, *kinds: Kind) -> str:
        """The first file of one of these kinds, in the order of `kinds`; empty when there is none."""
        names = {each.kind: each.name for each in reversed(self.contents)}
        return next((names[kind] for kind in kinds if kind in names), "")


KINDS = frozenset(str(each) for each in Kind)
SIGNALS = ("HUP", "USR1", "USR2")
"""Those that a server takes as a word to read its files again. Others end programs."""
SECRET_MODES = (0o400, 0o600, 0o440, 0o640)
"""Those of files that nobody else may read."""
USUAL_CONTENTS: Mapping[str, Kind] = {"key.pem": Kind.KEY, "cert.pem": Kind.CERTIFICATE, "ca.pem": Kind.ROOTS}
"""What is delivered when a delivery does not say what."""
