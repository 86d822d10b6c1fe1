"""TLS as it is meant: what we show, whom we believe, whom we expect. Knows nothing of Envoy's words.

`TlsIntent` is the only origin of TLS contexts, so that none ever rests on a proxy's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from handsel.pki.names import SpiffeId, TrustDomain


@dataclass(frozen=True)
class TlsParameters:
    """Versions, key-exchange groups, and the ciphers of TLS 1.2 and older (none: the proxy's), most preferred first."""

    minimum: str
    maximum: str
    groups: tuple[str, ...]
    ciphers: tuple[str, ...] = ()


MESH_TLS = TlsParameters("TLSv1_3", "TLSv1_3", ("X25519MLKEM768", "X25519"))
"""Between our own proxies: no downgrade, post-quantum first."""

EXTERNAL_TLS = TlsParameters("TLSv1_2", "TLSv1_3", ("X25519MLKEM768", "X25519", "P-256"))
"""Towards third parties, which may have no more than TLS 1.2 and P-256."""

_AEAD = ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
EDGE_TLS = TlsParameters(
    EXTERNAL_TLS.minimum, EXTERNAL_TLS.maximum, EXTERNAL_TLS.groups,
    tuple(f"ECDHE-{key}-{cipher}" for cipher in _AEAD for key in ("ECDSA", "RSA")),
)  # fmt: skip
"""At the edge, for clients of all kinds: forward secrecy and authenticated encryption in every version."""


def tuned(
    usual: TlsParameters, minimum: str = "", ciphers: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> TlsParameters:
    """The usual parameters with what somebody said of them in their place."""
    return TlsParameters(
        minimum.replace(".", "_") or usual.minimum, usual.maximum, groups or usual.groups, ciphers or usual.ciphers
    )


@dataclass(frozen=True)
class PeerIds:
    """The peer must carry exactly one of these SPIFFE IDs. Never empty: an empty list would admit all."""

    allowed: tuple[SpiffeId, ...]

    def __post_init__(self) -> None:
        if not self.allowed:
            raise ValueError("name at least one identity; TrustDomain.nobody when none is allowed")


@dataclass(frozen=True)
class PeerAnyone:
    """The peer is any workload of this trust domain: what Istio means where nothing is said about callers."""

    trust_domain: TrustDomain


@dataclass(frozen=True)
class PeerHosts:
    """The peer is of a foreign PKI and must carry one of these DNS names (or IP addresses)."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class PeerClients:
    """The peer is a client of a foreign PKI, or, unless `required`, one that shows no certificate.

    Where they are said: its certificate carries one of `names` (URI, DNS, address, e-mail), and is of one of the keys
    `spki` (base64 SHA-256) or one of `hashes` (hex SHA-256 of the whole).
    """

    names: tuple[str, ...] = ()
    spki: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class PeerAnonymous:
    """The peer is asked for no certificate."""


@dataclass(frozen=True)
class PeerUnchecked:
    """The peer is whoever answers: only where somebody wrote so."""


Peer = PeerIds | PeerAnyone | PeerHosts | PeerClients | PeerAnonymous | PeerUnchecked


@dataclass(frozen=True)
class TlsIntent:
    """One side of a TLS connection: what we show, whom we believe, whom we expect.

    `identity_secret` empty shows no certificate; `more_identities`: of other kinds of key, for clients that know no
    better. `application_protocols` are ALPN names.
    """

    identity_secret: str
    trust_secret: str
    peer: Peer
    parameters: TlsParameters
    server_name: str = ""
    application_protocols: tuple[str, ...] = ()
    more_identities: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that it cannot do without."""
        return tuple(name for name in (self.identity_secret, *self.more_identities, self.trust_secret) if name)
