"""Certificates that a person asks for on the command line: the key is made here, its file is for its owner alone."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.authority.service import random_serial
from handsel.errors import UsageError
from handsel.pki import csr, own
from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names, dns_name
from handsel.pki.own import Signer, Wish
from handsel.store.adapters.files import write_file

_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Target:
    """Where it goes. An existing file is replaced only with `force`; with `dry_run` nothing is written."""

    out: Path
    force: bool = False
    dry_run: bool = False

    def check(self, path: Path) -> None:
        """Raises `UsageError` for a file that is there already."""
        if path.exists() and not self.force:
            raise UsageError(f"{path} is there already", next_step="name another file, or add --force")

    def write(self, path: Path, content: bytes) -> None:
        """Raises `UsageError`."""
        try:
            write_file(path, content)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def wish_for(names: Sequence[str], lifetime: timedelta, *, ca: bool) -> Wish:
    """What the names that a person wrote stand for; the first of a CA is what it is called. Raises `UsageError`."""
    common_name = names[0] if ca else ""
    found: dict[str, list[str]] = {"dns": [], "ip": [], "uri": [], "mail": []}
    for each in names[1:] if ca else names:
        found[_kind(each)].append(each)
    try:
        names_of = Names(tuple(found["dns"]), tuple(found["ip"]), tuple(found["uri"]), tuple(found["mail"]))
        return Wish(names_of, lifetime, ca, common_name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _kind(name: str) -> str:
    if "://" in name:
        return "uri"
    if "@" in name:
        return "mail"
    try:
        ipaddress.ip_address(name)
    except ValueError:
        try:
            dns_name(name)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return "dns"
    return "ip"


def make_request(wish: Wish, kind: KeyType, target: Target) -> str:
    """A key, and a request beside it; what was done, in words. Raises `UsageError`."""
    request = target.out.with_suffix(".csr")
    for path in (target.out, request):
        target.check(path)
    if target.dry_run:
        return f"would write a {kind} key to {target.out}, and its request to {request}"
    key = PrivateKey.generate(kind)
    target.write(target.out, key.pem().reveal())
    target.write(request, x509.load_der_x509_csr(csr.build_for(key, wish.names)).public_bytes(Encoding.PEM))
    return f"{target.out}: a {kind} key; {request}: its request"


def make_here(wish: Wish, kind: KeyType, target: Target, issuer: Path | None) -> str:
    """A certificate by its own key, or by the CA in a file; what was done, in words. Raises `UsageError`."""
    target.check(target.out)
    signer = _signer(issuer) if issuer else None
    key = PrivateKey.generate(kind)
    try:
        chain = own.make(wish, key, signer, serial=random_serial(), now=datetime.now(UTC))
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _keep(key, chain, target)


def ask_authority(wish: Wish, kind: KeyType, target: Target, profile: str, call: Callable[[Any], Any]) -> str:
    """A certificate by a running authority; what was done, in words. Raises `UsageError`, or what the authority says.

    `call` sends a wish to the server and gives its answer.
    """
    target.check(target.out)
    if target.dry_run:
        return f"would ask for a certificate of the profile {profile!r} for {_shown(wish)}"
    key = PrivateKey.generate(kind)
    request = base64.b64encode(csr.build_for(key, wish.names)).decode()
    answer = call({"csr": request, "profile": profile})
    return _keep(key, parse_pem(answer["chain"].encode()), target)


def _keep(key: PrivateKey, chain: tuple[Certificate, ...], target: Target) -> str:
    if target.dry_run:
        return f"would write {target.out}: {chain[0].subject or 'no subject'}, until {chain[0].not_after:%Y-%m-%d}"
    target.write(target.out, key.pem().reveal() + to_pem(chain))
    return f"{target.out}: key and chain, until {chain[0].not_after:%Y-%m-%d %H:%M}, sha256 {chain[0].fingerprint}"


def _signer(path: Path) -> Signer:
    try:
        content = path.read_bytes()[:_MOST_BYTES]
        chain = parse_pem(content)
        key = PrivateKey.from_pem(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} has no CA's key and certificate in PEM: {error}") from error
    if not chain or key.public_der() != chain[0].public_key_der:
        raise UsageError(f"{path} has no certificate for its key, which must come first")
    return Signer(key, chain)


def _shown(wish: Wish) -> str:
    return ", ".join(name for _, name in wish.names)
