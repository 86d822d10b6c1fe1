"""Secrets that came with the configuration, and those that it uses: who gets them follows from who needs them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from handsel.model.credential import Credential
from handsel.pki.secret import Secret
from handsel.secrets.model import Kind, Version

_SINCE = datetime.fromtimestamp(0, UTC)
_BY = "the configuration"


@dataclass(frozen=True)
class Configured:
    """`versions` and `values` by the secret's name. `uses`: the units that the proxy of each service needs."""

    versions: Mapping[str, Version] = field(default_factory=dict)
    values: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, credentials: Iterable[tuple[str, Credential]], uses: Mapping[str, frozenset[str]]) -> Configured:
        """`credentials`: each with its unit. Of those that nobody uses nothing is kept."""
        used = frozenset().union(*uses.values())
        values = {
            f"{unit}/{name}": value
            for unit, credential in credentials
            if unit in used
            for name, value in _values(credential).items()
        }
        return cls({name: _version(name, value) for name, value in values.items()}, values, uses)


def _values(credential: Credential) -> dict[str, Secret]:
    found = {
        "tls.crt": Secret(credential.certificate), "tls.key": credential.private_key, "ca.crt": Secret(credential.ca),
        "ca.crl": Secret(credential.crl), "tls.ocsp-staple": Secret(credential.staple),
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None and value.reveal()}


def _version(name: str, value: Secret) -> Version:
    # As long as the value is the same, so is its version, on every server.
    content = name.encode() + b"\0" + value.reveal()
    version_id = hashlib.blake2b(content, digest_size=12, person=b"configured").hexdigest()
    return Version(name, 0, version_id, Kind.OPAQUE, len(value.reveal()), None, "", _SINCE, _BY)
