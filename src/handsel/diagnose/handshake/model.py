"""What was recorded of a handshake, and what it is told as."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class Sender(StrEnum):
    """Whose message it is. `CLIENT` is us."""

    CLIENT = "client"
    SERVER = "server"


class Content(IntEnum):
    """What a record carries (RFC 8446, section 5.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22


class Kind(IntEnum):
    """Handshake messages (RFC 8446, section 4; RFC 5246, section 7.4)."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_STATUS = 22
    KEY_UPDATE = 24


@dataclass(frozen=True)
class Message:
    """One message, decrypted. `body` is without its header of four bytes; `at` in seconds since the first attempt.

    `kind` is one of `Kind` for handshake messages. `flight` is the number of the flight that it travelled in.
    """

    sender: Sender
    content: int
    kind: int
    body: bytes
    at: float
    flight: int
    encrypted: bool


@dataclass(frozen=True)
class Flight:
    """What one side sent before the other had its turn: bytes on the wire, records and all, and when it began."""

    sender: Sender
    at: float
    size: int


class End(StrEnum):
    """How a handshake ended, as this side saw it."""

    DONE = "done"
    NO_NAME = "no such name"
    REFUSED = "connection refused"
    NO_CONNECTION = "no connection"
    SILENT = "silent"
    CLOSED = "closed"
    RESET = "reset"
    NOT_TLS = "not TLS"
    TOO_MUCH = "too much"
    FAILED = "failed"


class After(StrEnum):
    """What came in the moment after the handshake in which nothing is sent. `GOODBYE`: it ended as TLS has it."""

    NOTHING = "nothing"
    DATA = "data"
    ALERT = "alert"
    GOODBYE = "goodbye"
    CLOSED = "closed"
    RESET = "reset"
    FAILED = "failed"


@dataclass(frozen=True)
class Recording:
    """A handshake as it happened. Times are seconds since the first attempt to connect.

    `error`: what OpenSSL or the system said. `first`: the first bytes that came. `looked_up` and `connected`: when the
    name was known and when TCP stood. `finished`: when the handshake was done for this side; `after` is what came then,
    at `after_at`, and `waited` for how long nothing came. `chain`: the server's, DER, as far as it is known without
    the messages. `whole`: the messages are there; without them the steps are few.
    """

    end: End
    address: str = ""
    error: str = ""
    first: bytes = b""
    looked_up: float = 0.0
    connected: float | None = None
    finished: float | None = None
    after: After | None = None
    after_at: float = 0.0
    waited: float = 0.0
    version: str = ""
    suite: str = ""
    alpn: str = ""
    chain: tuple[bytes, ...] = ()
    messages: tuple[Message, ...] = ()
    flights: tuple[Flight, ...] = ()
    whole: bool = True


@dataclass(frozen=True)
class Trust:
    """Whether the server's certificate can be believed, judged over the chain that it sent.

    `reason` says why not, `fix` what to do. `root` is the one that vouches for it, with `fingerprint`; `name_problem`
    is for a chain that holds and is another one's.
    """

    trusted: bool
    reason: str = ""
    fix: str = ""
    root: str = ""
    fingerprint: str = ""
    roots: str = ""
    wrong_name: bool = False

    @property
    def in_words(self) -> str:
        """In a line."""
        if self.trusted:
            return f"trusted: {self.root!r} of {self.roots} vouches for it"
        return f"NOT TRUSTED: {self.reason}"


Details = dict[str, str | list[str]]


@dataclass(frozen=True)
class Step:
    """One step, told. `sender` empty: it is no message. `problem`: what went wrong here, and `fix` what to do."""

    title: str
    purpose: str
    sender: Sender | None = None
    at: float | None = None
    size: int = 0
    encrypted: bool = False
    details: Details = field(default_factory=dict)
    problem: str = ""
    fix: str = ""
    good: str = ""

    def document(self, number: int) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "number": number,
            "message": self.title,
            "from": str(self.sender) if self.sender else None,
            "purpose": self.purpose,
            "encrypted": self.encrypted,
            "bytes": self.size or None,
            "milliseconds": round(self.at * 1000, 3) if self.at is not None else None,
            "details": self.details,
            "result": self.good or None,
            "problem": self.problem or None,
            "fix": self.fix or None,
        }
