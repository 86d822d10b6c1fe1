"""What the messages of a recording say, joined. A message that cannot be read says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from handsel.diagnose.handshake import alerts, hello, parts
from handsel.diagnose.handshake.hello import ClientHello, ServerHello
from handsel.diagnose.handshake.model import Content, Kind, Message, Recording, Sender
from handsel.diagnose.handshake.parts import CertificateRequest
from handsel.pki.certificate import Certificate

_Value = TypeVar("_Value")
_TLS13 = 0x0304


@dataclass(frozen=True)
class Facts:
    """`first_hello` is the body of the first ClientHello. `shown`: whether this side showed a certificate; None when it
    was not asked, or did not come so far. `alert`: the one that the server sent, other than a goodbye."""

    first_hello: bytes = b""
    offered: ClientHello | None = None
    chosen: ServerHello | None = None
    retried: bool = False
    group: int | None = None
    chain: tuple[Certificate, ...] = ()
    chain_problem: str = ""
    asked: CertificateRequest | None = None
    shown: bool | None = None
    alert: int | None = None

    @property
    def tls13(self) -> bool:
        """Whether the server chose TLS 1.3."""
        return self.chosen is not None and self.chosen.version == _TLS13


def facts(recording: Recording) -> Facts:
    """Everything that the messages say."""
    hellos = [each for each in recording.messages if _is(each, Kind.CLIENT_HELLO)]
    answers = [_tried(hello.server_hello, each.body) for each in recording.messages if _is(each, Kind.SERVER_HELLO)]
    chosen = next((each for each in reversed(answers) if each and not each.retry), None)
    tls13 = chosen is not None and chosen.version == _TLS13
    chain, problem = _chain(recording, tls13=tls13)
    return Facts(
        first_hello=hellos[0].body if hellos else b"",
        offered=_tried(hello.client_hello, hellos[0].body) if hellos else None,
        chosen=chosen,
        retried=any(each.retry for each in answers if each),
        group=chosen.group if tls13 and chosen else _group(recording),
        chain=chain,
        chain_problem=problem,
        asked=_asked(recording, tls13=tls13),
        shown=_shown(recording, tls13=tls13),
        alert=_alert(recording),
    )


def certificates(ders: tuple[bytes, ...]) -> tuple[tuple[Certificate, ...], str]:
    """A chain as values, and what is wrong when one of them cannot be read."""
    found: list[Certificate] = []
    for number, der in enumerate(ders, 1):
        try:
            found.append(Certificate(der))
        except ValueError:
            return tuple(found), f"certificate {number} of {len(ders)} is malformed"
    return tuple(found), ""


def _chain(recording: Recording, *, tls13: bool) -> tuple[tuple[Certificate, ...], str]:
    for each in _of(recording, Sender.SERVER, Kind.CERTIFICATE):
        message = _tried(lambda body: parts.certificate(body, tls13=tls13), each.body)
        return certificates(message.chain) if message else ((), "its message cannot be read")
    return certificates(recording.chain)


def _asked(recording: Recording, *, tls13: bool) -> CertificateRequest | None:
    for each in _of(recording, Sender.SERVER, Kind.CERTIFICATE_REQUEST):
        return _tried(lambda body: parts.certificate_request(body, tls13=tls13), each.body)
    return None


def _shown(recording: Recording, *, tls13: bool) -> bool | None:
    for each in _of(recording, Sender.CLIENT, Kind.CERTIFICATE):
        message = _tried(lambda body: parts.certificate(body, tls13=tls13), each.body)
        return bool(message and message.chain)
    return None


def _group(recording: Recording) -> int | None:
    for each in _of(recording, Sender.SERVER, Kind.SERVER_KEY_EXCHANGE):
        exchange = _tried(parts.server_key_exchange, each.body)
        return exchange.group if exchange else None
    return None


def _alert(recording: Recording) -> int | None:
    for each in recording.messages:
        if each.content == Content.ALERT and each.sender is Sender.SERVER:
            said = _tried(parts.alert, each.body)
            if said and said[1] != alerts.CLOSE_NOTIFY:
                return said[1]
    return None


def _of(recording: Recording, sender: Sender, kind: Kind) -> Iterator[Message]:
    return (each for each in recording.messages if each.sender is sender and _is(each, kind))


def _is(message: Message, kind: Kind) -> bool:
    return message.content == Content.HANDSHAKE and message.kind == kind


def _tried(read: Callable[[bytes], _Value], body: bytes) -> _Value | None:
    try:
        return read(body)
    except ValueError:
        return None
