"""Where the keys of tokens are fetched from."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from handsel.model.graph import External, ExternalTls, Protocol
from handsel.model.origin import NOWHERE

_PORTS = {"https": 443, "http": 80}


def key_cluster(uri: str) -> str:
    """The name of the cluster behind a URI of keys. No callee has such a name, since names have no underscore."""
    host, port = _host_and_port(uri)
    return f"_keys.{host}.{port}"


def key_place(uri: str, externals: Mapping[str, External]) -> External:
    """The host of a URI of keys: as the mesh declares it, else by DNS with the operating system's roots."""
    host, port = _host_and_port(uri)
    for each in externals.values():
        if host in (each.host, *each.aliases) and port in (each.port, each.plain_port):
            return each
    tls = ExternalTls.DISABLE if urlsplit(uri).scheme == "http" else ExternalTls.SIMPLE
    return External(host, host, port, port, Protocol.HTTP, (), tls, "", "", "", host, (host,), NOWHERE)


def _host_and_port(uri: str) -> tuple[str, int]:
    parts = urlsplit(uri)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
