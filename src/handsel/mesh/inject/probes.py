"""The kubelet has no certificate: its probes of a program are led to the sidecar, which asks the program.

As in Istio: HTTP, TCP and gRPC probes become HTTP probes of the status port at `/app-health/<container>/<probe>`, HTTP
hooks go to `/app-lifecycle/<container>/<hook>`; what they were is kept for the sidecar by these paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handsel.documents.yaml import Path
from handsel.mesh.inject.look import Look
from handsel.mesh.inject.model import Object
from handsel.model.pod import STATUS_PORT

_PROBES = {"livenessProbe": "livez", "readinessProbe": "readyz", "startupProbe": "startupz"}
_HOOKS = {"postStart": "poststartz", "preStop": "prestopz"}
_ACTIONS = ("httpGet", "tcpSocket", "grpc")
_LOCAL = ("", "localhost", "127.0.0.1", "::1")


def rewrite(container: Object, path: Path, look: Look) -> tuple[Object, dict[str, Object]]:
    """A container with its probes led to the sidecar, and what they were."""
    changed, originals = dict(container), {}
    for key, name in _PROBES.items():
        probe = look.mapping(container.get(key), (*path, key))
        if action := _action(probe, container, (*path, key), look):
            url = f"/app-health/{container['name']}/{name}"
            originals[url] = action | {"timeoutSeconds": probe.get("timeoutSeconds") or 1}
            changed[key] = _led(probe, url)
    lifecycle = look.mapping(container.get("lifecycle"), (*path, "lifecycle"))
    hooks = dict(lifecycle)
    for key, name in _HOOKS.items():
        hook = look.mapping(lifecycle.get(key), (*path, "lifecycle", key))
        if hook.get("httpGet") and (action := _action(hook, container, (*path, "lifecycle", key), look)):
            url = f"/app-lifecycle/{container['name']}/{name}"
            originals[url] = action
            hooks[key] = _led(hook, url)
    if hooks != lifecycle:
        changed["lifecycle"] = hooks
    return changed, originals


def _led(probe: Object, url: str) -> Object:
    """Everything but the question stays: how often, how long, and the headers, which the sidecar hands on."""
    rest = {key: value for key, value in probe.items() if key not in _ACTIONS}
    headers = (probe.get("httpGet") or {}).get("httpHeaders")
    get = {"path": url, "port": STATUS_PORT} | ({"httpHeaders": headers} if headers else {})
    return {"httpGet": get, **rest}


def _action(probe: Object, container: Object, path: Path, look: Look) -> Object:
    """What a probe asks, with its port as a number; nothing for what does not come over the network of the pod."""
    kind = next((each for each in _ACTIONS if probe.get(each)), "")
    action = look.mapping(probe.get(kind), (*path, kind))
    if not action:
        return {}
    if action.get("host", "") not in _LOCAL:
        look.note((*path, kind, "host"), "this asks another host, and is left as it is")
        return {}
    port = _port(action.get("port"), container)
    if port is None:
        look.fault((*path, kind, "port"), "no port of this container has this name or number")
        return {}
    if kind == "httpGet" and not isinstance(action.get("path", ""), str):
        look.fault((*path, kind, "path"), "must be text")
        return {}
    kept = {key: value for key, value in action.items() if key not in ("host", "httpHeaders")}
    return {kind: kept | {"port": port}}


def _port(port: Any, container: Mapping[str, Any]) -> int | None:
    if isinstance(port, int) and not isinstance(port, bool):
        return port if 1 <= port <= 65535 else None
    for each in container.get("ports") or ():
        if isinstance(each, dict) and isinstance(port, str) and each.get("name") == port:
            number = each.get("containerPort")
            return number if isinstance(number, int) and not isinstance(number, bool) else None
    return None
