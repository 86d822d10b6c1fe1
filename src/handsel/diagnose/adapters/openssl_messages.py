"""The messages of a handshake, decrypted, from OpenSSL through the `ssl` module.

`SSLContext._msg_callback` is private; it is there since CPython 3.8 with the same arguments, in the standard library
for this very purpose, and nothing else gives the messages of TLS 1.3, which are encrypted on the wire. This file alone
knows of it. Where it is missing, `watch` says so and the handshake is told in fewer steps.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from handsel.diagnose.handshake.model import Content, Sender

_RECORD_HEADER, _INNER_CONTENT_TYPE = 0x100, 0x101  # what OpenSSL calls pseudo content types
_CHANGE = bytes([Content.CHANGE_CIPHER_SPEC])

Heard = Callable[[Sender, int, bytes, bool], None]
"""Called with the sender, what the record carries, the message with its header, and whether it was encrypted."""


def watch(context: ssl.SSLContext, heard: Heard) -> bool:
    """Have every message of the context's one connection told to `heard`; False when this Python cannot."""
    if not hasattr(ssl.SSLContext, "_msg_callback"):
        return False
    context._msg_callback = _Ear(heard)  # type: ignore[attr-defined]  # noqa: SLF001
    return True


@dataclass
class _Ear:
    heard: Heard
    inside: set[Sender] = field(default_factory=set)
    """Whose record just now is one of TLS 1.3 that is encrypted."""
    ciphered: set[Sender] = field(default_factory=set)
    """Who encrypts by now under TLS 1.2."""
    version: int = 0

    def __call__(
        self, _connection: object, direction: str, version: int, content: int, _kind: int, data: bytes
    ) -> None:
        sender = Sender.SERVER if direction == "read" else Sender.CLIENT
        if content == _RECORD_HEADER:
            self.inside.discard(sender)
            # OpenSSL tells of the ChangeCipherSpec that it writes, and of the other side's only as a record.
            if sender is Sender.SERVER and data[:1] == _CHANGE:
                self._change(sender)
        elif content == _INNER_CONTENT_TYPE:
            self.inside.add(sender)
        elif content == Content.CHANGE_CIPHER_SPEC and sender is Sender.CLIENT:
            self._change(sender)
        elif content in (Content.ALERT, Content.HANDSHAKE):
            self.version = int(version)
            self.heard(sender, int(content), bytes(data), sender in self.inside or sender in self.ciphered)

    def _change(self, sender: Sender) -> None:
        """Under TLS 1.2 its sender encrypts from now on; under 1.3 it means nothing."""
        self.heard(sender, Content.CHANGE_CIPHER_SPEC, b"\x01", False)
        if self.version == ssl.TLSVersion.TLSv1_2:
            self.ciphered.add(sender)
