"""A certificate that a workload takes from an ACME CA (RFC 8555), beside its identity."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OF_MESH = "mesh"
"""The directory of this mesh's own server, as people write it."""
SECRET_NAME = "acme"  # noqa: S105  # a name, not a secret
"""Under which a workload's socket serves the certificate, beside each of its DNS names."""
TAKEN_NAMES = frozenset({SECRET_NAME, "default", "trusted_ca", "validation_context"})
"""Names of one label that mean something else on a workload's socket."""


class Challenge(StrEnum):
    """How control of a name is shown: RFC 8555, section 8.3; RFC 8737."""

    HTTP = "http-01"
    TLS_ALPN = "tls-alpn-01"

    @property
    def usual_port(self) -> int:
        """Where a CA looks."""
        return 80 if self is Challenge.HTTP else 443


@dataclass(frozen=True)
class ExternalAccount:
    """The account at the CA that an ACME account is bound to (RFC 8555, section 7.3.4).

    `key_file`: an absolute path on the workload's host, whose first line is the key, base64url.
    """

    key_id: str
    key_file: str


@dataclass(frozen=True)
class AcmeClient:
    """What a workload wants of an ACME CA.

    `directory` is an https address, or `mesh`. `names`: DNS names and IP addresses. `roots`: absolute path of a PEM
    file with whom to believe when speaking to the CA; empty: the system's, for `mesh` the mesh's own. `challenge` and
    `key` are values of `Challenge` and `KeyType`, or words of a newer server. `listen_address` empty: every address.
    `preferred_chain`: the common name of the issuer of its last certificate, where the CA offers several.
    """

    directory: str
    names: tuple[str, ...]
    roots: str = ""
    contact: tuple[str, ...] = ()
    external_account: ExternalAccount | None = None
    challenge: str = Challenge.HTTP
    listen_address: str = ""
    listen_port: int = 80
    profile: str = ""
    key: str = "p256"
    preferred_chain: str = ""

    @property
    def is_of_mesh(self) -> bool:
        return self.directory == OF_MESH
