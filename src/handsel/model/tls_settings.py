"""TLS of the whole mesh: what Istio's MeshConfig says, for where nothing closer says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TlsSettings:
    """What is empty is ours. Versions as `TLSv1.2`; ciphers are those of TLS 1.2, by OpenSSL's names.

    `within`: the groups of key exchange between our own proxies, which always speak TLS 1.3. The others are of every
    other TLS: towards third parties, and of gateways.
    """

    within: tuple[str, ...] = ()
    minimum: str = ""
    ciphers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


USUAL_TLS = TlsSettings()
