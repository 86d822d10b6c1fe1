"""Contexts that stay and change: what they hand out is made of the files as they are now."""

from __future__ import annotations

import logging
import ssl
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from handsel.errors import ContextRefused, HandselError
from handsel.model.context import TlsContext
from handsel.tls.adapters import looks
from handsel.tls.adapters.engine import Look, Looking, build
from handsel.tls.adapters.files import Reader

_log = logging.getLogger("handsel.tls")
_LOOK_SECONDS = 1.0


class InsecureContextWarning(UserWarning):
    """A context that checks nothing was used."""


class Source:
    """Makes the `ssl.SSLContext` of one side of a context, and makes it anew when a file has changed.

    What does not work any more is said in the log, and the last good one stays: a file that is half written, or gone
    for a moment, ends no service.
    """

    def __init__(self, declared: TlsContext, *, server: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._declared = declared
        self._server = server
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self.made, self._reader = self._make()

    def newest(self) -> Looking:
        """The context for a connection that begins now."""
        if self._declared.insecure:
            warnings.warn(
                f"the TLS context {self._declared.name!r} is insecure: it checks nothing, and is for tests only",
                InsecureContextWarning, stacklevel=3,
            )  # fmt: skip
        if self._clock() - self._looked >= _LOOK_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._look_again()
            finally:
                self._lock.release()
        return self.made

    def _look_again(self) -> None:
        self._looked = self._clock()
        if not self._reader.changed():
            return
        try:
            self.made, self._reader = self._make()
            _log.info("the TLS context %r was loaded anew", self._declared.name)
        except (HandselError, ssl.SSLError) as error:
            _log.error("the TLS context %r stays as it was: %s", self._declared.name, error)

    def _make(self) -> tuple[Looking, Reader]:
        """Raises `ContextRefused` or the error of a store."""
        declared, reader = self._declared, Reader()
        recipe = reader.recipe(declared)
        if self._server and recipe.identity is None:
            raise ContextRefused(
                f"the context {declared.name!r} has no key_store, which a server needs", next_step="declare one"
            )
        wanted: list[Look] = []
        if declared.peers:
            wanted.append(looks.peers(declared.peers))
        if declared.revocation is not None:
            looks.check_lists(declared.revocation, reader.read)
            wanted.append(looks.RevocationLook(declared.revocation, reader.read))
        try:
            return build(recipe, server=self._server, looks=tuple(wanted)), reader
        except ssl.SSLError as error:
            raise ContextRefused(f"the context {declared.name!r} cannot be made: {error}") from error


class Live(ssl.SSLContext):
    """An `ssl.SSLContext` for ever: each connection is made by the newest one of its source.

    What others do to it, such as loading more roots, does not reach the connections.
    """

    source: Source

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return self.source.newest().wrap_socket(*arguments, **named)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        return self.source.newest().wrap_bio(*arguments, **named)


def live(declared: TlsContext, *, server: bool) -> Live:
    """One side of a context. Raises `ContextRefused` or the error of a store."""
    source = Source(declared, server=server)
    made = Live(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    # Libraries ask for these before they use it.
    made.check_hostname, made.verify_mode = source.made.check_hostname, source.made.verify_mode
    made.source = source
    return made
