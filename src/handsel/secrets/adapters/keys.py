"""Where key-encryption keys are: in files beside the CA's keys, in a systemd credential, or in a token."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from handsel.errors import SealKeyMissing, SecretRefused, StateError
from handsel.pki.secret import Secret
from handsel.secrets.adapters.token_key import TokenKeys
from handsel.secrets.envelope import KEY_BYTES, KeyEncryptionKey, LocalKey, Random
from handsel.secrets.model import KeyRecord
from handsel.store.adapters.files import make_folder, write_file

CREDENTIAL = "handsel-secrets-key"
"""What a systemd unit calls the credential with the key; with `-old` behind it: the one before, for `rotate-key`."""
_BEFORE = f"{CREDENTIAL}-old"
_MOST_BYTES = 1024


class Keyring:
    """Every key-encryption key that can be had here. `token` None: none is configured."""

    def __init__(self, folder: Path, token: TokenKeys | None, environment: Mapping[str, str], random: Random) -> None:
        self._folder = folder
        self._token = token
        self._credentials = environment.get("CREDENTIALS_DIRECTORY")
        self._random = random

    @property
    def place(self) -> str:
        """Where a new key is taken from: the credential when there is one, else the token, else a file."""
        if self._credential(CREDENTIAL) is not None:
            return "credential"
        return "token" if self._token is not None else "file"

    def make(self, before: KeyRecord | None) -> KeyEncryptionKey:
        """A key to seal with from now on. A credential is not made here: it is there. Raises `StateError`."""
        if self.place == "credential":
            found = self._read(self._credentials_path(CREDENTIAL), "credential")
            if before is not None and found.key_id == before.key_id:
                raise SecretRefused(
                    f"the credential {CREDENTIAL} holds the key that is used already",
                    next_step=f"make it {_BEFORE}, put a new one in its place, and start the server anew",
                )
            return found
        if self._token is not None:
            return self._token.make()
        key = Secret(self._random(KEY_BYTES))
        made = LocalKey(key, "file", self._random)
        try:
            make_folder(self._folder)
            write_file(self._file(made.key_id), base64.b64encode(key.reveal()) + b"\n")
        except OSError as error:
            raise StateError(f"{self._file(made.key_id)} cannot be written: {error.strerror}") from error
        return made

    def open(self, record: KeyRecord) -> KeyEncryptionKey:
        """The key of a record. Raises `SealKeyMissing`, `StateError`."""
        where = self._where(record)
        if record.place == "token":
            if self._token is None:
                raise SealKeyMissing(
                    f"secrets are sealed with the key {record.key_id} of a token, and no token is configured",
                    next_step="name it in the mesh file: authority: {keys: pkcs11:…}",
                )
            return self._token.open(record.key_id)
        paths = [self._file(record.key_id)]
        if record.place == "credential":
            paths = [path for name in (CREDENTIAL, _BEFORE) if (path := self._credential(name)) is not None]
        found = [self._read(path, record.place) for path in paths if path.exists()]
        for each in found:
            if each.key_id == record.key_id:
                return each
        what = f"{where} holds another key ({found[0].key_id})" if found else f"{where} is missing"
        raise SealKeyMissing(
            f"secrets are sealed with the key {record.key_id}, and {what}",
            next_step="bring it from a backup (handsel ca backup --with-keys), or from another server of this database",
        )

    def destroy(self, record: KeyRecord) -> None:
        """Nothing needs this key any more. A credential is not ours to remove. Raises `StateError`."""
        if record.place == "file":
            self._file(record.key_id).unlink(missing_ok=True)
        elif record.place == "token" and self._token is not None:
            self._token.destroy(record.key_id)

    def _where(self, record: KeyRecord) -> str:
        return str(self._file(record.key_id)) if record.place == "file" else f"the credential {CREDENTIAL}"

    def _file(self, key_id: str) -> Path:
        return self._folder / f"secrets-{key_id}.kek"

    def _credential(self, name: str) -> Path | None:
        path = self._credentials_path(name)
        return path if self._credentials and path.exists() else None

    def _credentials_path(self, name: str) -> Path:
        return Path(self._credentials or "/nowhere") / name

    def _read(self, path: Path, place: str) -> LocalKey:
        try:
            if place == "file" and path.stat().st_mode & 0o077:
                raise StateError(f"{path} can be read by others", next_step=f"chmod 600 {path}")
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES)
            raw = content if len(content) == KEY_BYTES else base64.b64decode(content.strip(), validate=True)
            return LocalKey(Secret(raw), place, self._random)
        except OSError as error:
            raise SealKeyMissing(f"the key of secrets in {path} cannot be read: {error.strerror}") from error
        except (binascii.Error, ValueError):
            raise SealKeyMissing(
                f"{path} holds no key: {KEY_BYTES} bytes, or the same as base64, are wanted",
                next_step=f"head -c {KEY_BYTES} /dev/urandom | base64 makes one",
            ) from None
