"""Which key store holds the CA's keys: chosen by the settings, opened with a password or a PIN from a file."""

from __future__ import annotations

import os
from pathlib import Path

from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.adapters.signers.pkcs11 import TokenKeys
from handsel.authority.key_store import KeyStore
from handsel.errors import StateError, UsageError
from handsel.model.authority import Keys
from handsel.model.token_uri import TokenUri
from handsel.pki.secret import Secret

PASSWORD_VARIABLE = "HANDSEL_KEY_PASSWORD_FILE"  # noqa: S105  # its name, not a password
CREDENTIAL = "handsel-key-password"
"""What a systemd unit calls the credential with the password (`LoadCredential=`, `LoadCredentialEncrypted=`)."""
SHORTEST_PASSWORD = 12
_LONGEST_PASSWORD = 1024


def open_keys(folder: Path, settings: Keys, password_file: Path | None = None) -> KeyStore:
    """The key store of the authority in `folder`. `password_file` comes before what the settings say.

    Raises `StateError` for a password that cannot be read, `UsageError` for one that is too short.
    """
    if settings.token:
        return TokenKeys(TokenUri.parse(settings.token))
    found = password_file or _named_elsewhere(settings)
    return FileKeys(folder, read_password(found) if found else None)


def _named_elsewhere(settings: Keys) -> Path | None:
    """The file that the environment, the mesh file or systemd names, in this order."""
    if named := os.environ.get(PASSWORD_VARIABLE):
        return Path(named)
    if settings.password_file:
        return Path(settings.password_file)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(credentials) / CREDENTIAL if credentials else None
    return credential if credential and credential.exists() else None


def read_password(path: Path) -> Secret:
    """The password in a file: its first line. Raises `StateError`, `UsageError` when it is too short."""
    try:
        if path.stat().st_mode & 0o007:
            raise StateError(f"{path} can be read by everybody", next_step=f"chmod 600 {path}")
        with path.open("rb") as file:
            password = file.readline(_LONGEST_PASSWORD + 2).rstrip(b"\r\n")
    except OSError as error:
        raise StateError(f"the password in {path} cannot be read: {error.strerror}") from error
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise UsageError(f"the password in {path} has {SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters")
    return Secret(password)
