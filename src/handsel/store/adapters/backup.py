"""Backups: one file with a consistent copy of a state that may be in use, and with its keys, encrypted, if asked for.

The file is a tar archive: `manifest.json` first, then `handsel.db`, then `keys`. A key for the last is derived from a
password by scrypt (RFC 7914), and AES-256-GCM seals a tar archive of the authority's folder with it, bound to the
manifest's salt and nonce.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from handsel.errors import StateError, UsageError
from handsel.pki.secret import Secret
from handsel.store.adapters import sqlite
from handsel.store.adapters.files import make_folder, write_file

_VERSION = "handsel/v1"
_MANIFEST, _DATABASE, _KEYS = "manifest.json", "handsel.db", "keys"
_MOST_MANIFEST, _MOST_KEYS, _MOST_KEY_FILES = 64 << 10, 16 << 20, 1000
_CHUNK = 1 << 20
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 16, 8, 1
"""64 MB and about a fifth of a second for each guess."""


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. `schema` and `sha256` are of the database, empty when there is none.

    `salt` and `nonce` belong to the keys, in hex, empty when there are none.
    """

    made: str
    schema: str = ""
    sha256: str = ""
    salt: str = ""
    nonce: str = ""

    @property
    def has_database(self) -> bool:
        return bool(self.sha256)

    @property
    def has_keys(self) -> bool:
        return bool(self.salt)

    def encode(self) -> bytes:
        return json.dumps({"apiVersion": _VERSION, "kind": "Backup", **asdict(self)}, indent=2).encode()

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        """Raises `ValueError`."""
        fields = json.loads(content)
        if (
            not isinstance(fields, dict)
            or fields.pop("apiVersion", "") != _VERSION
            or fields.pop("kind", "") != "Backup"
        ):
            raise ValueError("it is no backup of this version")
        if set(fields) != set(cls.__dataclass_fields__) or not all(isinstance(each, str) for each in fields.values()):
            raise ValueError("its manifest is malformed")
        return cls(**fields)


def save(database: Path, keys: Path, target: Path, *, password: Secret | None, now: datetime) -> Manifest:
    """Write a backup of a database file, if it is there, and of a folder of keys, if there is a password.

    Raises `StateError`, or `UsageError` when the target is there already.
    """
    if target.exists():
        raise UsageError(f"{target} is there already", next_step="name a new file")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            copied = Path(folder) / _DATABASE
            salt, nonce = (secrets.token_bytes(16), secrets.token_bytes(12)) if password else (b"", b"")
            schema = digest = ""
            if database.exists():
                sqlite.copy(database, copied)
                schema, digest = sqlite.found_revision(copied) or "", _sha256(copied)
            manifest = Manifest(now.isoformat(), schema, digest, salt.hex(), nonce.hex())
            whole = Path(folder) / target.name
            with whole.open("xb") as file:
                with tarfile.open(fileobj=file, mode="w") as archive:
                    _add_bytes(archive, _MANIFEST, manifest.encode())
                    if manifest.has_database:
                        with copied.open("rb") as content:
                            _add(archive, _DATABASE, content, copied.stat().st_size)
                    if password:
                        _add_bytes(archive, _KEYS, _seal(_pack(keys), password, salt, nonce))
                os.fsync(file.fileno())
            whole.chmod(0o600)
            whole.rename(target)
    except OSError as error:
        raise StateError(f"{target} cannot be written: {error.strerror}", next_step="check the folder") from error
    return manifest


def load(source: Path, folder: Path, *, password: Secret | None) -> tuple[Manifest, Path | None, dict[str, bytes]]:
    """What a backup holds, checked: its manifest, its database as a file in `folder`, its keys by file name.

    Raises `StateError` for one that is damaged or sealed with another password.
    """
    try:
        with tarfile.open(source, mode="r:") as archive:
            manifest = Manifest.decode(_read(archive, _MANIFEST, _MOST_MANIFEST))
            database = None
            if manifest.has_database:
                database = folder / _DATABASE
                _extract(archive, database)
                if _sha256(database) != manifest.sha256:
                    raise ValueError("the database in it was changed")
            keys = {}
            if manifest.has_keys and password:
                salt, nonce = bytes.fromhex(manifest.salt), bytes.fromhex(manifest.nonce)
                keys = _unpack(_open(_read(archive, _KEYS, _MOST_KEYS), password, salt, nonce))
    except InvalidTag as error:
        raise StateError(f"the keys in {source} do not open with this password, or were changed") from error
    except (ValueError, tarfile.TarError, RecursionError) as error:
        raise StateError(f"{source} cannot be restored: {error}") from error
    except OSError as error:
        raise StateError(f"{source} cannot be read: {error.strerror or error}") from error
    return manifest, database, keys


def put_keys(keys: dict[str, bytes], folder: Path) -> None:
    """Write the files of a folder of keys, each private."""
    for name, content in keys.items():
        path = folder / name
        for above in (folder, *(folder / each for each in reversed(Path(name).parents[:-1]))):
            make_folder(above)
        write_file(path, content)


def _pack(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                _add_bytes(archive, str(path.relative_to(folder)), path.read_bytes())
    return packed.getvalue()


def _unpack(content: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            parts = Path(member.name).parts
            if (
                not member.isreg()
                or member.issparse()
                or ".." in parts
                or Path(member.name).is_absolute()
                or len(files) >= _MOST_KEY_FILES
            ):
                raise ValueError("the keys in it are malformed")
            file = archive.extractfile(member)
            files[member.name] = file.read() if file else b""
    return files


def _seal(content: bytes, password: Secret, salt: bytes, nonce: bytes) -> bytes:
    return AESGCM(_derive(password, salt)).encrypt(nonce, content, salt)


def _open(content: bytes, password: Secret, salt: bytes, nonce: bytes) -> bytes:
    return AESGCM(_derive(password, salt)).decrypt(nonce, content, salt)


def _derive(password: Secret, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P).derive(password.reveal())


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    _add(archive, name, io.BytesIO(content), len(content))


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    archive.addfile(member, content)


def _member(archive: tarfile.TarFile, name: str) -> tuple[tarfile.TarInfo, IO[bytes]]:
    """The next member, which must be a plain file with this name."""
    member = archive.next()
    # A sparse file may be far larger than the archive that it comes from.
    if member is None or member.name != name or not member.isreg() or member.issparse():
        raise ValueError(f"it has no {name}")
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"it has no {name}")
    return member, file


def _read(archive: tarfile.TarFile, name: str, most: int) -> bytes:
    member, file = _member(archive, name)
    if member.size > most:
        raise ValueError(f"its {name} is too large")
    return file.read()


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    _, file = _member(archive, target.name)
    with target.open("xb") as copied:
        while chunk := file.read(_CHUNK):
            copied.write(chunk)
        copied.flush()
        os.fsync(copied.fileno())
    target.chmod(0o600)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest: Any = hashlib.file_digest(file, "sha256")
        return str(digest.hexdigest())
