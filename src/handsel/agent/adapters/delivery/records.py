"""What an agent remembers of its deliveries: those that were asked for here, passwords, folders, who was told what."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handsel.agent.delivery import Wanted
from handsel.errors import HandselError, StateError
from handsel.model.delivery import Delivery
from handsel.model.delivery_file import parse_wish
from handsel.pki.secret import Secret
from handsel.store.adapters.files import make_folder, read_password, write_file

_KEY_BYTES = 32


@dataclass(frozen=True)
class Record:
    """Of one delivery: its folder, and the mark of the version that its program was last told of."""

    folder: str
    told: str = ""


class DeliveryRecords:
    """A folder of the agent's state: `SERVICE.NAME/{record.json,wish.json,password}` and the key of the marks."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def mark_key(self) -> bytes:
        """Made once. Raises `StateError`."""
        path = self._place / "mark.key"
        with _translated(path):
            make_folder(self._place)
            if not path.exists():
                write_file(path, secrets.token_bytes(_KEY_BYTES))
            return path.read_bytes()

    def load(self) -> tuple[dict[str, Record], dict[str, Wanted], list[str]]:
        """Every record and every wish by the delivery's id, and what of them cannot be read."""
        records: dict[str, Record] = {}
        wishes: dict[str, Wanted] = {}
        problems: list[str] = []
        for folder in sorted(self._place.glob("*.*/")):
            name = "/".join(folder.name.split(".", 1))
            try:
                if (folder / "record.json").exists():
                    records[name] = Record(**json.loads((folder / "record.json").read_text()))
                if (folder / "wish.json").exists():
                    wishes[name] = read_wish(json.loads((folder / "wish.json").read_text()))
            except (OSError, ValueError, TypeError, HandselError) as error:
                problems.append(f"{folder} cannot be read: {error}")
        return records, wishes, problems

    def save_record(self, name: str, record: Record) -> None:
        self._write(name, "record.json", json.dumps(asdict(record)).encode())

    def save_wish(self, name: str, wish: dict[str, Any]) -> None:
        self._write(name, "wish.json", json.dumps(wish).encode())

    def drop_wish(self, name: str) -> None:
        """It is not asked for here any more; what is remembered beside that stays."""
        with _translated(self._of(name)):
            (self._of(name) / "wish.json").unlink(missing_ok=True)

    def password(self, name: str, delivery: Delivery) -> Secret | None:
        """Of its stores: from its file, or made once. Raises `StateError`, `UsageError`."""
        if not delivery.has_stores:
            return None
        if delivery.password_file:
            return read_password(Path(delivery.password_file))
        path = self._of(name) / "password"
        with _translated(path):
            if not path.exists():
                self._write(name, "password", secrets.token_hex(16).encode())
            return Secret(path.read_bytes())

    def forget(self, name: str) -> None:
        with _translated(self._of(name)), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._of(name))

    def _write(self, name: str, file: str, content: bytes) -> None:
        folder = self._of(name)
        with _translated(folder):
            make_folder(folder)
            write_file(folder / file, content)

    def _of(self, name: str) -> Path:
        return self._place / name.replace("/", ".")


def read_wish(content: Any) -> Wanted:
    """What somebody on this host asks for: `{service, name, delivery}`. Raises `UsageError`."""
    wish = parse_wish(content)
    return Wanted(wish.service, wish.model, local=True)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(f"{path} cannot be kept: {error.strerror}", next_step="check the disk") from error
