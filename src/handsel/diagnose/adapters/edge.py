"""Looks at one call: a real request over it, both proxies' logs, and what they leave open by a handshake of our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handsel.diagnose.adapters import probe
from handsel.diagnose.adapters.handshake import own_certificate, with_handshakes
from handsel.diagnose.adapters.logs import LogTail, read_lines
from handsel.diagnose.adapters.probe import Answer, PairFiles
from handsel.diagnose.call import Call, Seen
from handsel.diagnose.evidence import Line
from handsel.diagnose.verdict import answered_upstream
from handsel.envoy.adapters import admin
from handsel.errors import ProtocolError
from handsel.model.graph import External, Protocol

_ADMIN_SECONDS = 2.0
_LINE_SECONDS = 2.5
# Whoever hangs up does it at once; a sidecar waits two seconds for another one, and a probe three for an answer.
_GAVE_UP_SECONDS = 1.8
# A call to the outside may take five seconds to connect (see `mesh/translate.py`), and then it must not be refused.
_CONNECT_SECONDS = 6.0
_SETTLE_SECONDS = 1.0
# What `handsel` itself asks for begins so; it is no traffic of the program's.
_OWN_PATHS = ("/handsel.", "/?handsel.")

Address = tuple[str, int]


@dataclass(frozen=True)
class Place:
    """Where a call can be seen and made on this host.

    `callee_log` and `mesh` are None when the callee is elsewhere; `entry` is the callee's loopback port at the caller,
    None when it has none; `proxy` is the caller's proxy port. `pair` is the caller's own certificate.
    """

    caller_log: Path
    callee_log: Path | None
    entry: Address | None
    proxy: Address | None
    mesh: Address | None
    pair: PairFiles
    protocol: Protocol
    http2_inside: bool


async def examine(call: Call, place: Place, *, ask: bool) -> Seen:
    """What can be seen of a call. With `ask` a request is sent over it; otherwise only the logs are read."""
    last = _last_traffic(read_lines(place.caller_log), call.callee)
    own = own_certificate(call.external)
    if not call.allowed_by:
        return replace(await _knock(call, place), last=last)
    if call.not_ready or place.entry is None:
        return Seen(last=last, own_certificate=own)
    seen = await _ask(call, place, place.entry) if ask else _remember(call, place)
    seen = replace(seen, last=last, own_certificate=own)
    return await with_handshakes(call.external, seen) if call.external and ask else seen


async def inbound_address(admin_socket: Path) -> Address | None:
    """Where a proxy's mesh port is, from its own configuration; None when it does not answer."""
    try:
        async with asyncio.timeout(_ADMIN_SECONDS):
            dump: dict[str, Any] = json.loads(await admin.get(admin_socket, "/config_dump?resource=dynamic_listeners"))
    except (OSError, ProtocolError, ValueError):  # TimeoutError is an OSError
        return None
    listeners = [config.get("active_state", {}).get("listener", {}) for config in dump.get("configs", [])]
    for listener in listeners:
        if listener.get("name") == "inbound":
            address = listener["address"]["socket_address"]
            return str(address["address"]), int(address["port_value"])
    return None


# A request, and what both logs say of it


async def _ask(call: Call, place: Place, entry: Address) -> Seen:
    outbound_log = LogTail(place.caller_log)
    inbound_log = LogTail(place.callee_log) if place.callee_log else None
    path = f"/?handsel.explain={_nonce()}" if call.external else f"/handsel.Explain/{_nonce()}"
    started = time.monotonic()
    if place.protocol is Protocol.TCP:
        answer, asked = await _hold(entry, outbound_log), "a connection"
    elif place.protocol.is_http2:
        answer, asked = await asyncio.to_thread(probe.request_http2, entry, path, _authority(call)), f"POST {path}"
    else:
        answer, asked = await asyncio.to_thread(probe.request_http1, entry, path, _authority(call)), f"GET {path}"
    gave_up = not answer.received and time.monotonic() - started >= _GAVE_UP_SECONDS
    if not answer.client:
        return Seen(asked=asked, accepted=False)
    outbound = await outbound_log.find(lambda lines: _whole(_of_client(lines, answer.client)), _LINE_SECONDS)
    lines = outbound or _of_client(outbound_log.lines(), answer.client)
    inbound: Sequence[Line] = ()
    local = next((str(line["upstream_local"]) for line in lines if line.get("upstream_local")), "")
    if inbound_log is not None and local:
        found = await inbound_log.find(lambda lines: _whole(_of_peer(lines, local, path)), _LINE_SECONDS)
        inbound = found or _of_peer(inbound_log.lines(), local, path)
    return Seen(
        asked=asked, answered=answer.received, gave_up=gave_up, outbound=tuple(lines), inbound=tuple(inbound)
    )  # fmt: skip


def _nonce() -> str:
    return secrets.token_hex(6)


def _authority(call: Call) -> str:
    return call.external.host if call.external else call.callee


async def _hold(address: Address, log: LogTail) -> Answer:
    """A connection that stays open until the log says that it stands, and a moment longer: it may be refused then."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return Answer("", received=False)
    try:
        host, port = writer.get_extra_info("sockname")[:2]
        client = f"{host}:{port}"
        await log.find(lambda lines: _of_client(lines, client) or None, _CONNECT_SECONDS)
        try:
            alive = await asyncio.wait_for(reader.read(1), _SETTLE_SECONDS) != b""
        except TimeoutError:
            alive = True
        return Answer(client, alive)
    except OSError:
        return Answer(client, received=False)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _remember(call: Call, place: Place) -> Seen:
    """The last connection or request of the program's, from the logs alone."""
    lines = read_lines(place.caller_log)
    last = next((line for line in reversed(lines) if _is_traffic(line, call.callee)), None)
    if last is None:
        return Seen()
    outbound = [line for line in lines if line.get("client") == last.get("client") and _is_traffic(line, call.callee)]
    local = next((str(line["upstream_local"]) for line in outbound if line.get("upstream_local")), "")
    inbound = _of_peer(read_lines(place.callee_log), local, str(last.get("path"))) if place.callee_log and local else []
    return Seen(
        answered=any(answered_upstream(line) for line in outbound), outbound=tuple(outbound), inbound=tuple(inbound)
    )


def _last_traffic(lines: Sequence[Line], callee: str) -> str:
    """When the program last called the callee, as the log writes it; empty when it has not."""
    return next((str(line.get("start")) for line in reversed(lines) if _is_traffic(line, callee)), "")


def _is_traffic(line: Line, callee: str) -> bool:
    return line.get("callee") == callee and not str(line.get("path") or "").startswith(_OWN_PATHS)


def _of_client(lines: Sequence[Line], client: str) -> list[Line]:
    """The caller's lines of one connection."""
    return [line for line in lines if line.get("client") == client]


def _of_peer(lines: Sequence[Line], peer: str, path: str) -> list[Line]:
    """The callee's lines of one connection; of its requests, which share it, only the one for `path`."""
    return [
        line
        for line in lines
        if line.get("peer") == peer and (line.get("event") != "inbound_request" or line.get("path") == path)
    ]


def _whole(lines: list[Line]) -> list[Line] | None:
    """The lines once the last one is there: a request's, or the one at the end of a connection."""
    ends = ("TcpConnectionEnd", "DownstreamEnd", "NotSet")
    return lines if any(line.get("type") in ends for line in lines) else None


# A call that is not allowed


async def _knock(call: Call, place: Place) -> Seen:
    """The caller's own certificate at the callee's mesh port; for an external a request by the proxy port."""
    if call.external is not None:
        return await _ask_proxy(call.external, place)
    if place.mesh is None or place.callee_log is None:
        return Seen()
    log = LogTail(place.callee_log)
    attempt = await asyncio.to_thread(probe.tls, place.mesh, place.pair, http2=place.http2_inside)
    refused = await log.find(lambda lines: _refusals(lines, call.caller_identity) or None, _LINE_SECONDS)
    return Seen(attempt=attempt, inbound=tuple(refused or ())[:1])


def _refusals(lines: Sequence[Line], identity: str) -> list[Line]:
    return [line for line in lines if line.get("peer_uri") == identity and line.get("tls_failure")]


async def _ask_proxy(external: External, place: Place) -> Seen:
    if place.proxy is None or place.protocol is Protocol.TCP:
        return Seen()
    log = LogTail(place.caller_log)
    url = f"http://{external.host}/"
    answer = await asyncio.to_thread(probe.request_http1, place.proxy, url, external.host)
    lines = await log.find(lambda lines: _of_client(lines, answer.client) or None, _LINE_SECONDS)
    return Seen(asked=f"GET {url}", answered=answer.received, outbound=tuple(lines or ()))
