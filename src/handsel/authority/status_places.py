"""Where the status of a certificate is: the URLs that stand in leaves, and what is served there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from handsel.pki.revocation import point

OCSP_PATH = "/ocsp/"
CRL_PATH = "/crl/"
CA_PATH = "/ca/"


@dataclass(frozen=True)
class Scope:
    """Which certificates of a CA a list covers: those whose serial number leaves `index` when divided by `count`.

    `EVERYTHING` is the list of all. A certificate says in its distribution point which scope is its own, so a scope
    lives as long as such certificates do.
    """

    count: int = 1
    index: int = 0
    full: bool = False

    @property
    def name(self) -> str:
        """What it is called in paths and tables: `full`, or `4-of-8` with the first one being 0."""
        return "full" if self.full else f"{self.index}-of-{self.count}"

    @classmethod
    def parse(cls, name: str) -> Scope:
        """The scope of this name. Raises `ValueError`."""
        if name == "full":
            return EVERYTHING
        index, separator, count = name.partition("-of-")
        if not separator or not index.isdecimal() or not count.isdecimal() or int(index) >= int(count):
            raise ValueError(f"{name!r} is no scope")
        return cls(int(count), int(index))

    def covers(self, serial: int) -> bool:
        return self.full or serial % self.count == self.index


EVERYTHING = Scope(full=True)


@dataclass(frozen=True)
class StatusPlaces:
    """Where readers find the status: a base URL without a slash at its end, and how many shards a CA's list has."""

    url: str
    shards: int = 4

    @property
    def ocsp(self) -> str:
        return f"{self.url}{OCSP_PATH.rstrip('/')}"

    def certificate(self, issuer: str) -> str:
        """Where the certificate of a CA is."""
        return f"{self.url}{CA_PATH}{issuer}.crt"

    def crl(self, issuer: str, scope: Scope, *, delta: bool = False) -> str:
        """Where a list is."""
        return f"{self.url}{CRL_PATH}{issuer}/{list_name(scope, delta=delta)}.crl"

    def scope_of(self, serial: int) -> Scope:
        """The scope that a new certificate is given."""
        return Scope(self.shards, serial % self.shards)

    def scopes(self) -> tuple[Scope, ...]:
        """The scopes of new certificates, and the list of everything."""
        return (EVERYTHING, *(Scope(self.shards, index) for index in range(self.shards)))

    def pointers(self, issuer: str, serial: int) -> Iterable[x509.ExtensionType]:
        """What a leaf says about its status (RFC 5280, 4.2.2.1, 4.2.1.13, 4.2.1.15). None of it is critical."""
        return _pointers(self, issuer, self.scope_of(serial))


@lru_cache(maxsize=256)
def _pointers(places: StatusPlaces, issuer: str, scope: Scope) -> tuple[x509.ExtensionType, ...]:
    """The same for all leaves of a CA that have one scope."""
    access = x509.AccessDescription
    return (
        x509.AuthorityInformationAccess([
            access(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(places.ocsp)),
            access(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(places.certificate(issuer))
            ),
        ]),
        x509.CRLDistributionPoints([point(places.crl(issuer, scope))]),
        x509.FreshestCRL([point(places.crl(issuer, scope, delta=True))]),
    )  # fmt: skip


def list_name(scope: Scope, *, delta: bool) -> str:
    """What a list is called in paths and tables."""
    return f"{scope.name}-delta" if delta else scope.name
