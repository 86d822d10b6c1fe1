"""The story of the mesh: reports come in, every proxy's configuration goes out."""

from __future__ import annotations

from collections.abc import Sequence

from handsel.link.messages import AssignedWorkload, Assignment, PublishedResource, Resources
from handsel.mesh import translate
from handsel.mesh.render import workload
from handsel.mesh.view import View
from handsel.model.graph import Mesh, Service
from handsel.xds.snapshot import snapshot


def assign(mesh: Mesh, services: Sequence[str]) -> Assignment:
    """What a host is told about the services registered to it: who they are and whom they call."""
    return Assignment(
        tuple(
            AssignedWorkload(
                service.name,
                service.identity,
                service.port,
                tuple(service.calls),
                mesh.leaf_lifetime - mesh.renew_after if mesh.renew_after else None,
                service.stores,
                user=service.user,
                staple=service.staple,
                hosts={name: " ".join(names_of(mesh, name, service.namespace)) for name in service.calls},
                more_ports=() if service.role.is_gateway else tuple(each.number for each in service.more_ports),
                role=service.role,
                deliveries=service.files,
                acme=service.acme,
            )
            for service in (mesh.members[name] for name in services if name in mesh.members)
        )
    )


def names_of(mesh: Mesh, callee: str, namespace: str) -> tuple[str, ...]:
    """What programs of a namespace write to reach a callee."""
    found = mesh.callee(callee)
    return (callee,) if found is None or isinstance(found, Service) else found.names_in(namespace)


def compile_workload(view: View) -> bytes:
    """The configuration of one proxy, as its host gets it."""
    plan = translate.plan(view)
    checked = snapshot(workload.to_resources(workload.render(plan)))
    needs = workload.needs(plan)
    published = (
        PublishedResource(each.type_url, each.name, each.version, each.body, needs.get(each.key, ()))
        for each in checked.resources.values()
    )
    return Resources(tuple(published), plan.secrets).encode()
