"""The containers and volumes that a pod gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from handsel.mesh.inject import commands
from handsel.mesh.inject.annotations import Wishes
from handsel.mesh.inject.model import Object, Settings
from handsel.mesh.inject.redirect import rules
from handsel.model.pod import HEALTH_PORT, SIDECAR_USER, Interception

SIDECAR = "handsel-sidecar"
INITIALIZER = "handsel-init"
REDIRECT = "handsel-redirect"

_STATE, _RUNTIME, _TOKEN, _TRUST = "handsel-state", "handsel-runtime", "handsel-token", "handsel-trust"
_TOKEN_SECONDS = 3600
_READY = {"httpGet": {"path": commands.READY, "port": HEALTH_PORT}, "timeoutSeconds": 3}


def volumes(settings: Settings, wishes: Wishes) -> list[Object]:
    """Where the sidecar keeps things (memory only), what it shows to the server, whom it believes."""
    token = {"path": commands.TOKEN, "audience": settings.audience, "expirationSeconds": _TOKEN_SECONDS}
    made: list[Object] = [
        {"name": _STATE, "emptyDir": {"medium": "Memory"}},
        {"name": _RUNTIME, "emptyDir": {"medium": "Memory"}},
        {"name": _TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}},
    ]
    if not settings.pins:
        items = [{"key": commands.ROOTS, "path": commands.ROOTS}]
        made.append({"name": _TRUST, "configMap": {"name": settings.config_map, "items": items}})
    return [*made, *wishes.volumes]


def mounts(settings: Settings) -> list[Object]:
    """The sidecar's own."""
    made: list[Object] = [
        {"name": _STATE, "mountPath": commands.STATE_VOLUME},
        {"name": _RUNTIME, "mountPath": commands.RUNTIME_VOLUME},
        {"name": _TOKEN, "mountPath": commands.TOKEN_VOLUME, "readOnly": True},
    ]
    return made if settings.pins else [*made, {"name": _TRUST, "mountPath": commands.TRUST_VOLUME, "readOnly": True}]


def initializer(settings: Settings, wishes: Wishes) -> Object:
    """Obtains the pod's certificate, and ends."""
    return {
        "name": INITIALIZER,
        "image": settings.image,
        "command": commands.join(settings),
        "env": _environment(settings),
        "resources": _resources(wishes),
        "securityContext": _context(wishes),
        "volumeMounts": mounts(settings),
    }


def redirect(settings: Settings, wishes: Wishes) -> Object:
    """Makes the rules of the pod's network, and ends: the only one that may."""
    return {
        "name": REDIRECT,
        "image": settings.image,
        "command": commands.redirect(rules(wishes.redirect)),
        "resources": _resources(wishes),
        "securityContext": _unprivileged() | {
            "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        },
    }  # fmt: skip


def sidecar(settings: Settings, wishes: Wishes, originals: Mapping[str, Object]) -> Object:
    """Agent and Envoy. `originals`: the probes of the application that it carries out."""
    made: Object = {
        "name": SIDECAR,
        "image": settings.image,
        "command": commands.run(wishes.redirect.mode),
        "env": [*_environment(settings), *_wished_environment(wishes, originals)],
        "resources": _resources(wishes),
        "securityContext": _context(wishes),
        "volumeMounts": [*mounts(settings), *wishes.mounts],
        "readinessProbe": {**_READY, "periodSeconds": 15, "failureThreshold": 4},
    }
    if wishes.native:
        made["restartPolicy"] = "Always"
        if wishes.config.hold is not False:
            # What comes after it, in the order of the manifest, starts when this has succeeded.
            made["startupProbe"] = {**_READY, "periodSeconds": 1, "failureThreshold": 600}
    elif wishes.config.hold:
        # The kubelet starts the next container when this has ended.
        made["lifecycle"] = {"postStart": {"exec": {"command": commands.wait()}}}
    if wishes.redirect.mode is Interception.TPROXY:
        made["securityContext"]["capabilities"]["add"] = ["NET_ADMIN"]
    return made


def _environment(settings: Settings) -> list[Object]:
    key: Object = {"name": settings.config_map, "key": commands.SERVER_KEY}
    server: Object = (
        {"value": _literal(settings.server)} if settings.server else {"valueFrom": {"configMapKeyRef": key}}
    )
    return [
        {"name": commands.SERVER, **server},
        _field(commands.ADDRESS, "status.podIP"),
        *({"name": name, "value": value} for name, value in commands.FOLDERS.items()),
    ]


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _wished_environment(wishes: Wishes, originals: Mapping[str, Object]) -> list[Object]:
    wished: dict[str, Any] = {
        commands.CONCURRENCY: wishes.config.concurrency,
        commands.LOG_LEVEL: wishes.log_level or None,
        commands.COMPONENT_LOG_LEVEL: wishes.component_log_level or None,
        commands.PROBES: json.dumps(originals, separators=(",", ":")) if originals else None,
    }
    own = [{"name": name, "value": _literal(str(value))} for name, value in wished.items() if value is not None]
    return own + [{"name": name, "value": _literal(value)} for name, value in wishes.config.metadata.items()]


def _literal(value: str) -> str:
    """Kubernetes replaces `$(NAME)` in values; with two dollars it does not."""
    return value.replace("$(", "$$(")


def _resources(wishes: Wishes) -> Object:
    return {part: dict(each) for part, each in wishes.resources.items()}


def _context(wishes: Wishes) -> Object:
    """Of the two that share the agent's state, whose folder is one user's."""
    if wishes.redirect.mode is not Interception.TPROXY:
        return _unprivileged()
    # A transparent socket needs a capability, which only root keeps; the group tells the sidecar's connections apart.
    return _unprivileged() | {"runAsUser": 0, "runAsNonRoot": False}


def _unprivileged() -> Object:
    return {
        "runAsUser": SIDECAR_USER,
        "runAsGroup": SIDECAR_USER,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
