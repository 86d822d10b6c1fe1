"""The whole error tree. Every error a person can meet has a stable code, says who is at fault and what to do next.

HandselError
├── InvalidFile        HS-C001  operator   a file of the user's is wrong; carries every fault found
├── UsageError         HS-C002  operator   a command that cannot be carried out as given
├── StateError         HS-S001  operator   the state folder cannot be used
├── StateInUse         HS-S002  operator   another process holds the state folder
├── ReadOnly           HS-S005  operator   this server was started to read only
├── PortInUse          HS-S003  operator   a port that a person wrote is taken
├── EnvoyMissing       HS-S004  operator   no Envoy binary to run
├── Unreachable        HS-L001  network    the other part of handsel does not answer
├── NotAuthorised      HS-L002  peer       the other part knows us and refuses
├── ProtocolError      HS-L003  peer       bytes that are not what the protocol says
├── Refused            HS-A001  peer       the authority refuses to sign
├── NotInJournal       HS-A009  us         a certificate, or the proof of one, is not in the journal
├── TicketRefused      HS-A002  operator   a join ticket is wrong, used or too old
├── KeyRefused         HS-A003  peer       a key that is weak, known to others, or somebody else's
├── ProfileRefused     HS-A004  operator   a profile whose certificates would break a standard
├── StoreUnreadable    HS-K001  operator   a key store that is damaged, or no key store at all
├── StorePasswordWrong HS-K002  operator   the password of a key store is wrong or missing
├── KeyPasswordWrong   HS-K003  operator   the password of one key in a store is wrong or missing
├── StoreRefused       HS-K004  operator   a key store that is too large, asks for too much, or cannot be written so
├── ContextRefused     HS-K005  operator   a TLS context that cannot be made as it was declared
├── SecretMissing      HS-V001  operator   there is no secret, or no version of it, of this name
├── SecretRefused      HS-V002  operator   a secret that is not what its kind says, or cannot be put so
├── SealKeyMissing     HS-V003  operator   the key under which secrets are sealed is missing, or another one
├── SealBroken         HS-V004  operator   a sealed secret was changed or put in another's place
├── Conflict           HS-D001  us         a precondition of a write no longer holds
├── NonceSpent         HS-D002  peer       an ACME nonce was used before, here or at another server
└── Bug                HS-X001  us         an invariant of our own is broken
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Who has to act."""

    US = "us"
    PEER = "peer"
    OPERATOR = "operator"
    NETWORK = "network"


class ExitCode:
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    FINDINGS = 3
    UNREACHABLE = 4


class HandselError(Exception):
    """What went wrong, in one line, and the next step.

    `str(error)` is the line without code; `next_step` may be empty.
    """

    code: ClassVar[str] = "HS-X000"
    fault: ClassVar[Fault] = Fault.US
    exit_code: ClassVar[int] = ExitCode.FAILED

    def __init__(self, what: str, *, next_step: str = "") -> None:
        super().__init__(what)
        self.next_step = next_step


@dataclass(frozen=True, order=True)
class FileFault:
    """One fault in a file of the user's, at 1-based line and column."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class InvalidFile(HandselError):
    """A file is wrong. `faults` has every fault found, in the order of the file."""

    code, fault, exit_code = "HS-C001", Fault.OPERATOR, ExitCode.USAGE

    def __init__(self, faults: list[FileFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class UsageError(HandselError):
    """A command that cannot be carried out as it was given."""

    code, fault, exit_code = "HS-C002", Fault.OPERATOR, ExitCode.USAGE


class StateError(HandselError):
    """The state folder cannot be read, written or trusted."""

    code, fault = "HS-S001", Fault.OPERATOR


class StateInUse(StateError):
    """Another process holds the state folder."""

    code = "HS-S002"


class ReadOnly(StateError):
    """Something would have to be written, and this server was started to read only."""

    code = "HS-S005"


class PortInUse(HandselError):
    """A port that a person wrote down is taken by another process."""

    code, fault = "HS-S003", Fault.OPERATOR


class EnvoyMissing(HandselError):
    """No usable Envoy binary was found."""

    code, fault = "HS-S004", Fault.OPERATOR


class Unreachable(HandselError):
    """The other part of handsel does not answer."""

    code, fault, exit_code = "HS-L001", Fault.NETWORK, ExitCode.UNREACHABLE


class NotAuthorised(HandselError):
    """The other part of handsel knows us and refuses."""

    code, fault, exit_code = "HS-L002", Fault.PEER, ExitCode.UNREACHABLE


class ProtocolError(HandselError):
    """The peer sent bytes that are not what the protocol says."""

    code, fault = "HS-L003", Fault.PEER


class Refused(HandselError):
    """The authority refuses to sign; the message names the rule."""

    code, fault = "HS-A001", Fault.PEER


class NotInJournal(HandselError):
    """A certificate, or the proof of one, is not in the journal."""

    code, exit_code = "HS-A009", ExitCode.FINDINGS


class TicketRefused(Refused):
    """A join ticket is malformed, unknown, already used or too old."""

    code, fault = "HS-A002", Fault.OPERATOR


class KeyRefused(Refused):
    """The authority signs nothing for this key: it is weak, known to others, or belongs to somebody else."""

    code = "HS-A003"


class ProfileRefused(Refused):
    """A profile's certificates would break a standard; the message names the finding."""

    code, fault, exit_code = "HS-A004", Fault.OPERATOR, ExitCode.USAGE


class StoreUnreadable(HandselError):
    """A key store that is damaged, or bytes that are none."""

    code, fault = "HS-K001", Fault.OPERATOR


class StorePasswordWrong(HandselError):
    """The password of a key store is wrong, or it needs one and none was given."""

    code, fault = "HS-K002", Fault.OPERATOR


class KeyPasswordWrong(HandselError):
    """The same of one key in a store."""

    code, fault = "HS-K003", Fault.OPERATOR


class StoreRefused(HandselError):
    """A key store that is too large or asks for too much work, or entries that a format cannot hold."""

    code, fault = "HS-K004", Fault.OPERATOR


class ContextRefused(HandselError):
    """A TLS context that cannot be made as it was declared."""

    code, fault = "HS-K005", Fault.OPERATOR


class SecretMissing(HandselError):
    """There is no secret of this name, or not this version of it."""

    code, fault = "HS-V001", Fault.OPERATOR


class SecretRefused(HandselError):
    """A secret that is not what its kind says, is too large, or cannot be put, granted or delivered so."""

    code, fault = "HS-V002", Fault.OPERATOR


class SealKeyMissing(HandselError):
    """The key under which secrets are sealed is missing, or there is another one in its place."""

    code, fault = "HS-V003", Fault.OPERATOR


class SealBroken(HandselError):
    """A sealed secret does not open: its row was changed, or put in another's place."""

    code, fault = "HS-V004", Fault.OPERATOR


class Conflict(HandselError):
    """A write's precondition no longer holds; nothing of its outcome was written."""

    code = "HS-D001"


class NonceSpent(Conflict):
    """The nonce of an ACME request was used before, at this server or at another one."""

    code, fault = "HS-D002", Fault.PEER


class Bug(HandselError):
    """An invariant of our own is broken."""

    code = "HS-X001"
