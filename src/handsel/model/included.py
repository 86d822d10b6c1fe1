"""What included resources bring to the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from handsel.documents.yaml import Document
from handsel.model.access import PeerMode, Policy, Tokens
from handsel.model.credential import Credential
from handsel.model.finding import Finding
from handsel.model.gateway import Gateway
from handsel.model.graph import External, Group, Service
from handsel.model.routing import Routes
from handsel.model.tls_settings import USUAL_TLS, TlsSettings
from handsel.model.traffic import Traffic
from handsel.pki.names import TrustDomain


@dataclass(frozen=True)
class Included:
    """What the included resources declare, and what a person must know of them."""

    services: tuple[Service, ...] = ()
    groups: tuple[Group, ...] = ()
    externals: tuple[External, ...] = ()
    routes: tuple[Routes, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    modes: tuple[PeerMode, ...] = ()
    policies: tuple[Policy, ...] = ()
    tokens: tuple[Tokens, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    credentials: tuple[Credential, ...] = ()
    findings: tuple[Finding, ...] = ()
    root_namespace: str = ""
    tls: TlsSettings = USUAL_TLS


@dataclass(frozen=True)
class Around:
    """What the mesh file says that resources beside it may refer to."""

    trust_domain: TrustDomain
    services: tuple[Service, ...] = ()
    externals: tuple[External, ...] = ()


Include = Callable[[str], Sequence[Document]]
"""The documents behind a pattern of `include`; raises `InvalidFile`, or `ValueError` when the pattern is wrong."""

ReadResources = Callable[[Sequence[Document], Around], Included]
"""What all included documents say together, since a rule may stand in another file; raises `InvalidFile`."""
