"""What a linter says of a profile: specimens of its certificates, the findings that count, the verdict.

Specimens are signed by a key that is thrown away, never by the issuer's: they name the issuer, and nobody can take one
for a certificate of its.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from handsel.authority import ca, structure
from handsel.authority.model import Approval, CheckedDraft, Domain, Issuer
from handsel.authority.status_places import StatusPlaces
from handsel.authority.structure import Parts
from handsel.model.authority import OWN_PROFILES, Profile
from handsel.model.name_patterns import Pattern
from handsel.pki.certificate import Certificate
from handsel.pki.keys import KeyType, PrivateKey, PublicKey, kind_of
from handsel.pki.names import Names, SpiffeId, TrustDomain, dns_name

ERRORS = ("FATAL", "ERROR")


@dataclass(frozen=True)
class Finding:
    """One finding. `value` is what it is about, if that is text; `specimen` says which certificate had it."""

    severity: str
    code: str
    where: str
    value: str
    message: str
    specimen: str = ""

    def __str__(self) -> str:
        about = self.message or self.value
        return f"{self.code} at {self.where}{': ' if about else ''}{about}{f' ({self.specimen})' * bool(self.specimen)}"


@dataclass(frozen=True)
class Accepted:
    """A finding that is not one here: its code, when it is not, and why."""

    code: str
    reason: str
    holds: Callable[[str], bool]


def _is_spiffe_id(value: str) -> bool:
    try:
        SpiffeId.parse(value)
    except ValueError:
        return False
    return True


def _is_name_beyond_the_public(value: str) -> bool:
    try:
        dns_name(value)
    except ValueError:
        return False
    return "." not in value or value.startswith("*.")


ACCEPTED = (
    Accepted(
        "pkix.invalid_uri_syntax",
        "pkilint takes the host of a URI for a name of the public DNS; a trust domain need not be one (SPIFFE-ID, 2.1)",
        _is_spiffe_id,
    ),
    Accepted(
        "pkix.invalid_domain_name_syntax",
        "names of one label are usual on private networks; wildcards are left open by RFC 5280 (4.2.1.6), see RFC 6125",
        _is_name_beyond_the_public,
    ),
)


def counts(finding: Finding) -> bool:
    """Whether a finding is one here too."""
    return not any(each.code == finding.code and each.holds(finding.value) for each in ACCEPTED)


@dataclass(frozen=True)
class Verdict:
    """What was found in a profile's specimens. `linter` is who looked, with its version; empty: only ourselves."""

    profile: str
    fingerprint: str
    linter: str
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity in ERRORS)

    def __str__(self) -> str:
        if self.errors:
            return f"{len(self.errors)} errors"
        return f"clean ({self.linter})" if self.linter else "structurally checked only"


@dataclass(frozen=True)
class Specimen:
    """A certificate as the profile would make it, and what is in it, in words. `fault` is a rule of ours it breaks."""

    label: str
    certificate: Certificate
    fault: str | None


_STATUS = StatusPlaces("http://status.example.com")
"""Where a specimen's status would be. The real place is a setting, or this host, whose name may have one label only:
the linter takes that for no URL."""


def specimens(profile: Profile, issuer: Issuer, domain: Domain, *, now: datetime) -> list[Specimen]:
    """One for every kind of name with the first kind of key, and one with all names for every other kind."""
    stand_in = replace(issuer, key=PrivateKey.generate(issuer.key.kind))
    first, *others = sorted(profile.keys)
    wanted = list(_names(profile, domain.trust_domain))
    asked = [(names, identity, first) for names, identity in wanted]
    everything = _together([names for names, _ in wanted])
    identity = wanted[0][1]
    asked += [(everything if identity is None else wanted[0][0], identity, kind) for kind in others]
    moment = max(now, issuer.certificate.not_before)
    return [
        _specimen(
            Approval(names, of, specimen_key(kind), profile, profile.lifetime, "lint"), stand_in,
            _STATUS if domain.status else None, moment,
        )
        for names, of, kind in asked
    ]  # fmt: skip


def _specimen(approval: Approval, issuer: Issuer, status: StatusPlaces | None, now: datetime) -> Specimen:
    draft = ca.prepare(approval, issuer, serial=1 << 126 | 1, now=now, status=status)
    names, identity = approval.names, approval.identity
    fault = structure.fault(
        Parts.of_draft(draft), names, issuer.certificate.key_id, is_svid=identity is not None
    )  # fmt: skip
    label = f"{kind_of(approval.public_key)} key, {', '.join(value for _, value in names)}"
    return Specimen(label, ca.sign(CheckedDraft(draft)).certificate, fault)


def _together(all_names: list[Names]) -> Names:
    return Names(
        dns=tuple(each for names in all_names for each in names.dns),
        ip=tuple(each for names in all_names for each in names.ip),
        uri=tuple(each for names in all_names for each in names.uri),
        mail=tuple(each for names in all_names for each in names.mail),
    )


def _names(profile: Profile, trust_domain: TrustDomain) -> Iterator[tuple[Names, SpiffeId | None]]:
    if profile.name in OWN_PROFILES:
        identity = trust_domain.server if profile.name == "server" else trust_domain.workload("default", "specimen")
        server = Names(uri=(str(identity),), dns=(trust_domain.server_dns, "localhost"), ip=("127.0.0.1",))
        yield (server if profile.name == "server" else Names(uri=(str(identity),))), identity
    elif profile.names:
        for pattern in profile.patterns:
            yield Names(**{pattern.kind: (_example(pattern),)}), None  # type: ignore[arg-type]  # kinds are fields
    else:
        for dns in ("specimen.example.internal", "*.example.internal", "specimen", "xn--bcher-kva.example.internal"):
            yield Names(dns=(dns,)), None
        yield Names(ip=("192.0.2.1", "2001:db8::1")), None
        yield Names(uri=("https://specimen.example.internal/path",)), None
        yield Names(mail=("specimen@example.internal",)), None


def _example(pattern: Pattern) -> str:
    """A name that the pattern covers."""
    text = pattern.text
    match pattern.kind:
        case "dns":
            return "specimen" if text in ("*", "**") else f"specimen.{text.lstrip('*.')}" if text[0] in "*." else text
        case "ip":
            return str(ipaddress.ip_network(text)[0])
        case "uri":
            return f"{text.removesuffix('*')}specimen" if text.endswith("/*") else text
        case "mail":
            return f"specimen{text}" if text.startswith("@") else text if "@" in text else f"specimen@{text}"


@cache
def specimen_key(kind: KeyType) -> PublicKey:
    """A public key of this kind that belongs to nobody: what is cheap to make is enough to look at."""
    seed = hashlib.sha256(b"specimen").digest()
    match kind:
        case KeyType.P256 | KeyType.P384:
            curve = ec.SECP256R1() if kind is KeyType.P256 else ec.SECP384R1()
            return ec.derive_private_key(int.from_bytes(seed) >> 8, curve).public_key()
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
        case KeyType.RSA2048 | KeyType.RSA3072 | KeyType.RSA4096:
            bits = int(kind.removeprefix("rsa"))
            modulus = int.from_bytes(hashlib.shake_256(seed).digest(bits // 8)) | 1 << (bits - 1) | 1
            return rsa.RSAPublicNumbers(65537, modulus).public_key()
        case KeyType.MLDSA44:
            return mldsa.MLDSA44PrivateKey.from_seed_bytes(seed).public_key()
        case KeyType.MLDSA65:
            return mldsa.MLDSA65PrivateKey.from_seed_bytes(seed).public_key()
        case KeyType.MLDSA87:
            return mldsa.MLDSA87PrivateKey.from_seed_bytes(seed).public_key()
