"""Keys and certificates that came with the configuration (a Kubernetes Secret), under the name that rules use."""

from __future__ import annotations

from dataclasses import dataclass, field

from handsel.model.origin import NOWHERE, Origin
from handsel.pki.secret import Secret


@dataclass(frozen=True)
class Credential:
    """PEM texts; what is not there is empty. `ca` are roots to check the other side with, `crl` its revocation list.

    `staple`: an OCSP answer in DER.
    """

    name: str
    namespace: str
    certificate: bytes = b""
    private_key: Secret | None = field(default=None, repr=False)
    ca: bytes = b""
    crl: bytes = b""
    staple: bytes = b""
    origin: Origin = field(default=NOWHERE, compare=False)
