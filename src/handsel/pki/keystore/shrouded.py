"""Private keys behind a password (RFC 5958, section 3), in PKCS12 and in PEM: opened, or why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handsel.pki import der
from handsel.pki.keystore import pbe
from handsel.pki.keystore.derivation import Derivations, Spelling, spellings
from handsel.pki.keystore.model import Passwords
from handsel.pki.secret import Secret

NEEDS_ONE, ANOTHER = "needs a password", "its password is another one"
IN_CLEAR = "none: it lies in clear"


@dataclass(frozen=True)
class Shroud:
    """One that is still shut: how it is encrypted, and what. `scheme` None: it cannot be opened, `trouble` says why."""

    scheme: pbe.Scheme | None
    hidden: bytes
    trouble: str = ""

    @property
    def protection(self) -> str:
        """How it is kept, in words."""
        return self.scheme.name if self.scheme else self.trouble

    @property
    def faults(self) -> tuple[str, ...]:
        """What is weak about that."""
        return self.scheme.faults if self.scheme else ()


@dataclass(frozen=True)
class Opened:
    """A PrivateKeyInfo, DER, or why there is none."""

    pkcs8: Secret | None
    locked: str
    protection: str


class Opener:
    """Opens those of one file. `spelling`: the one in which the store's password has opened the store."""

    def __init__(self, passwords: Passwords, derivations: Derivations, spelling: Spelling | None = None) -> None:
        self._passwords, self._derivations, self._spelling = passwords, derivations, spelling

    def plan(self, data: bytes) -> Shroud:
        """Read an EncryptedPrivateKeyInfo and count its rounds. Raises `StoreRefused` when they are too many."""
        return self._plan(lambda: pbe.read_encrypted(data))

    def plan_dek(self, header: str, data: bytes) -> Shroud:
        """The same of what a DEK-Info header says how to open."""
        return self._plan(lambda: (pbe.read_dek(header), data))

    def _plan(self, read: Callable[[], tuple[pbe.Scheme, bytes]]) -> Shroud:
        try:
            scheme, hidden = read()
            self._derivations.plan(*scheme.derivations)
        except pbe.UnknownScheme as error:
            return Shroud(None, b"", f"{error} is not read")
        except ValueError as error:
            return Shroud(None, b"", f"it is damaged: {error}")
        return Shroud(scheme, hidden)

    def open(self, shroud: Shroud, alias: str, finish: Callable[[bytes], bytes] | None = None) -> Opened:
        """With its own password, else with the store's.

        `finish` makes a PrivateKeyInfo of what is inside when that is something else, or raises `ValueError`.
        """
        if shroud.scheme is None:
            return Opened(None, shroud.trouble, shroud.protection)
        locked = NEEDS_ONE
        for spelling in dict.fromkeys(self._spellings(alias)):
            locked = ANOTHER
            try:
                plain = shroud.scheme.decrypt(shroud.hidden, self._derivations, spelling)
                plain = finish(plain) if finish else plain
                check_private_key(plain)
            except ValueError:
                continue
            return Opened(Secret(plain), "", shroud.protection)
        return Opened(None, locked, shroud.protection)

    def _spellings(self, alias: str) -> Iterator[Spelling]:
        own, store = self._passwords.of_key(alias), self._passwords.store
        if own is not None and own != store:
            yield from spellings(own)
        if self._spelling is not None:
            yield self._spelling
        elif store is not None:
            yield from spellings(store)


def check_private_key(data: bytes) -> str:
    """The algorithm of a PrivateKeyInfo (RFC 5958, section 2). Raises `ValueError` when these bytes are none."""
    outer = der.Reader(data).inside(der.SEQUENCE)
    outer.read_integer()
    algorithm = outer.inside(der.SEQUENCE).read_oid()
    outer.read(der.OCTET_STRING)
    return algorithm


def secret_of(data: bytes) -> bytes:
    """The octets in a PrivateKeyInfo: of a secret key they are the key. Raises `ValueError`."""
    outer = der.Reader(data).inside(der.SEQUENCE)
    outer.skip(der.INTEGER, der.SEQUENCE)
    return outer.read(der.OCTET_STRING)
