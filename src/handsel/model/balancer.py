"""A load balancer: a gateway that ends TLS for names of its own and maps paths to applications."""

from __future__ import annotations

from dataclasses import dataclass, field

from handsel.model.origin import NOWHERE, Origin


@dataclass(frozen=True)
class Balancer:
    """One load balancer."""

    name: str
    origin: Origin = field(default=NOWHERE, compare=False)
