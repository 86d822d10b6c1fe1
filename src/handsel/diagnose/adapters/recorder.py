"""Makes a handshake and records it: every message, every flight, and what comes in the moment after it.

Nothing is verified here, since what cannot be believed shall be seen too; so nothing is ever sent over the connection.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

from handsel.diagnose.adapters import openssl_messages
from handsel.diagnose.handshake.model import After, End, Flight, Message, Recording, Sender
from handsel.diagnose.handshake.speech import is_tls
from handsel.model.context import TlsContext
from handsel.tls.adapters.engine import build
from handsel.tls.recipe import Identity, Recipe

# What ordinary clients offer, and what is weak as well: it is there to be seen. Nothing without a certificate.
_SUITES = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!PSK:!SRP:@SECLEVEL=0"
)
_CHUNK = 16 << 10
_MOST_BYTES = 1 << 20
_MOST_MESSAGES = 100
_FIRST = 256
_DER = 2  # `_ssl.ENCODING_DER`


@dataclass(frozen=True)
class Offer:
    """What this side says of itself. `server_name` is sent as SNI, unless it is empty or an address."""

    server_name: str = ""
    identity: Identity | None = None
    protocols: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patience:
    """In seconds: for everything up to the end of the handshake, and for what comes after it."""

    timeout: float = 10.0
    after: float = 1.0


def record(host: str, port: int, offer: Offer, patience: Patience) -> Recording:
    """A handshake with this port, to its end or to what ends it. Raises `ssl.SSLError` for an identity of no use."""
    wanted = TlsContext("handshake", protocols=offer.protocols, alpn=offer.alpn, insecure=True)
    context = build(Recipe(wanted, offer.identity, None), server=False, looks=())
    context.set_ciphers(_SUITES)
    line = _Line(time.monotonic(), patience)
    whole = openssl_messages.watch(context, line.heard)
    try:
        addresses = _resolve(host, port, line)
    except OSError as error:
        return Recording(End.NO_NAME, error=_said(error))
    connection, seen = _connect(addresses, line)
    seen = replace(seen, looked_up=line.looked_up, whole=whole)
    if connection is None:
        return seen
    with connection:
        line.socket = connection
        tls = context.wrap_bio(line.incoming, line.outgoing, server_hostname=offer.server_name or None)
        return _shake(tls, line, seen)


@dataclass
class _Line:
    """A connection whose bytes and messages are written down."""

    start: float
    patience: Patience
    socket: socket.socket | None = None
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    messages: list[Message] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    first: bytes = b""
    got: int = 0
    came: float = 0.0
    sent: float = 0.0
    looked_up: float = 0.0

    def now(self) -> float:
        return time.monotonic() - self.start

    def left(self) -> float:
        """How much of the time is left. Raises `TimeoutError`."""
        left = self.patience.timeout - self.now()
        if left <= 0:
            raise TimeoutError
        return left

    def heard(self, sender: Sender, content: int, data: bytes, encrypted: bool) -> None:
        """A message, as OpenSSL read or wrote it."""
        if len(self.messages) >= _MOST_MESSAGES:
            return
        ours = sender is Sender.CLIENT
        flight = len(self.flights) - 1
        if ours and (not self.flights or self.flights[-1].sender is Sender.SERVER):
            flight += 1  # which is sent as soon as OpenSSL has written all of it
        handshake = content == 22
        kind, body = (data[0] if data else -1, data[4:] if handshake else data)
        at = self.now() if ours else self.came
        self.messages.append(Message(sender, content, kind, body, at, flight, encrypted))

    def flush(self) -> None:
        """Send what OpenSSL has written. Raises `OSError`."""
        data = self.outgoing.read()
        if data and self.socket is not None:
            self._travelled(Sender.CLIENT, len(data))
            self.sent = self.now()
            self.socket.sendall(data)

    def receive(self, seconds: float) -> bytes:
        """The next bytes; none at the end. Raises `OSError`, `TimeoutError` after so many seconds."""
        assert self.socket is not None  # noqa: S101  # for the types: nobody receives before it stands
        self.socket.settimeout(seconds)
        data = self.socket.recv(_CHUNK)
        self.came = self.now()
        self.got += len(data)
        if data:
            self.first += data[: _FIRST - len(self.first)]
            self._travelled(Sender.SERVER, len(data))
            self.incoming.write(data)
        return data

    def _travelled(self, sender: Sender, size: int) -> None:
        if self.flights and self.flights[-1].sender is sender:
            self.flights[-1] = replace(self.flights[-1], size=self.flights[-1].size + size)
        else:
            self.flights.append(Flight(sender, self.now(), size))


def _resolve(host: str, port: int, line: _Line) -> list[tuple[Any, ...]]:
    """The addresses of a name. The system's own way has no limit of time, so it is asked beside. Raises `OSError`."""
    name = host.encode("ascii", "replace")  # as A-labels, and so without Python's own idea of them
    with contextlib.suppress(socket.gaierror):
        return list(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    answers: queue.Queue[list[tuple[Any, ...]] | OSError] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=line.left())
    except queue.Empty:
        raise TimeoutError("the name servers do not answer") from None
    if isinstance(found, OSError):
        raise found
    line.looked_up = line.now()
    return found


def _connect(addresses: list[tuple[Any, ...]], line: _Line) -> tuple[socket.socket | None, Recording]:
    """The first address that answers, each with its share of the time."""
    seen = Recording(End.NO_CONNECTION, error="the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        where = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
        attempt = socket.socket(family, kind, protocol)
        try:
            attempt.settimeout(line.left() / (len(addresses) - number))
            attempt.connect(address)
        except OSError as error:
            attempt.close()
            end = End.REFUSED if isinstance(error, ConnectionRefusedError) else End.NO_CONNECTION
            seen = Recording(end, where, _said(error))
            continue
        return attempt, Recording(End.DONE, where, connected=line.now())
    return None, seen


def _shake(tls: ssl.SSLObject, line: _Line, seen: Recording) -> Recording:
    end, error = _handshake(tls, line)
    seen = replace(seen, end=end, error=error)
    if end is End.DONE:
        seen = replace(
            seen, finished=line.now(), version=tls.version() or "", suite=(tls.cipher() or ("",))[0],
            alpn=tls.selected_alpn_protocol() or "",
        )  # fmt: skip
        seen = _listen(tls, line, replace(seen, chain=_chain(tls)))
    seen = replace(seen, first=line.first, messages=tuple(line.messages), flights=tuple(line.flights))
    with contextlib.suppress(OSError, ValueError):  # a goodbye, which is a courtesy
        tls.unwrap()
    with contextlib.suppress(OSError):
        line.flush()
    return seen


def _handshake(tls: ssl.SSLObject, line: _Line) -> tuple[End, str]:
    """How it ended, and what was said about it."""
    try:
        while not _step(tls, line):
            if not line.receive(line.left()):
                return End.CLOSED, "the connection was closed"
            if not is_tls(line.first):
                return End.NOT_TLS, ""
            if line.got > _MOST_BYTES:
                return End.TOO_MUCH, f"more than {_MOST_BYTES >> 20} MiB came"
    except TimeoutError:
        return End.SILENT, f"nothing came for {line.now() - max(line.came, line.sent):.1f} s"
    except OSError as error:
        return End.RESET if isinstance(error, ConnectionError) else End.FAILED, _said(error)
    return End.DONE, ""


def _step(tls: ssl.SSLObject, line: _Line) -> bool:
    """Have OpenSSL read what came and send what it has to say. Whether it is done. Raises `OSError`."""
    try:
        tls.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False
    finally:
        line.flush()


def _listen(tls: ssl.SSLObject, line: _Line, seen: Recording) -> Recording:
    """What comes in the moment after: under TLS 1.3 a server refuses a client's certificate only now."""
    since, came, error = line.now(), After.NOTHING, ""
    try:
        while came is After.NOTHING and line.got <= _MOST_BYTES:
            came = _look(tls)
            left = line.patience.after - (line.now() - since)
            if came is After.NOTHING and not line.receive(max(left, 0.001)):
                came = After.CLOSED
    except TimeoutError:
        pass
    except ssl.SSLError as said:
        error = _said(said)
        came = After.ALERT if "ALERT" in error.upper() else After.FAILED
    except OSError as said:
        came, error = After.RESET, _said(said)
    return replace(seen, after=came, after_at=line.now(), error=error, waited=line.now() - since)


def _chain(tls: Any) -> tuple[bytes, ...]:
    """The chain as it was sent, for when there are no messages to read it from."""
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return tuple(tls.get_unverified_chain() or ())
    return tuple(each.public_bytes(_DER) for each in tls._sslobj.get_unverified_chain() or ())  # noqa: SLF001


def _look(tls: ssl.SSLObject) -> After:
    """What OpenSSL makes of the bytes that came. Raises `ssl.SSLError`."""
    try:
        return After.DATA if tls.read(1) else After.GOODBYE
    except ssl.SSLZeroReturnError:
        return After.GOODBYE
    except ssl.SSLWantReadError:
        return After.NOTHING


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason)
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time"
    return error.strerror or str(error)
