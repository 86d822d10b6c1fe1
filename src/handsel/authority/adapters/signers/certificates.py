"""The certificates of CAs, as files of the authority's folder: a CA's first is `NAME.crt`, then `NAME.2.crt` and on."""

from __future__ import annotations

from pathlib import Path

from handsel.errors import StateError
from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.store.adapters.files import write_file

KEPT = "put it back; or move the whole state folder away, and let every host join again"


class CertificateFiles:
    """The files of one folder. Every method may raise `StateError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def has(self, name: str) -> bool:
        """Whether there is a certificate of this CA."""
        return self.path(name).exists()

    def generations(self, name: str) -> list[str]:
        """Under which names the certificates of a CA are kept, oldest first."""
        found: list[str] = []
        while self.has(stored := generation(name, len(found) + 1)):
            found.append(stored)
        return found

    def following(self, name: str) -> str:
        """Under which name the next certificate of a CA is kept, and its key."""
        return generation(name, len(self.generations(name)) + 1)

    def get(self, name: str) -> Certificate:
        path = self.path(name)
        try:
            return parse_pem(path.read_bytes())[0]
        except OSError as error:
            raise StateError(f"the certificate {path} cannot be read: {error.strerror}", next_step=KEPT) from error
        except ValueError as error:
            raise StateError(f"the certificate {path} cannot be read: it is not in PEM") from error

    def put(self, name: str, certificate: Certificate) -> None:
        self.write(f"{name}.crt", to_pem((certificate,)))

    def write(self, name: str, content: bytes) -> None:
        """Any file of the folder."""
        try:
            write_file(self.folder / name, content)
        except OSError as error:
            raise StateError(f"{self.folder / name} cannot be written: {error.strerror}") from error


def generation(name: str, number: int) -> str:
    """What the `number`th certificate of a CA is called."""
    return name if number == 1 else f"{name}.{number}"


def read_certificate(path: Path) -> Certificate:
    """The first certificate of a PEM file. Raises `StateError`."""
    try:
        return parse_pem(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise StateError(
            f"the certificate {path} cannot be read: {error}", next_step="start once without --read-only to make it"
        ) from error
