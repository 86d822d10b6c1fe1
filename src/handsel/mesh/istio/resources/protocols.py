"""The names of protocols in ports, and what they are to a proxy."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from handsel.mesh.istio.resources.common import one_of, upper
from handsel.model.graph import Protocol

PROTOCOLS = {
    "HTTP": Protocol.HTTP,
    "HTTP2": Protocol.HTTP2,
    "GRPC": Protocol.GRPC,
    "GRPC-WEB": Protocol.HTTP,
    "HTTP_PROXY": Protocol.HTTP,
    "TCP": Protocol.TCP,
    "HTTPS": Protocol.TCP,
    "TLS": Protocol.TCP,
    "MONGO": Protocol.TCP,
    "MYSQL": Protocol.TCP,
    "REDIS": Protocol.TCP,
}
ENCRYPTED = ("HTTPS", "TLS")
"""What the program itself encrypts."""

_UDP = "the mesh carries TCP only"

WrittenProtocol = Annotated[
    str,
    BeforeValidator(one_of({name: name for name in PROTOCOLS}, {"UDP": _UDP})),
    BeforeValidator(upper),  # runs first
]


def by_port_name(name: str) -> str | None:
    """The protocol that a Kubernetes port has by its name, `http` or `http-web`; None when it says none."""
    for written in sorted(PROTOCOLS, key=len, reverse=True):
        if name == written.lower() or name.startswith(f"{written.lower()}-"):
            return written
    return None
