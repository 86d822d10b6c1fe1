"""The numbers of one server at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CertificateEnd:
    """When a certificate ends; `role` is root, issuing, server or workload."""

    service: str
    role: str
    not_after: datetime


@dataclass(frozen=True)
class Measured:
    """What a scrape tells. Labels have few values: never a serial number."""

    trust_domain: str
    ends: tuple[CertificateEnd, ...]
    hosts: int
    proxies: int
    proxies_in_sync: int
    rejections: int
    issued: int
