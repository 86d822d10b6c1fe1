"""The authority's folder: certificates of its CAs, their keys in a key store; made at the first start, found again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from handsel.authority import ca
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.hierarchy import CaPlan
from handsel.authority.key_store import KeyStore
from handsel.authority.model import Issuer
from handsel.authority.service import random_serial
from handsel.errors import StateError
from handsel.model.authority import MESH_ISSUER
from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.pki.keys import KeyType, PrivateKey, pin, public_der
from handsel.pki.names import TrustDomain
from handsel.store.adapters.files import make_folder, write_file

ROOT, NEXT_ROOT = "root", "root-next"
_KEPT = "put it back; or move the whole state folder away, and let every host join again"


class KeyFolder:
    """The folder with the CAs' certificates. `keys` None: their keys are in files of it, not encrypted."""

    def __init__(self, folder: Path, keys: KeyStore | None = None) -> None:
        self.folder = folder
        self.keys: KeyStore = keys or FileKeys(folder)

    def open(self, trust_domain: TrustDomain, *, now: datetime, may_make: bool = True) -> tuple[Issuer, bool]:
        """The mesh's issuing CA, and whether it was made just now. Raises `StateError`.

        `may_make` False: this authority has been used, so what is missing was lost, and a new one would be a surprise.
        """
        made = not self.has(MESH_ISSUER)
        if made and not may_make:
            raise StateError(
                f"{self._path(MESH_ISSUER)} is gone, and certificates were issued with it", next_step=_KEPT
            )
        if made:
            self.make(trust_domain, (CaPlan(),), now=now)
        return self.load(MESH_ISSUER, trust_domain), made

    def open_all(
        self, trust_domain: TrustDomain, plans: Sequence[CaPlan], *, now: datetime, may_make: bool,
        known: Collection[str] = (),
    ) -> tuple[tuple[Issuer, ...], bool]:  # fmt: skip
        """Every issuing CA of `plans`, the mesh's own first, and whether the authority was made just now.

        `known`: the CAs that were there before: one of them that is missing was lost. Raises `StateError`.
        """
        fresh = not self.has(MESH_ISSUER)
        missing = [plan.name for plan in plans if not self.has(plan.name)]
        lost = [name for name in missing if name in known or (name == MESH_ISSUER and not may_make)]
        if lost:
            raise StateError(f"{self._path(lost[0])} is gone, and certificates were issued with it", next_step=_KEPT)
        if missing:
            self.make(trust_domain, plans, now=now)
        return tuple(self.load(plan.name, trust_domain) for plan in plans), fresh

    def make(
        self, trust_domain: TrustDomain, plans: Sequence[CaPlan], *, now: datetime,
        root_kind: KeyType = KeyType.P256, root_key: PrivateKey | None = None,
    ) -> list[str]:  # fmt: skip
        """Make what is missing: root, next root's key and issuing CAs; the names of what was made. Raises `StateError`.

        `root_key`: the root's, when it is kept elsewhere and at hand now. The mesh's own issuing CA comes last: its
        file says that the folder is whole.
        """
        made: list[str] = []
        try:
            make_folder(self.folder)
            if not self._path(ROOT).exists():
                new_key = self.keys.make(ROOT, root_kind)
                root = ca.make_root(trust_domain, new_key, serial=random_serial(), now=now)
                write_file(self._path(ROOT), to_pem((root,)))
                made.append(ROOT)
                self.keep_next_root(self.keys.make(NEXT_ROOT, root_kind))
            for plan in reversed(plans):
                if not self.has(plan.name):
                    self.make_issuing(trust_domain, plan, plan.name, now=now, root_key=root_key)
                    made.append(plan.name)
        except OSError as error:
            raise StateError(
                f"cannot write the authority's keys to {self.folder}: {error.strerror}",
                next_step="check the folder's owner and mode, or name another with --state",
            ) from error
        return made

    def make_issuing(
        self, trust_domain: TrustDomain, plan: CaPlan, stored: str, *, now: datetime, root_key: PrivateKey | None = None
    ) -> Certificate:
        """Make an issuing CA's key and certificate under the name `stored`. Raises `StateError`: the root is away."""
        root = self.roots()[0]
        if root_key is None and not self.keys.exists(ROOT):
            raise StateError(
                f"a certificate for the issuing CA {plan.name!r} is missing, and the root's key is not here to sign it",
                next_step=f"handsel ca request {plan.name}, sign it where the root is, then handsel ca install",
            )
        signer, key = root_key or self.keys.load(ROOT), self.keys.make(stored, plan.kind)
        made = ca.make_issuing(trust_domain, key, root, signer, serial=random_serial(), now=now, plan=plan)
        self.put(stored, made)
        return made

    def load(self, name: str, trust_domain: TrustDomain, *, key: str = "") -> Issuer:
        """An issuing CA. `key`: the name of its key, when that is another than its own. Raises `StateError`."""
        stored = key or name
        root, issuing = self.roots()[0], self._certificate(stored)
        found = self.keys.load(stored)
        if found.public_der() != issuing.public_key_der:
            raise StateError(f"{stored}.key does not belong to {self._path(stored)}")
        if root.uri_names != [f"spiffe://{trust_domain}"]:
            raise StateError(
                f"{self.folder} holds the authority of {', '.join(root.uri_names)}, not of {trust_domain}",
                next_step="use another --state folder, or the trust_domain it was made for",
            )
        return Issuer(found, issuing, root, name=name, stored=stored)

    def has(self, name: str) -> bool:
        """Whether there is a certificate of this CA."""
        return self._path(name).exists()

    def names(self) -> list[str]:
        """Every issuing CA that has a certificate here."""
        return sorted({path.stem.partition(".")[0] for path in self.folder.glob("*.crt")} - {ROOT, NEXT_ROOT})

    def generations(self, name: str) -> list[str]:
        """Under which names the certificates of a CA are kept, oldest first."""
        found: list[str] = []
        while self.has(stored := f"{name}.{len(found) + 1}" if found else name):
            found.append(stored)
        return found

    def following(self, name: str) -> str:
        """Under which name the next key of a CA is kept, and its certificate: its own, then `NAME.2` and so on."""
        count = len(self.generations(name))
        return f"{name}.{count + 1}" if count else name

    def certificate(self, name: str) -> Certificate | None:
        """The certificate of a CA, or None when there is none. Raises `StateError`."""
        return self._certificate(name) if self.has(name) else None

    def put(self, name: str, certificate: Certificate) -> None:
        """Keep a CA's certificate. Raises `StateError`."""
        try:
            write_file(self._path(name), to_pem((certificate,)))
        except OSError as error:
            raise StateError(f"{self._path(name)} cannot be written: {error.strerror}") from error

    def roots(self) -> tuple[Certificate, ...]:
        """The roots to trust. Raises `StateError`."""
        return read_roots(self.folder)

    def keep_next_root(self, key: PrivateKey) -> None:
        """Write down the public half of the next root's key: tickets pin it, and its private half may leave."""
        write_file(self.folder / f"{NEXT_ROOT}.pub", _pem_of_public(key))

    def pins(self) -> tuple[str, ...]:
        """The pins of the current root key and of the next one, which a ticket carries. Raises `StateError`."""
        here = self.keys.load(ROOT).pin() if self.keys.exists(ROOT) else self.roots()[0].pin
        return here, self._pin_of_next_root()

    def public_pins(self) -> tuple[str, ...]:
        """The same, without a look at the root's key, for which a password may be needed. Raises `StateError`."""
        return self.roots()[0].pin, self._pin_of_next_root()

    def _pin_of_next_root(self) -> str:
        try:
            return pin(public_der(load_pem_public_key((self.folder / f"{NEXT_ROOT}.pub").read_bytes())))
        except FileNotFoundError:  # made by an older version
            return self.keys.load(NEXT_ROOT).pin()
        except (OSError, ValueError) as error:
            raise StateError(f"{self.folder / NEXT_ROOT}.pub cannot be read: {error}") from error

    def root_issuer(self) -> Issuer | None:
        """The root as the CA that signs its own revocation list; None when its key is not here."""
        try:
            root = self.roots()[0]
            return Issuer(self.keys.load(ROOT), root, root, name=ROOT)
        except StateError:
            return None

    def _certificate(self, name: str) -> Certificate:
        path = self._path(name)
        try:
            return parse_pem(path.read_bytes())[0]
        except OSError as error:
            raise StateError(f"the certificate {path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise StateError(f"the certificate {path} cannot be read: it is not in PEM") from error

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.crt"


def _pem_of_public(key: PrivateKey) -> bytes:
    encoding, form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    return key.handle.public_key().public_bytes(encoding, form)


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
    path = folder / f"{ROOT}.crt"
    try:
        return parse_pem(path.read_bytes())
    except FileNotFoundError as error:
        raise StateError(
            f"there is no authority in {folder}", next_step="the first start of `handsel server` makes it"
        ) from error
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read: {error}") from error
