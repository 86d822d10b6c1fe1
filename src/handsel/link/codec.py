"""How values and the messages of `wire.proto` become each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from handsel.errors import ProtocolError
from handsel.pki.certificate import Certificate

_M = TypeVar("_M", bound=Message)
_V = TypeVar("_V")


def decode(kind: type[_M], body: bytes, build: Callable[[_M], _V]) -> _V:
    """What `build` makes of a message in `body`. Raises `ProtocolError` for bytes that are no such message."""
    message = kind()
    try:
        message.ParseFromString(body)
        return build(message)
    except (DecodeError, ValueError, OverflowError, OSError) as error:  # the last two: a time out of range
        raise ProtocolError(f"a malformed {kind.DESCRIPTOR.name}: {error}") from error


def ders(chain: tuple[Certificate, ...]) -> list[bytes]:
    return [certificate.der for certificate in chain]


def certificates(field: object) -> tuple[Certificate, ...]:
    return tuple(Certificate(der) for der in field)  # type: ignore[attr-defined]  # a repeated field has no public type
