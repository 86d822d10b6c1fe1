"""The nouns of `explain`: a call, what was seen of it, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from handsel.diagnose.catalogue import Entry
from handsel.diagnose.evidence import Line, TlsSeen
from handsel.diagnose.proof import Attempt
from handsel.errors import Fault
from handsel.model.graph import External, ExternalTls
from handsel.pki.certificate import Certificate


class State(StrEnum):
    """What a call is right now."""

    MUTUAL_TLS = "mutual TLS"
    ONE_WAY_TLS = "one-way TLS"
    PLAINTEXT = "plaintext"
    NO_TRAFFIC = "no traffic seen yet"
    FAILED = "failed"


@dataclass(frozen=True)
class Call:
    """A call as the mesh file and the agent on the caller's host know it.

    `allowed_by` is the line that allows it, empty when none does; `declared_at` is where the caller is declared.
    `address` is where the callee's TLS is and `program` where its program is, as far as known here. `not_ready` says
    why the caller's sidecar has no way to the callee yet. `callee_here`: it runs on this host, so its side is seen too.
    `caller_ends` and `callee_ends` say when the certificates of the two services end.
    """

    caller: str
    callee: str
    external: External | None = None
    allowed_by: str = ""
    declared_at: str = ""
    caller_identity: str = ""
    callee_identity: str = ""
    address: str = ""
    program: str = ""
    not_ready: str = ""
    callee_here: bool = True
    caller_ends: datetime | None = None
    callee_ends: datetime | None = None

    @property
    def tls(self) -> ExternalTls:
        """The TLS that the mesh file asks for; between services it is always mutual."""
        return self.external.tls if self.external else ExternalTls.MUTUAL


TIMED_OUT = "timed out"
"""The `error` of a handshake in which the other side stayed silent."""


@dataclass(frozen=True)
class Handshake:
    """A handshake of our own with the other side.

    `error` is the text of what ended it, `version` empty when it did not come about, `leaf` what the other side showed.
    `status` is the answer to a GET inside, 0 when none was sent or none came.
    """

    error: str = ""
    version: str = ""
    leaf: Certificate | None = None
    status: int = 0

    @property
    def speaks_tls(self) -> bool:
        """Whether the other side speaks TLS at all: it finished the handshake, or ended it with an alert."""
        return bool(self.version) or "_ALERT_" in self.error

    @property
    def refused(self) -> bool:
        """Whether the other side ended it, during the handshake or after it. Silence is no refusal."""
        return self.speaks_tls and self.error not in ("", TIMED_OUT)


@dataclass(frozen=True)
class Seen:
    """What was seen of a call.

    `last` is when the log had it last, before anything was sent; `asked` what was sent just now (empty: nothing);
    `accepted` whether the caller's sidecar took the connection, `gave_up` whether our side ended it after waiting.
    `outbound` and `inbound` are the lines of that one connection at both ends. `attempt` is the caller's certificate
    at the callee's mesh port. The handshakes are with an external: showing what the sidecar shows, nothing, and a
    certificate that nobody trusts.
    """

    last: str = ""
    asked: str = ""
    accepted: bool = True
    answered: bool = False
    gave_up: bool = False
    outbound: tuple[Line, ...] = ()
    inbound: tuple[Line, ...] = ()
    attempt: Attempt | None = None
    handshake: Handshake | None = None
    without_certificate: Handshake | None = None
    with_foreign_certificate: Handshake | None = None
    own_certificate: Certificate | None = None


@dataclass(frozen=True)
class Quote:
    """A line of evidence and where it is from."""

    source: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What a call is, and if it fails why: `entry` of the catalogue, `what` in a sentence of this very call.

    `check` is a command that shows more, `fix` says what to do.
    """

    state: State
    what: str = ""
    entry: Entry | None = None
    fault: Fault | None = None
    tls: TlsSeen | None = None
    quotes: tuple[Quote, ...] = field(default=())
    check: str = ""
    fix: str = ""
