"""How things are called in Envoy's configuration: a contract with `status`, `explain`, logs and statistics."""

from __future__ import annotations

from datetime import timedelta


def application(inbound: str) -> str:
    """The cluster of the program behind a mesh port. No callee has such a name, since names have no underscore."""
    return inbound.replace("inbound", "_application", 1)


def outbound(callee: str) -> str:
    """The listener of a callee, and its routes."""
    return f"outbound.{callee}"


def front(front: str, chain: str) -> str:
    """The routes of a chain of a front."""
    return f"{front}#{chain}"


PROXY = "proxy"
"""The listener that `http_proxy` names, and its routes."""


def seconds(duration: timedelta) -> str:
    """A duration as protobuf's JSON form has it, to the millisecond."""
    return f"{duration.total_seconds():.3f}".rstrip("0").rstrip(".") + "s"
