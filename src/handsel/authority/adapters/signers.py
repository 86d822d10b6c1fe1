"""The authority's keys in files of its state folder: made at the first start, found again at every other."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from handsel.authority import ca
from handsel.authority.model import Issuer
from handsel.authority.service import random_serial
from handsel.errors import StateError
from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from handsel.store.adapters.files import make_folder, write_file

_ROOT, _NEXT_ROOT, _ISSUING = "root", "root-next", "issuing"


class KeyFolder:
    """The folder with the CA's keys (0600) and certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, trust_domain: TrustDomain, *, now: datetime, may_make: bool = True) -> tuple[Issuer, bool]:
        """The issuing CA, and whether it was made just now. Raises `StateError`.

        `may_make` False: this authority has been used, so what is missing was lost, and a new one would be a surprise.
        """
        made = not (self._folder / f"{_ISSUING}.crt").exists()
        if made and not may_make:
            raise StateError(
                f"{self._folder / _ISSUING}.crt is gone, and certificates were issued with it",
                next_step="put it back; or move the whole state folder away, and let every host join again",
            )
        if made:
            self._make(trust_domain, now)
        return self._load(trust_domain), made

    def pins(self) -> tuple[str, ...]:
        """The pins of the current root key and of the next one, which a ticket carries."""
        return tuple(self._key(name).pin() for name in (_ROOT, _NEXT_ROOT))

    def root_issuer(self) -> Issuer | None:
        """The root as the CA that signs its own revocation list; None when its key is not here."""
        try:
            root = parse_pem((self._folder / f"{_ROOT}.crt").read_bytes())[0]
            return Issuer(self._key(_ROOT), root, root, name=_ROOT)
        except (OSError, ValueError, StateError):
            return None

    def _make(self, trust_domain: TrustDomain, now: datetime) -> None:
        root_key, issuing_key = PrivateKey.generate(), PrivateKey.generate()
        root = ca.make_root(trust_domain, root_key, serial=random_serial(), now=now)
        issuing = ca.make_issuing(trust_domain, issuing_key, root, root_key, serial=random_serial(), now=now)
        try:
            make_folder(self._folder)
            write_file(self._folder / f"{_ROOT}.key", root_key.pem().reveal())
            write_file(self._folder / f"{_NEXT_ROOT}.key", PrivateKey.generate().pem().reveal())
            write_file(self._folder / f"{_ISSUING}.key", issuing_key.pem().reveal())
            write_file(self._folder / f"{_ROOT}.crt", to_pem((root,)))
            # Last: this file says that the folder is whole.
            write_file(self._folder / f"{_ISSUING}.crt", to_pem((issuing,)))
        except OSError as error:
            raise StateError(
                f"cannot write the authority's keys to {self._folder}: {error.strerror}",
                next_step="check the folder's owner and mode, or name another with --state",
            ) from error

    def _load(self, trust_domain: TrustDomain) -> Issuer:
        try:
            root = parse_pem((self._folder / f"{_ROOT}.crt").read_bytes())[0]
            issuing = parse_pem((self._folder / f"{_ISSUING}.crt").read_bytes())[0]
        except (OSError, ValueError) as error:
            raise StateError(f"the authority's certificates in {self._folder} cannot be read: {error}") from error
        key = self._key(_ISSUING)
        if key.public_der() != issuing.public_key_der:
            raise StateError(f"{self._folder / _ISSUING}.key does not belong to {_ISSUING}.crt")
        if root.uri_names != [f"spiffe://{trust_domain}"]:
            raise StateError(
                f"{self._folder} holds the authority of {', '.join(root.uri_names)}, not of {trust_domain}",
                next_step="use another --state folder, or the trust_domain it was made for",
            )
        return Issuer(key, issuing, root)

    def _key(self, name: str) -> PrivateKey:
        path = self._folder / f"{name}.key"
        try:
            if path.stat().st_mode & 0o077:
                raise StateError(f"{path} can be read by others", next_step=f"chmod 600 {path}")
            return PrivateKey.from_pem(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StateError(f"the key {path} cannot be read: {error}") from error


def read_certificate(path: Path) -> Certificate:
    """The first certificate of a PEM file. Raises `StateError`."""
    try:
        return parse_pem(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise StateError(
            f"the certificate {path} cannot be read: {error}", next_step="start once without --read-only to make it"
        ) from error


def read_roots(folder: Path) -> tuple[Certificate, ...]:
    """The roots of the authority in this folder. Raises `StateError`."""
    path = folder / f"{_ROOT}.crt"
    try:
        return parse_pem(path.read_bytes())
    except FileNotFoundError as error:
        raise StateError(
            f"there is no authority in {folder}", next_step="the first start of `handsel server` makes it"
        ) from error
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read: {error}") from error
