"""What the mesh file says about the authority: profiles and ACME, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from handsel.model.name_patterns import Pattern, parse
from handsel.model.policy import Policy
from handsel.pki.keys import KeyType

MESH_ISSUER = "issuing"
"""The issuing CA that every authority has; the mesh's own certificates come from it."""

OWN_PROFILES = ("workload", "agent", "server", "administrator")
"""The profiles of certificates that handsel gives of itself, with a SPIFFE ID: the mesh file and the administrators say
who has one, and so no file changes them and no policy decides about them."""

USUAL_KEYS = frozenset(KeyType) - {KeyType.MLDSA44, KeyType.MLDSA65, KeyType.MLDSA87}
"""Post-quantum keys are opt-in: few clients understand them yet."""

_STATUS_FROM = timedelta(days=7)


_PUBLIC_WEB = (
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
    (datetime.min.replace(tzinfo=UTC), 398),
)
"""From when on, and how many days (CA/Browser Forum, Baseline Requirements, 6.3.2). Both ends are counted in."""


@dataclass(frozen=True)
class Profile:
    """One kind of certificate.

    `issuer`: the name of the CA that signs it. `keys`: kinds of keys that it may hold.
    `extended_usages`: `server_auth`, `client_auth`, `code_signing`, `email_protection` or dotted OIDs.
    `common_name`: whether the subject carries the first DNS name, for programs that still look there.
    `acme`: whether ACME clients may order it. `names`: patterns that its names must match; empty: any that the policy
    allows. `lint_leaves`: whether pkilint sees each leaf, not only the profile. `pointers`: whether leaves say where
    their status is (OCSP and CRL); None: if they live longer than a week.
    `backdate`: how far `not_before` lies in the past, for clocks that run behind. `reuse_keys`: whether the same
    requester may have another certificate for the same names with the key of one that still lives.
    `as_public_web`: whether it lives at most as long as a public web certificate may, see `longest`.
    """

    name: str
    lifetime: timedelta
    issuer: str = MESH_ISSUER
    keys: frozenset[KeyType] = USUAL_KEYS
    extended_usages: tuple[str, ...] = ("server_auth", "client_auth")
    common_name: bool = False
    acme: bool = False
    names: tuple[str, ...] = ()
    lint_leaves: bool = False
    pointers: bool | None = None
    backdate: timedelta = timedelta(minutes=1)
    description: str = ""
    reuse_keys: bool = True
    as_public_web: bool = False

    def longest(self, now: datetime) -> timedelta:
        """How long a certificate that is made now may live, counted from now."""
        if not self.as_public_web:
            return self.lifetime
        limit = next(days for since, days in _PUBLIC_WEB if now >= since)
        return min(self.lifetime, timedelta(days=limit) - self.backdate - timedelta(seconds=1))

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """`names`, as patterns."""
        return tuple(parse(each) for each in self.names)

    @property
    def says_where_status_is(self) -> bool:
        return self.lifetime > _STATUS_FROM if self.pointers is None else self.pointers


@dataclass(frozen=True)
class Validation:
    """How the authority looks whether an ACME client controls a name.

    `resolver`: `system`, or the address and port of a DNS server. `allow_private_addresses`: whether names may lead to
    private addresses, loopback among them, and may have one label. `caa`: whether CAA records are asked for (RFC 8659);
    `caa_names`: the names that stand for this authority in them.
    """

    http_port: int = 80
    tls_port: int = 443
    resolver: str = "system"
    allow_private_addresses: bool = True
    caa: bool = False
    caa_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """How many, in an hour; as many at once. 0: no limit. All servers of a database count together.

    `accounts_per_address`: new accounts from one client address. `orders_per_account`, `orders_per_name`: new orders
    of one account, and for names that end in the same two labels. What is renewed in its window does not count.
    """

    accounts_per_address: int = 1_000
    orders_per_account: int = 20_000
    orders_per_name: int = 20_000


@dataclass(frozen=True)
class Acme:
    """The ACME door. `external_account_required`: accounts need a key from `handsel ca acme eab`."""

    external_account_required: bool = False
    validation: Validation = Validation()
    terms_of_service: str | None = None
    limits: Limits = Limits()


@dataclass(frozen=True)
class CrlSettings:
    """The revocation lists. Each is made anew at half of its life.

    `lifetime`: of a complete list; `delta_lifetime`: of what changed since. `shards`: into how many lists the
    certificates of a CA are divided; older certificates keep the number that they were given.
    """

    lifetime: timedelta = timedelta(days=1)
    delta_lifetime: timedelta = timedelta(hours=1)
    shards: int = 4


@dataclass(frozen=True)
class Registration:
    """A rule: which hosts may join by evidence, and for which services.

    `attestor`: `x509pop`, `kubernetes`, `oidc`, `ssh_host` or `tpm`. `when`: for a selector the patterns of which one
    must fit; all selectors must. `services` and `identities` are templates over the selectors, such as
    `{namespace}-web`; `*` alone stands for every service.
    `issuer`, `audience`: what a token must say. `keys`: a file or an https address with the issuer's keys as JWKS;
    found at the issuer when empty. `ca`: a file with the roots that the issuer's own door is checked by; the system's
    when empty. `roots`: a file with the certificates, or for `ssh_host` the public keys, of CAs that are believed.
    """

    name: str
    attestor: str
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    issuer: str = ""
    audience: str = ""
    keys: str = ""
    ca: str = ""
    roots: str = ""


@dataclass(frozen=True)
class NameSet:
    """Names that a CA may or may not sign for, with all below them: DNS names, networks, hosts of URIs, mailboxes."""

    dns: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.dns or self.ip or self.uri or self.mail)


EVERY_NAME = NameSet()
"""Nothing is said about names."""


@dataclass(frozen=True)
class IssuingCa:
    """One issuing CA: the kind of its key, how long it lives, and which names it may sign for (nothing said: any)."""

    name: str
    key: KeyType = KeyType.P256
    lifetime: timedelta = timedelta(days=365)
    permitted: NameSet = EVERY_NAME
    excluded: NameSet = EVERY_NAME


@dataclass(frozen=True)
class Keys:
    """Where the CA's keys are: in a token by its pkcs11 URI, else in files, encrypted if there is a password's file."""

    token: str = ""
    password_file: str = ""


@dataclass(frozen=True)
class Authority:
    """All of it. `profiles` are the written ones; the built-in ones come with the authority.

    `policy` None: no policy was written, and what was proven is allowed.
    """

    acme: Acme = Acme()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    registration: tuple[Registration, ...] = ()
    recovery_grace: timedelta = timedelta(days=7)
    """How long after its certificate has ended a host may still prove by its recovery key who it is."""
    policy: Policy = None
    status_url: str = ""
    """Where readers find OCSP and CRLs; empty: where the server listens for them."""
    crl: CrlSettings = CrlSettings()
    keys: Keys = Keys()
    issuing: Mapping[str, IssuingCa] = field(default_factory=dict)
    """The issuing CAs that were written; the mesh's own is there without being written."""
    root_notice: timedelta = timedelta(days=1)
    """How long a new root is shown before it signs, and an old one believed at least after, for clients that read the
    roots from a file."""
