"""Probes: one connection each, bounded in time, telling exactly how the other side answered.

Under TLS 1.3 a refusal of the client's certificate comes after the handshake, at the first read: every probe waits for
it before it says that it was let in.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handsel.diagnose.proof import Attempt, Outcome

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 3.0
# How long a server may take to refuse after the handshake. It decides at once; this is a hundred times its need.
_SETTLE_SECONDS = 0.4
_HTTP2_PREFACE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
)  # RFC 9113, 3.4; SETTINGS


@dataclass(frozen=True)
class PairFiles:
    """A client certificate's chain and key in files."""

    chain: Path
    key: Path


def plaintext(address: tuple[str, int]) -> Attempt:
    """Speak HTTP without TLS. The other side should hang up without a byte."""
    try:
        with _connection(address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: probe\r\n\r\n")
            return Attempt(Outcome.ANSWERED) if connection.recv(1) else Attempt(Outcome.CLOSED)
    except TimeoutError:
        return Attempt(Outcome.SILENT)
    except ConnectionResetError:
        return Attempt(Outcome.CLOSED)
    except OSError:
        return Attempt(Outcome.UNREACHABLE)


def tls(address: tuple[str, int], pair: PairFiles | None, *, http2: bool = False, newest: bool = True) -> Attempt:
    """Speak TLS 1.3 (or 1.2 only) with this client certificate, or none, and see whether the other side lets us in.

    The server's certificate is not checked: it is the server's judgement that is asked for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    version = ssl.TLSVersion.TLSv1_3 if newest else ssl.TLSVersion.TLSv1_2
    context.minimum_version = context.maximum_version = version
    if http2:
        context.set_alpn_protocols(["h2"])
    if pair is not None:
        context.load_cert_chain(pair.chain, pair.key)
    try:
        with _connection(address) as connection, context.wrap_socket(connection) as wrapped:
            return _see_whether_let_in(wrapped, http2=http2)
    except ssl.SSLError as error:
        return _alert(error)
    except TimeoutError:
        return Attempt(Outcome.SILENT)
    except (ConnectionResetError, BrokenPipeError):
        return Attempt(Outcome.CLOSED)
    except OSError:
        return Attempt(Outcome.UNREACHABLE)


def _see_whether_let_in(connection: ssl.SSLSocket, *, http2: bool) -> Attempt:
    """Wait for an alert. Nothing, or bytes of the application's, mean that we are in; an end does not.

    Nothing is sent before: bytes that reach a closed connection would answer with a reset, and the alert be lost.
    """
    connection.settimeout(_SETTLE_SECONDS)
    try:
        return Attempt(Outcome.LET_IN) if connection.recv(1) else Attempt(Outcome.CLOSED)
    except TimeoutError:
        if not http2:
            return Attempt(Outcome.LET_IN)
    connection.settimeout(_ANSWER_SECONDS)
    connection.sendall(_HTTP2_PREFACE)
    return Attempt(Outcome.LET_IN) if connection.recv(1) else Attempt(Outcome.CLOSED)


def _alert(error: ssl.SSLError) -> Attempt:
    """The alert behind an error of OpenSSL, such as TLSV13_ALERT_CERTIFICATE_REQUIRED."""
    reason = error.reason or ""
    _, separator, name = reason.partition("_ALERT_")
    if not separator:
        return Attempt(Outcome.CLOSED)
    return Attempt(Outcome.ALERT, name.lower())


@dataclass(frozen=True)
class Answer:
    """The answer to a real request; `client` is the address from which it went out, as the proxy's log has it."""

    client: str
    received: bool


def request_http1(address: tuple[str, int], target: str, host: str) -> Answer:
    """A plain GET; any status is an answer."""
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: handsel-proof\r\n\r\n"
    return _ask(address, head.encode(), b"HTTP/1.")


def request_http2(address: tuple[str, int], path: str, authority: str) -> Answer:
    """A gRPC-shaped POST over plain HTTP/2; a HEADERS frame on its stream is an answer (RFC 9113, section 6.2)."""
    fields = [
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", authority.encode()),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"),
    ]  # fmt: skip
    # RFC 7541, section 6.2.2: literal without indexing, new name; all lengths here are below 127.
    block = b"".join(b"\x00" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in fields)
    headers = len(block).to_bytes(3, "big") + b"\x01\x04\x00\x00\x00\x01" + block  # END_HEADERS, stream 1
    body = b"\x00\x00\x05\x00\x01\x00\x00\x00\x01" + b"\x00" * 5  # an empty gRPC message, END_STREAM
    return _ask(address, _HTTP2_PREFACE + headers + body, None)


def open_tcp(address: tuple[str, int]) -> Answer:
    """A connection that stays open for a moment; whether it reached the callee is in the logs."""
    try:
        with _connection(address) as connection:
            client = _name(connection)
            connection.settimeout(_SETTLE_SECONDS)
            try:
                alive = connection.recv(1) != b""
            except TimeoutError:
                alive = True
            return Answer(client, alive)
    except OSError:
        return Answer("", received=False)


def _ask(address: tuple[str, int], request: bytes, expected: bytes | None) -> Answer:
    client = ""
    try:
        with _connection(address) as connection:
            client = _name(connection)
            connection.sendall(request)
            if expected is not None:
                return Answer(client, _read(connection, len(expected)) == expected)
            return Answer(client, any(kind == 1 and stream == 1 for kind, stream in _frames(connection)))
    except OSError:
        return Answer(client, received=False)


def _frames(connection: socket.socket) -> Iterator[tuple[int, int]]:
    """(type, stream) of each HTTP/2 frame that comes, until the other side ends."""
    while len(head := _read(connection, 9)) == 9:
        yield head[3], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
        _read(connection, int.from_bytes(head[:3], "big"))


def _read(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length and (piece := connection.recv(length - len(received))):
        received += piece
    return received


@contextlib.contextmanager
def _connection(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=_CONNECT_SECONDS) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        yield connection


def _name(connection: socket.socket) -> str:
    host, port = connection.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
