"""Deliveries as they travel in an assignment. `wire.proto` is the format."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import PurePosixPath

from handsel.link import wire_pb2 as wire
from handsel.model.delivery import Content, Delivery, Reload

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_MODES = 0o777


def encode_delivery(delivery: Delivery) -> wire.Delivery:
    """The message of a delivery."""
    reload = delivery.reload
    return wire.Delivery(
        name=delivery.name,
        folder=delivery.folder,
        owner=delivery.owner,
        password_file=delivery.password_file,
        contents=[
            wire.Delivery.Content(
                name=c.name, kind=c.kind, alias=c.alias, owner=c.owner, mode=c.mode, source=c.source
            )
            for c in delivery.contents
        ],
        reload=wire.Delivery.Reload(
            signal=reload.signal, pid_file=reload.pid_file, command=reload.command, url=reload.url,
            method=reload.method, timeout_ms=round(reload.timeout.total_seconds() * 1000),
        ) if reload.is_wanted else None,
    )  # fmt: skip


def decode_delivery(message: wire.Delivery) -> Delivery:
    """The delivery of a message. Raises `ValueError` for names and paths that lead elsewhere.

    Kinds and signals are taken as they are: those of a newer server must not cost this host its whole assignment.
    """
    folder = PurePosixPath(message.folder)
    if not _NAME.fullmatch(message.name):
        raise ValueError(f"{message.name[:80]!r} is no delivery's name")
    if not folder.is_absolute() or ".." in folder.parts or not folder.name or "\0" in message.folder:
        raise ValueError(f"the delivery {message.name} has no absolute folder")
    contents = []
    for each in message.contents:
        if not _FILE.fullmatch(each.name):
            raise ValueError(f"the delivery {message.name} has a file {each.name[:80]!r}")
        contents.append(Content(each.name, each.kind, each.alias, each.owner, each.mode & _MODES, each.source))
    if len({each.name for each in contents}) != len(contents):
        raise ValueError(f"the delivery {message.name} has two files of one name")
    reload = _decode_reload(message.reload) if message.HasField("reload") else Reload()
    return Delivery(
        message.name, str(folder), tuple(contents), message.owner, reload, message.password_file
    )  # fmt: skip


def _decode_reload(message: wire.Delivery.Reload) -> Reload:
    timeout = timedelta(milliseconds=message.timeout_ms or 10_000)
    return Reload(
        message.signal, message.pid_file, tuple(message.command), message.url, message.method or "POST", timeout
    )
