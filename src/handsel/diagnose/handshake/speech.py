"""What a server speaks that answers a ClientHello with something else than TLS."""

from __future__ import annotations

import re

_MOST_SHOWN = 60

_SPOKEN = (
    (rb"HTTP/\d", "plain HTTP", "this port has no TLS: use http://, or the server's other port"),
    (rb"SSH-\d", "SSH", "this is an SSH server: ssh, not TLS"),
    (rb"220[ -].*(?i:ftp)", "FTP before its STARTTLS", "use its port for TLS from the start, mostly 990"),
    (rb"220[ -]", "SMTP before its STARTTLS", "use its port for TLS from the start, mostly 465"),
    (rb"\* OK", "IMAP before its STARTTLS", "use its port for TLS from the start, mostly 993"),
    (rb"\+OK", "POP3 before its STARTTLS", "use its port for TLS from the start, mostly 995"),
    (rb"-ERR", "Redis or POP3, without TLS", "this port has no TLS"),
    (rb"AMQP", "AMQP without TLS", "use its port for TLS, mostly 5671"),
    (rb"\x00\x00.\x04", "plain HTTP/2", "this port has no TLS: use http://, or the server's other port"),
    (rb"...\x00(\x0a|\xff)", "MySQL, whose TLS begins later", "its own client can ask for TLS"),
    (rb"[EN]$|E\x00\x00", "PostgreSQL, whose TLS begins later", "psql with sslmode=verify-full asks for TLS"),
    (rb"\s*<(?i:!doctype|html|\?xml)", "a page of HTML or XML", "this port has no TLS"),
)  # fmt: skip


def is_tls(first: bytes) -> bool:
    """Whether an answer begins as a record does (RFC 8446, section 5.1). Two bytes tell; of one the first does."""
    return first[:1] in (b"\x14", b"\x15", b"\x16", b"\x17") and first[1:2] in (b"", b"\x03")


def spoken(first: bytes) -> tuple[str, str]:
    """What it looks like, and what to do."""
    for pattern, what, fix in _SPOKEN:
        if re.match(pattern, first, re.DOTALL):
            return what, fix
    return "no protocol that is known here", "is it the right port? TLS must begin with the first byte"


def shown(first: bytes) -> str:
    """Its beginning, for people: the first line where it is text, else digits."""
    line = first.splitlines()[0][:_MOST_SHOWN] if first.strip() else b""
    text = line.decode("ascii", "replace")
    if text and all(character.isprintable() and character != "\ufffd" for character in text):
        return f"“{text}”"
    return first[:16].hex(" ")
