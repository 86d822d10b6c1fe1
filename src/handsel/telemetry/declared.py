"""What the mesh file says of what is seen: the calls it allows, and where in it a proxy's resource comes from."""

from __future__ import annotations

from collections.abc import Iterable

from handsel.model.gateway import Role
from handsel.model.graph import External, ExternalTls, Mesh
from handsel.model.origin import Origin
from handsel.telemetry.edges import Pair
from handsel.telemetry.graph import Declared, Encryption

_EXTERNAL = {
    ExternalTls.DISABLE: Encryption.PLAIN,
    ExternalTls.SIMPLE: Encryption.SIMPLE,
    ExternalTls.MUTUAL: Encryption.MUTUAL,
}
# The words before a callee's name in the names of listeners.
_DOORS = ("outbound.", "name.")


def declared(mesh: Mesh, seen: Iterable[Pair] = ()) -> list[Declared]:
    """Every call that the mesh file has, in its order, and of those `seen` what a gateway was told by rules."""
    pairs = {(caller.name, name): None for caller in mesh.members.values() for name in caller.calls}
    for caller_name, name in seen:
        caller = mesh.members.get(caller_name)
        if caller is not None and caller.role is not Role.SIDECAR and mesh.callee(name) is not None:
            pairs[caller_name, name] = None
    return [_declared(mesh, *pair) for pair in pairs]


def _declared(mesh: Mesh, caller: str, name: str) -> Declared:
    external, callee = mesh.externals.get(name), mesh.callee(name)
    encryption = _EXTERNAL[external.tls] if external else Encryption.MUTUAL
    return Declared(caller, name, str(callee.protocol) if callee else "", encryption, external is not None)


def origin_of(mesh: Mesh, service: str, resources: Iterable[str]) -> str:
    """Where in a file the resources of a service's proxy come from: the call that they are for, else the service."""
    member = mesh.services.get(service)
    if member is None:
        return ""
    found = [_origin(mesh, member.calls, name) or member.origin for name in resources] or [member.origin]
    return ", ".join(dict.fromkeys(str(each) for each in found))


def _origin(mesh: Mesh, calls: object, resource: str) -> Origin | None:
    for door in _DOORS:
        resource = resource.removeprefix(door)
    callee = resource.partition(".")[0]
    if isinstance(calls, dict) and callee in calls:
        origin = calls[callee]
        return origin if isinstance(origin, Origin) else None
    return next((each.origin for each in mesh.externals.values() if _names_file_of(each, resource)), None)


def _names_file_of(external: External, resource: str) -> bool:
    """Whether a secret is a file that this external declares."""
    files = (external.client_certificate, external.private_key, external.ca_certificates)
    return resource.startswith("file-") and any(file and file in resource for file in files)
