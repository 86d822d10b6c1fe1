"""What the command line asks of an authority's folder, whether its server runs or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.authority import hierarchy
from handsel.authority.adapters.signers import read_roots
from handsel.authority.adapters.signers.custody import read_password
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.adapters.signers.roots import Succession
from handsel.authority.hierarchy import ROOT, CaPlan, Nearness, nearness
from handsel.authority.model import name_of
from handsel.errors import Refused, UsageError
from handsel.model.authority import Authority
from handsel.pki import csr
from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.pki.constraints import NameConstraints, constraints_of
from handsel.pki.keys import KeyType, kind_of
from handsel.pki.names import TrustDomain
from handsel.store.adapters.files import hold_lock, make_folder, write_file
from handsel.wiring.authority_keys import key_folder
from handsel.wiring.server_folder import ServerFolder


@dataclass(frozen=True)
class Place:
    """An authority as the command line names it: state folder, trust domain, settings, the password's file if given."""

    state: Path
    trust_domain: TrustDomain
    settings: Authority
    password_file: Path | None

    @property
    def server(self) -> ServerFolder:
        return ServerFolder(self.state / "server")

    def open(self) -> KeyFolder:
        """Its folder. Raises `StateError`, `UsageError`."""
        return key_folder(self.server.authority, self.settings, self.password_file)

    @property
    def plans(self) -> tuple[CaPlan, ...]:
        return hierarchy.plans(self.settings.issuing)


def read_bundle(state: Path) -> bytes:
    """The roots to trust, as PEM. Raises `StateError`."""
    return to_pem(read_roots(ServerFolder(state / "server").authority))


def init(
    place: Place, root_kind: KeyType, *, offline: Path | None = None, offline_password: Path | None = None
) -> list[str]:
    """Make an authority before its server starts for the first time; the names of what was made.

    With `offline` the root's keys are made there, encrypted when there is an `offline_password`.
    Raises `UsageError` when there is one already, `StateError` when something cannot be written.
    """
    keys = place.open()
    if keys.has(ROOT):
        raise UsageError(f"there is an authority in {keys.folder} already", next_step="handsel ca show")
    for folder in (place.server.root, keys.folder):
        make_folder(folder)
    with hold_lock(place.server.lock, "init"):
        if offline is None:
            return keys.make(place.trust_domain, place.plans, now=_now(), root_kind=root_kind)
        password = read_password(offline_password) if offline_password else None
        return _make_below(KeyFolder(offline, FileKeys(offline, password)), keys, place, root_kind)


def _make_below(away: KeyFolder, keys: KeyFolder, place: Place, root_kind: KeyType) -> list[str]:
    """Issuing CAs under a root whose keys are made elsewhere: the server's own disk never sees them."""
    if away.has(ROOT):
        raise UsageError(f"there is a root in {away.folder} already")
    away.make(place.trust_domain, (), now=_now(), root_kind=root_kind)
    keys.roots.adopt(away.roots.trusted()[0], away.roots.public(away.following(ROOT)))
    return [ROOT, *keys.make(place.trust_domain, place.plans, now=_now(), root_key=away.keys.load(ROOT))]


def encrypt(place: Place, password_file: Path) -> list[str]:
    """Encrypt the key files, or encrypt them anew; the names of the keys. Raises `StateError`, `UsageError`."""
    keys = place.open()
    if not isinstance(keys.keys, FileKeys):
        raise UsageError(f"nothing to encrypt: the keys are in {keys.keys.custody}")
    with hold_lock(place.server.lock, "encryption of keys"):
        return keys.keys.encrypt(read_password(password_file))


def request(place: Place, name: str, out: Path) -> None:
    """Write a request (PEM) for a CA's certificate, by a new key that stays here. Raises `StateError`, `UsageError`."""
    keys = place.open()
    plan = _plan(place, name)
    with hold_lock(place.server.keys_lock, "request"):
        key = keys.keys.make(keys.following(name), plan.kind)
    keep(out, x509.load_der_x509_csr(csr.build(key, None)).public_bytes(Encoding.PEM))


def keep(out: Path, content: bytes) -> None:
    """Write a file that a person named. Raises `UsageError`."""
    try:
        write_file(out, content)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error


def install(place: Place, name: str, pem: bytes) -> Certificate:
    """Take up the certificate that answers a `request`, or the next root. Raises `Refused` for a wrong one."""
    keys = place.open()
    if name == ROOT:
        return _install_root(place, keys, pem)
    _plan(place, name)
    certificate = read_one(pem)
    stored = keys.following(name)
    with hold_lock(place.server.keys_lock, "installation"):
        if not keys.keys.exists(stored) or keys.keys.load(stored).public_der() != certificate.public_key_der:
            raise Refused(
                f"the certificate is not for the key that waits for one as {stored!r}",
                next_step=f"handsel ca request {name} makes a key and its request",
            )
        _check_installed(certificate, keys.roots.trusted()[0])
        _check_subject(keys, name, certificate)
        keys.put(stored, certificate)
    return certificate


def _install_root(place: Place, keys: KeyFolder, pem: bytes) -> Certificate:
    try:
        made = Succession.parse(pem)
    except ValueError as error:
        raise UsageError("the file is not what `handsel ca next-root` writes") from error
    with hold_lock(place.server.keys_lock, "installation"):
        keys.roots.install(made)
    return made.root


def _check_installed(certificate: Certificate, root: Certificate) -> None:
    try:
        certificate.parsed.verify_directly_issued_by(root.parsed)
    except (ValueError, TypeError, InvalidSignature):
        raise Refused("the certificate is not signed by this authority's root") from None
    if not certificate.is_ca:
        raise Refused("the certificate is no CA's")
    if certificate.key_id is None or certificate.authority_key_id != root.key_id:
        raise Refused("the certificate does not say its own key's and its root's identifier")
    if certificate.not_after <= _now():
        raise Refused("the certificate has ended")


def _check_subject(keys: KeyFolder, name: str, certificate: Certificate) -> None:
    """Readers find a certificate's issuer by its subject: no two CAs have the same."""
    others = [each for other in keys.names() if other != name for each in keys.generations(other)]
    for other in (ROOT, *others):
        found = keys.certificate(other)
        if found is not None and found.parsed.subject == certificate.parsed.subject:
            raise Refused(
                f"the certificate has the subject of another CA, {other!r}",
                next_step=f"handsel ca sign --name {name} gives it its own",
            )


def read_one(pem: bytes) -> Certificate:
    """The one certificate of a PEM file. Raises `UsageError`."""
    try:
        (certificate,) = parse_pem(pem)
    except ValueError as error:
        raise UsageError("the file has not one certificate in PEM") from error
    return certificate


def show(place: Place) -> dict[str, Any]:
    """The CAs, where their keys are, when they end, and what a person should do about it. Raises `StateError`."""
    keys = place.open()
    keys.roots.newest()  # an authority that is not there is said here
    moment = _now()
    names = (ROOT, *keys.names())
    stored = [each for name in names for each in keys.generations(name)]
    newest = {keys.generations(name)[-1] for name in names}  # those before have a successor
    shown = [_shown(keys, each, found, moment) for each in stored if (found := keys.certificate(each))]
    return {
        "apiVersion": "handsel/v1",
        "kind": "Authority",
        "trustDomain": str(place.trust_domain),
        "custody": keys.keys.custody,
        "rootIsHere": keys.roots.can_sign(),
        "pins": list(keys.roots.public_pins()),
        "authorities": shown,
        "warnings": [
            *_warnings([each for each in shown if each["name"] in newest]),
            *_missing(place, keys),
            *_differences(place, keys),
        ],
    }


def _shown(keys: KeyFolder, name: str, certificate: Certificate, moment: datetime) -> dict[str, Any]:
    constraints = constraints_of(certificate)
    return {
        "name": name,
        "role": "root" if name_of(name) == ROOT else "issuing",
        "subject": certificate.subject,
        "key": str(kind_of(certificate.parsed.public_key())),
        "keyIsHere": keys.keys.exists(name),
        "keyId": (certificate.key_id or b"").hex(),
        "sha256": certificate.fingerprint,
        "notAfter": certificate.not_after.isoformat(),
        "nearness": str(nearness(certificate, moment)),
        "permitted": _names(constraints, "permitted"),
        "excluded": _names(constraints, "excluded"),
    }


def _names(constraints: NameConstraints | None, half: str) -> list[str]:
    if constraints is None:
        return []
    found = getattr(constraints, half)
    return [f"{kind}:{each}" for kind in ("dns", "ip", "uri", "mail") for each in getattr(found, kind)]


_SAID = {
    Nearness.SOON: "has less than a third of its life left: plan its rotation",
    Nearness.VERY_SOON: "has less than a fifth of its life left: rotate it now",
    Nearness.OVER: "has ended: what it signed is believed by nobody",
}


def _warnings(shown: list[dict[str, Any]]) -> list[str]:
    return [
        f"{each['name']} {_SAID[Nearness(each['nearness'])]}" for each in shown if Nearness(each["nearness"]) in _SAID
    ]


def _missing(place: Place, keys: KeyFolder) -> list[str]:
    return [f"{plan.name} is in the mesh file and not made yet" for plan in place.plans if not keys.has(plan.name)]


def _differences(place: Place, keys: KeyFolder) -> list[str]:
    newest = [(plan, keys.certificate(each)) for plan in place.plans for each in keys.generations(plan.name)[-1:]]
    return [line for plan, made in newest if made for line in hierarchy.differences(plan, made)]


def _plan(place: Place, name: str) -> CaPlan:
    """Raises `UsageError` for a CA that this authority should not have."""
    for plan in place.plans:
        if plan.name == name:
            return plan
    raise UsageError(
        f"there is no issuing CA {name[:63]!r}", next_step=f"known: {', '.join(each.name for each in place.plans)}"
    )


def _now() -> datetime:
    return datetime.now(UTC)
