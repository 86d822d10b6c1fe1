"""The roots of an authority: the one that signs, those before and after it, and the key of the one to come.

`root.crt` is the first, `root.2.crt` the next one, and so on. Beside each after the first lies `root.2.link.pem`, the
same root signed by the one before it. `root.2.pub` is the public half of a key that is made long before its
certificate, since tickets pin it; the private half may be elsewhere. `roots.pem` says which are to be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from handsel.authority import ca
from handsel.authority.adapters.signers.certificates import KEPT, CertificateFiles, generation, read_certificate
from handsel.authority.hierarchy import ROOT
from handsel.authority.key_store import KeyStore
from handsel.authority.model import Issuer
from handsel.authority.service import random_serial
from handsel.errors import Refused, StateError
from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.pki.keys import KeyType, kind_of, pin, public_der, public_pem
from handsel.pki.names import TrustDomain

_TRUSTED, _LINK = "roots.pem", ".link.pem"


@dataclass(frozen=True)
class Succession:
    """What a root's machine hands over: the next root, that root signed by the one before, and the key after it."""

    root: Certificate
    link: Certificate
    next_key: bytes

    def pem(self) -> bytes:
        """As one file: two certificates and a public key."""
        return to_pem((self.root, self.link)) + self.next_key

    @classmethod
    def parse(cls, content: bytes) -> Succession:
        """Read that file. Raises `ValueError`."""
        root, link = parse_pem(content)
        begin = content.index(b"-----BEGIN PUBLIC KEY-----")
        return cls(root, link, public_pem(load_pem_public_key(content[begin:])))


class RootFiles:
    """The roots in a folder. Every method may raise `StateError`."""

    def __init__(self, files: CertificateFiles, keys: KeyStore) -> None:
        self._files = files
        self._keys = keys

    def make(self, trust_domain: TrustDomain, kind: KeyType, now: datetime) -> None:
        """The first root, and the key of the one after it."""
        if self._keys.is_shared and self._keys.exists(ROOT):
            raise StateError(
                f"in {self._keys.custody} there is a root's key already, and no certificate for it here",
                next_step="it is another authority's: choose another object= in authority.keys; "
                "or an earlier start broke off just here: then remove it from the token",
            )
        self._make_key_after(ROOT, kind)
        root = ca.make_root(trust_domain, self._keys.make(ROOT, kind), serial=random_serial(), now=now)
        self._files.put(ROOT, root)

    def adopt(self, root: Certificate, next_key: bytes) -> None:
        """A first root whose keys are elsewhere."""
        self._files.write(f"{generation(ROOT, 2)}.pub", next_key)
        self._files.put(ROOT, root)

    def trusted(self) -> tuple[Certificate, ...]:
        """The roots to trust, the one that signs first."""
        return read_roots(self._files.folder)

    def trust(self, roots: Sequence[Certificate]) -> None:
        """Keep which roots are to be trusted, for those who read the folder."""
        if self.trusted() != tuple(roots):
            self._files.write(_TRUSTED, to_pem(tuple(roots)))

    def signing(self) -> str:
        """The name of the root that signs, which its key has too."""
        return self.name_of(self.trusted()[0])

    def can_sign(self) -> bool:
        """Whether the key of the root that signs is here."""
        return self._keys.exists(self.signing())

    def newest(self) -> tuple[str, Certificate]:
        """The newest root, trusted yet or not, and its name."""
        names = self._files.generations(ROOT)
        if not names:
            raise _no_authority(self._files.folder)
        return names[-1], self._files.get(names[-1])

    def name_of(self, root: Certificate) -> str:
        """Under which name a root is kept."""
        for name in self._files.generations(ROOT):
            if self._files.get(name) == root:
                return name
        raise StateError(f"the root {root.fingerprint[:16]} is not in {self._files.folder}", next_step=KEPT)

    def above(self, certificate: Certificate) -> Certificate:
        """The root that signed a CA."""
        roots = [self._files.get(name) for name in self._files.generations(ROOT)]
        for root in roots:
            if root.key_id == certificate.authority_key_id:
                return root
        raise StateError(f"the root of {certificate.subject!r} is not in {self._files.folder}", next_step=KEPT)

    def issuers(self) -> tuple[Issuer, ...]:
        """The trusted roots whose keys are here, as CAs that sign their own revocation lists."""
        named = [(self.name_of(root), root) for root in self.trusted()]
        return tuple(
            Issuer(self._keys.load(name), root, root, name=ROOT, stored=name)
            for name, root in named
            if self._keys.exists(name)
        )

    def links(self) -> tuple[Certificate, ...]:
        """Each root after the first, signed by the one before it."""
        paths = [self._files.folder / f"{name}{_LINK}" for name in self._files.generations(ROOT)]
        return tuple(read_certificate(path) for path in paths if path.exists())

    # The next one

    def succeed(self, trust_domain: TrustDomain, now: datetime) -> Succession:
        """Make the root that follows the newest one, by the key that is there for it, and keep it."""
        newest, before = self.newest()
        following = self._files.following(ROOT)
        kind = kind_of(before.parsed.public_key())
        before_key, key = self._keys.load(newest), self._keys.make(following, kind)
        root = ca.make_root(trust_domain, key, serial=random_serial(), now=now)
        link = ca.link(root, before, before_key, serial=random_serial())
        made = Succession(root, link, self._make_key_after(following, kind))
        self._keep(made)
        return made

    def install(self, made: Succession) -> None:
        """Keep the next root, which was made elsewhere. Raises `Refused` when it is not the one to come."""
        (_, before), following = self.newest(), self._files.following(ROOT)
        if made.root.pin != pin(public_der(load_pem_public_key(self.public(following)))):
            raise Refused("this root does not have the key that was announced as the next root's")
        if made.link.public_key_der != made.root.public_key_der:
            raise Refused("the second certificate is not the same root, signed by the one before")
        for certificate, signer in ((made.root, made.root), (made.link, before)):
            try:
                certificate.parsed.verify_directly_issued_by(signer.parsed)
            except (ValueError, TypeError, InvalidSignature):
                raise Refused("the two certificates are not signed by the next root and by the one before it") from None
        self._files.write(f"{_after(following)}.pub", made.next_key)
        self._keep(made)

    def _keep(self, made: Succession) -> None:
        following = self._files.following(ROOT)
        self._files.write(f"{following}{_LINK}", to_pem((made.link,)))
        self._files.put(following, made.root)  # last: this file says that the root is there

    def _make_key_after(self, name: str, kind: KeyType) -> bytes:
        """The key of the root after `name`, and its public half."""
        after = _after(name)
        public = public_pem(self._keys.make(after, kind).handle.public_key())
        self._files.write(f"{after}.pub", public)
        return public

    def public(self, name: str) -> bytes:
        """The public half of a root's key, PEM."""
        path = self._files.folder / f"{name}.pub"
        try:
            return path.read_bytes()
        except OSError as error:
            raise StateError(f"{path} cannot be read: {error.strerror}", next_step=KEPT) from error

    # Pins

    def pins(self) -> tuple[str, ...]:
        """The pins of the root key that signs and of the next one, which a ticket carries."""
        name = self.signing()
        here = self._keys.load(name).pin() if self._keys.exists(name) else self.trusted()[0].pin
        return here, self._next_pin()

    def public_pins(self) -> tuple[str, ...]:
        """The same, without a look at the root's key, for which a password may be needed."""
        return self.trusted()[0].pin, self._next_pin()

    def _next_pin(self) -> str:
        """The pin of the root that comes after the one that signs: shown already, or only a key yet."""
        trusted, names = self.trusted(), self._files.generations(ROOT)
        after = names[names.index(self.name_of(trusted[0])) + 1 :]
        shown = next((name for name in after if self._files.get(name) in trusted), self._files.following(ROOT))
        try:
            return pin(public_der(load_pem_public_key(self.public(shown))))
        except ValueError as error:
            raise StateError(f"{shown}.pub in {self._files.folder} cannot be read: {error}", next_step=KEPT) from error


def _after(name: str) -> str:
    _, _, number = name.partition(".")
    return generation(ROOT, int(number or 1) + 1)


def _no_authority(folder: Path) -> StateError:
    return StateError(f"there is no authority in {folder}", next_step="the first start of `handsel server` makes it")


def read_roots(folder: Path) -> tuple[Certificate, ...]:
    """The trusted roots of the authority in this folder. Raises `StateError`."""
    path = folder / _TRUSTED
    if not path.exists():  # before the first rotation of the root
        path = folder / f"{ROOT}.crt"
    try:
        return parse_pem(path.read_bytes())
    except FileNotFoundError:
        raise _no_authority(folder) from None
    except (OSError, ValueError) as error:
        raise StateError(f"{path} cannot be read: {error}") from error
