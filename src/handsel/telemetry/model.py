"""The numbers of one server, or of one agent, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from handsel.envoy.stats import ProxyCounts


@dataclass(frozen=True)
class CertificateEnd:
    """When a certificate ends; `role` is root, issuing, server or workload."""

    service: str
    role: str
    not_after: datetime


@dataclass(frozen=True)
class Measured:
    """What a scrape of the server tells. Labels have few values: never a serial number.

    `alerts`: how many are active, by kind; `hosts_in_quarantine`: hosts for which nothing is signed.
    """

    trust_domain: str
    ends: tuple[CertificateEnd, ...]
    hosts: int
    proxies: int
    proxies_in_sync: int
    rejections: int
    issued: int
    hosts_in_quarantine: int = 0
    alerts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SecretMeasured:
    """A secret of one workload's socket. `current` of its `subscribers` have acknowledged what is served now."""

    service: str
    name: str
    subscribers: int
    current: int
    last_ack: datetime | None
    last_nack: datetime | None


@dataclass(frozen=True)
class WorkloadMeasured:
    """One workload of an agent's. `counts` is None when its proxy did not answer."""

    service: str
    in_sync: bool
    restarts: int
    rejections: int
    not_after: datetime | None
    counts: ProxyCounts | None


@dataclass(frozen=True)
class AgentMeasured:
    """What a scrape of an agent tells."""

    server_reached: bool
    workloads: tuple[WorkloadMeasured, ...]
    secrets: tuple[SecretMeasured, ...]
