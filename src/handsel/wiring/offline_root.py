"""A root on a machine of its own, away from any server: it signs issuing CAs by their requests."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.authority import ca
from handsel.authority.adapters.signers.custody import read_password
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.hierarchy import CaPlan
from handsel.authority.service import random_serial
from handsel.errors import Refused, UsageError
from handsel.model.authority import NameSet
from handsel.model.authority_file import LONGEST_LIFE, SHORTEST_CA_LIFE, ca_name
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.names import TrustDomain, dns_name
from handsel.pki.weak_keys import weakness
from handsel.wiring.ca import keep

_SCHEME = "spiffe://"
_MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class Wish:
    """What the person at the root grants: nothing of it is taken from the request but the key."""

    name: str
    lifetime: timedelta
    permitted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def plan(self) -> CaPlan:
        """Raises `UsageError` for a name that is none, or a lifetime out of bounds."""
        try:
            name = ca_name(self.name)
        except ValueError as error:
            raise UsageError(f"--name {self.name[:60]!r}: {error}") from error
        if not SHORTEST_CA_LIFE <= self.lifetime <= LONGEST_LIFE:
            raise UsageError("--lifetime must be between 1m and 3650d")
        return CaPlan(
            name, lifetime=self.lifetime, permitted=_name_set(self.permitted), excluded=_name_set(self.excluded)
        )


def sign_request(
    folder: Path, password_file: Path | None, pem: bytes, wish: Wish, *, out: Path | None = None
) -> Certificate:
    """The certificate of an issuing CA, written to `out` if that is named.

    Raises `StateError`, `UsageError`, or `Refused` for what is no good request.
    """
    root_folder = KeyFolder(folder, FileKeys(folder, read_password(password_file) if password_file else None))
    name, root = root_folder.roots.newest()
    root_key = root_folder.keys.load(name)
    if root_key.public_der() != root.public_key_der:
        raise Refused(f"the key in {folder} is not the root's")
    asked = _read_request(pem)
    found = weakness(asked.public_key)
    if found is not None:
        raise Refused(f"the key of the request {found}")
    if asked.public_key_der == root.public_key_der:
        raise Refused("the key of the request is the root's own")
    now = datetime.now(UTC)
    if now >= root.not_after:
        raise Refused("the root has ended")
    made = ca.sign_issuing(
        _trust_domain(root), asked.public_key, root, root_key, serial=random_serial(), now=now, plan=wish.plan()
    )
    if out is not None:
        keep(out, made.pem)
    return made


def next_root(folder: Path, password_file: Path | None, out: Path) -> Certificate:
    """Make the next root there, and write what the server needs of it to `out`. Raises `StateError`, `UsageError`."""
    root_folder = KeyFolder(folder, FileKeys(folder, read_password(password_file) if password_file else None))
    _, newest = root_folder.roots.newest()
    made = root_folder.roots.succeed(_trust_domain(newest), datetime.now(UTC))
    keep(out, made.pem())
    return made.root


def _read_request(pem: bytes) -> csr.CertificateRequest:
    try:
        if len(pem) > _MOST_BYTES:
            raise ValueError("it is too large")
        return csr.parse(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER))
    except ValueError as error:
        raise Refused(f"the file is no certificate request in PEM: {error}") from error


def _trust_domain(root: Certificate) -> TrustDomain:
    try:
        (uri,) = root.uri_names
        return TrustDomain(uri.removeprefix(_SCHEME))
    except ValueError as error:
        raise Refused("the root does not say its trust domain") from error


def _name_set(written: tuple[str, ...]) -> NameSet:
    found: dict[str, list[str]] = {"dns": [], "ip": [], "uri": [], "mail": []}
    for each in written:
        kind, _, value = each.partition(":")
        if kind not in found or not value:
            raise UsageError(f"{each[:60]!r} is not written as dns:NAME, ip:NETWORK, uri:HOST or mail:HOST")
        try:
            found[kind].append(str(ipaddress.ip_network(value)) if kind == "ip" else dns_name(value))
        except ValueError as error:
            raise UsageError(f"{each[:60]!r}: {error}") from error
    return NameSet(**{kind: tuple(values) for kind, values in found.items()})
