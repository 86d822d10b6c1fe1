"""Keys in files of the authority's folder: 0600, and encrypted when there is a password (PKCS#8, RFC 5958)."""

from __future__ import annotations

from pathlib import Path

from handsel.errors import StateError
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.secret import Secret
from handsel.store.adapters.files import make_folder, write_file

_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_OTHERS = ("journal",)
"""Keys of the same folder that sign no certificates, and are opened without a password."""


class FileKeys:
    """The keys of a folder, one file each: `NAME.key`."""

    def __init__(self, folder: Path, password: Secret | None = None) -> None:
        self._folder = folder
        self._password = password

    is_shared = False  # the folder is one authority's

    @property
    def custody(self) -> str:
        """In whose keeping the keys are, by what the files are and not by whether a password was given."""
        names = self.names()
        encrypted = sum(self.is_encrypted(name) for name in names)
        if names and encrypted == len(names):
            return f"files in {self._folder}, encrypted with a password"
        if encrypted:
            return f"files in {self._folder}, {encrypted} of {len(names)} encrypted with a password"
        return f"files in {self._folder}, not encrypted, readable by their owner alone"

    def load(self, name: str) -> PrivateKey:
        """Raises `StateError`: it is gone, open to others, damaged, or the password is not its own."""
        path = self._path(name)
        try:
            if path.stat().st_mode & 0o077:
                raise StateError(f"{path} can be read by others", next_step=f"chmod 600 {path}")
            pem = path.read_bytes()
            encrypted = pem.startswith(_ENCRYPTED)
            if encrypted and self._password is None:
                raise StateError(
                    f"the key {path} is encrypted",
                    next_step="name the file with its password: --key-password-file, or authority.keys.password_file",
                )
            # A key that is not encrypted yet is read all the same; `handsel ca show` says what it is.
            return PrivateKey.from_pem(pem, self._password if encrypted else None)
        except (OSError, ValueError) as error:
            raise StateError(f"the key {path} cannot be read: {error}") from error

    def make(self, name: str, kind: KeyType) -> PrivateKey:
        """A new key in a new file; a crash in between leaves one that is taken up again."""
        if self.exists(name):
            found = self.load(name)
            if found.kind is kind:
                return found
        key = PrivateKey.generate(kind)
        self.put(name, key)
        return key

    def put(self, name: str, key: PrivateKey) -> None:
        """Write a key down in place of whatever was there."""
        try:
            make_folder(self._folder)
            write_file(self._path(name), key.pem(self._password).reveal())
        except OSError as error:
            raise StateError(
                f"cannot write the authority's keys to {self._folder}: {error.strerror}",
                next_step="check the folder's owner and mode, or name another with --state",
            ) from error

    def exists(self, name: str) -> bool:
        return self._path(name).exists()

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Every key of a CA that is here."""
        return sorted(path.stem for path in self._folder.glob("*.key") if path.stem not in _OTHERS)

    def is_encrypted(self, name: str) -> bool:
        try:
            return self._path(name).read_bytes().startswith(_ENCRYPTED)
        except OSError:
            return False

    def encrypt(self, password: Secret) -> list[str]:
        """Write every key anew, encrypted with `password`; the names of those that were. Raises `StateError`.

        All are read before the first is written. A crash in the middle leaves some with the old password: run it again.
        """
        keys = [(name, self._load_with_either(name, password)) for name in self.names()]
        self._password = password
        for name, key in keys:
            self.put(name, key)
        return [name for name, _ in keys]

    def _load_with_either(self, name: str, password: Secret) -> PrivateKey:
        try:
            return self.load(name)
        except StateError:
            return FileKeys(self._folder, password).load(name)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.key"
