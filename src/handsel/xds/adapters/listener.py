"""A gRPC server on a Unix socket that appears at once with its owner and mode, and can be made anew.

gRPC binds beside the path; the finished socket is then moved there. So nobody can open it before it has its mode, what
lies at the path is replaced, and gRPC, which deletes what it had bound when it stops, deletes nothing that is newer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from handsel.errors import StateError

_OPTIONS = (
    # A burst of streams must not be ended silently (defaults: 1,000 and 3,000).
    ("grpc.server.max_pending_requests", 10**6),
    ("grpc.server.max_pending_requests_hard_limit", 10**6),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),
)


class Listener:
    """Serves `handlers` at `path` from `start` to `stop`."""

    def __init__(
        self,
        path: Path,
        handlers: Sequence[grpc.GenericRpcHandler[Any, Any]],
        *,
        mode: int,
        owner: tuple[int, int] | None,
    ) -> None:
        self._path = path
        self._mode = mode
        self._owner = owner
        self._inode: tuple[int, int] | None = None
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(tuple(handlers))

    async def start(self) -> None:
        """Listen. Raises `StateError` when the socket cannot be made."""
        # As long as the path itself, which was checked to fit into an address.
        beside = self._path.with_name(f"{self._path.name[:-1]}~")
        try:
            self._bind(beside)
            await self._server.start()
            beside.chmod(self._mode)
            if self._owner is not None:
                os.chown(beside, *self._owner)
            self._inode = _inode(beside)
            beside.replace(self._path)
        except (RuntimeError, OSError) as error:
            await self._server.stop(grace=None)
            raise StateError(f"the socket {self._path} cannot be made: {error}") from error

    @property
    def is_there(self) -> bool:
        """Whether the path still leads here."""
        return self._inode is not None and _inode(self._path) == self._inode

    async def stop(self, grace: float) -> None:
        """End every stream after `grace` seconds, then listen no more."""
        await self._server.stop(grace)
        if self.is_there:
            self._path.unlink(missing_ok=True)

    def _bind(self, path: Path) -> None:
        before = os.umask(0o177)
        try:
            self._server.add_insecure_port(f"unix:{path}")  # plain: only its owner can open the socket
        finally:
            os.umask(before)


def _inode(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat(follow_symlinks=False)
        return found.st_dev, found.st_ino
    return None
