"""The load, over raw sockets on loopback: clients that wait for their answers, or a fixed rate that does not wait."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field

REQUEST = b"GET /bench HTTP/1.1\r\nHost: callee\r\n\r\n"
TIMEOUT_SECONDS = 5.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class Failed(Exception):
    """A request that did not get its whole 200."""


@dataclass
class Sample:
    """What came of some load. `offered` is in requests a second; a client that waits offers none."""

    offered: float | None = None
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    generator_share: float = 0.0

    @property
    def achieved(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """The latency, in seconds, that so large a share of the requests stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class Caller:
    """One connection of a client, with at most one request under way. `fresh`: a new connection for each request."""

    def __init__(self, port: int, *, fresh: bool = False) -> None:
        self._port = port
        self._fresh = fresh
        self._socket: socket.socket | None = None
        self._received = b""
        self.due = 0.0

    def ask(self, due: float) -> None:
        """Send a request that should have started at `due`."""
        self.due = due
        self._received = b""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(REQUEST)
        except OSError as error:
            raise self._failed(f"cannot send: {error}") from error

    def read(self) -> bool:
        """Take what has come; whether the answer is whole. Raises `Failed`."""
        if self._socket is None:
            raise Failed("no connection")
        try:
            piece = self._socket.recv(65536)
        except OSError as error:
            raise self._failed(f"cannot read: {error}") from error
        if not piece:
            raise self._failed(f"closed after {len(self._received)} bytes of an answer")
        self._received += piece
        head, end, body = self._received.partition(_HEAD_END)
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise self._failed(f"answered {head.split(_HEAD_END[:2])[0].decode('latin-1')}")
        head = head.lower()
        if len(body) < int(head.partition(_LENGTH)[2].split(b"\r", 1)[0]):
            return False
        if self._fresh or b"connection: close" in head:
            self.close()
        return True

    def wait(self) -> None:
        """Until the answer is whole. Raises `Failed`."""
        while not self.read():
            pass

    def give_up(self) -> Failed:
        """It took too long."""
        return self._failed(f"no answer in {TIMEOUT_SECONDS:g} s")

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket else -1

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _failed(self, reason: str) -> Failed:
        self.close()
        return Failed(reason)


def once(port: int) -> bool:
    """Whether one request on a new connection gets its 200."""
    caller = Caller(port, fresh=True)
    try:
        caller.ask(0)
        caller.wait()
    except Failed:
        return False
    return True


def serial(port: int, seconds: float) -> Sample:
    """One client, one connection, the next request when the answer is there."""
    sample = Sample()
    caller = Caller(port)
    _warm_up([caller], sample)
    clock = _Clock(sample)
    while clock.elapsed() < seconds:
        started = time.perf_counter()
        try:
            caller.ask(started)
            caller.wait()
            sample.latencies.append(time.perf_counter() - started)
        except Failed as error:
            sample.errors.append(str(error))
            time.sleep(0.01)
    clock.stop()
    caller.close()
    return sample


def open_loop(port: int, rate: float, seconds: float, callers: int, *, fresh: bool = False) -> Sample:
    """Requests at evenly spread moments, each timed from the moment at which it should have started."""
    return _OpenLoop(port, rate, seconds, callers, fresh=fresh).run()


def closed_loop(port: int, seconds: float, callers: int, *, fresh: bool = False) -> Sample:
    """So many clients, each asking again as soon as its answer is there: what a side can carry, and no more."""
    sample = Sample()
    all_callers = [Caller(port, fresh=fresh) for _ in range(callers)]
    if not fresh:
        _warm_up(all_callers, sample)
    clock = _Clock(sample)
    busy = [each for each in all_callers if _begin(each, sample)]
    while clock.elapsed() < seconds and len(sample.errors) < callers:
        readable, _, _ = select.select(busy, (), (), TIMEOUT_SECONDS)
        if not readable:
            sample.errors.append(f"no answer in {TIMEOUT_SECONDS:g} s")
            break
        for caller in readable:
            try:
                if caller.read():
                    now = time.perf_counter()
                    sample.latencies.append(now - caller.due)
                    caller.ask(now)
            except Failed as error:
                sample.errors.append(str(error))
                busy = [each for each in busy if each is not caller]
    clock.stop()
    for caller in all_callers:
        caller.close()
    return sample


def _begin(caller: Caller, sample: Sample) -> bool:
    try:
        caller.ask(time.perf_counter())
    except Failed as error:
        sample.errors.append(str(error))
        return False
    return True


class _OpenLoop:
    def __init__(self, port: int, rate: float, seconds: float, callers: int, *, fresh: bool) -> None:
        self._sample = Sample(offered=rate)
        self._fresh = fresh
        self._interval = 1 / rate
        self._left = round(rate * seconds)
        self._idle = [Caller(port, fresh=fresh) for _ in range(callers)]
        self._busy: list[Caller] = []

    def run(self) -> Sample:
        if not self._fresh:
            _warm_up(self._idle, self._sample)
        clock = _Clock(self._sample)
        self._next = time.perf_counter()
        while self._left or self._busy:
            self._send_due()
            self._receive()
        clock.stop()
        for caller in self._idle:
            caller.close()
        return self._sample

    def _send_due(self) -> None:
        while self._left and self._idle and self._next <= time.perf_counter():
            # The one that has rested longest, so that every connection is used.
            caller, due = self._idle.pop(0), self._next
            self._next += self._interval
            self._left -= 1
            try:
                caller.ask(due)
                self._busy.append(caller)
            except Failed as error:
                self._idle.append(caller)
                self._sample.errors.append(str(error))

    def _receive(self) -> None:
        # `select` waits to the microsecond; asyncio and epoll round up to a millisecond.
        wait = max(self._next - time.perf_counter(), 0) if self._left and self._idle else 0.1
        readable, _, _ = select.select(self._busy, (), (), wait)
        for caller in readable:
            try:
                if caller.read():
                    self._sample.latencies.append(time.perf_counter() - caller.due)
                    self._rest(caller)
            except Failed as error:
                self._rest(caller, error)
        self._give_up()

    def _give_up(self) -> None:
        latest = time.perf_counter() - TIMEOUT_SECONDS
        for caller in [each for each in self._busy if each.due < latest]:
            self._rest(caller, caller.give_up())

    def _rest(self, caller: Caller, error: Failed | None = None) -> None:
        self._busy.remove(caller)
        self._idle.append(caller)
        if error is not None:
            self._sample.errors.append(str(error))


def _warm_up(callers: list[Caller], sample: Sample) -> None:
    """A request on each connection that does not count, so that no handshake is timed."""
    for caller in callers:
        try:
            caller.ask(0)
            caller.wait()
        except Failed as error:
            sample.errors.append(str(error))


class _Clock:
    """Times a sample, and how much of a core its generator took (of this thread)."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._started = time.perf_counter()
        self._cpu = time.thread_time()

    def elapsed(self) -> float:
        return time.perf_counter() - self._started

    def stop(self) -> None:
        self._sample.seconds = self.elapsed()
        self._sample.generator_share = (time.thread_time() - self._cpu) / self._sample.seconds
