"""What the tests of secrets share."""

from __future__ import annotations

import random as chances
from datetime import datetime, timedelta

from handsel.pki.secret import Secret
from handsel.secrets import service
from handsel.secrets.envelope import LocalKey
from handsel.secrets.model import Entry, Kind, Version
from handsel.secrets.service import Known, Wish
from tests.support import NOW

_chances = chances.Random(7)


def random(count: int) -> bytes:
    return _chances.randbytes(count)


def local_key(byte: int = 1) -> LocalKey:
    return LocalKey(Secret(bytes([byte]) * 32), "file", random)


def version(name: str = "db", number: int = 1, kind: Kind = Kind.OPAQUE, expires: datetime | None = None) -> Version:
    return Version(name, number, f"{name}-{number}", kind, 5, expires, "", NOW, "local")


def known(*names: str, kind: Kind = Kind.OPAQUE, **more) -> Known:
    return Known({name: Entry(name, kind, {}, 10, 1, NOW, "local") for name in names}, **more)


def put(*wishes: Wish, known: Known | None = None, now: datetime = NOW, **more):
    return service.put(wishes, known or Known({}), local_key(), by="local", now=now, random=random, **more)


def wish(name: str = "db", value: bytes | None = b"hello", **more) -> Wish:
    return Wish(name, None if value is None else Secret(value), **more)


DAY = timedelta(days=1)
