"""The story of the mesh: reports come in, every proxy's configuration goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from handsel.link.messages import AssignedWorkload, Assignment, PublishedResource, Resources
from handsel.link.resume import Publish
from handsel.mesh import translate
from handsel.mesh.ir import WorkloadPlan
from handsel.mesh.render import workload
from handsel.mesh.translate import Places
from handsel.model.graph import Mesh
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
                hosts={name: mesh.externals[name].host if name in mesh.externals else name for name in service.calls},
                deliveries=service.files,
                acme=service.acme,
            )
            for service in (mesh.members[name] for name in services if name in mesh.members)
        )
    )


def compile_mesh(mesh: Mesh, places: Places, withdrawn: Mapping[str, int] | None = None) -> list[Publish]:
    """The configuration of every workload that has a place. `withdrawn`: see `translate`."""
    return [
        Publish(host, Resources.KIND, service, _resources(plan).encode())
        for (host, service), plan in translate.translate(mesh, places, withdrawn).items()
    ]


def _resources(plan: WorkloadPlan) -> Resources:
    checked = snapshot(workload.to_resources(workload.render(plan)))
    needs = workload.needs(plan)
    return Resources(
        tuple(
            PublishedResource(r.type_url, r.name, r.version, r.body, needs.get(r.key, ()))
            for r in checked.resources.values()
        ),
        plan.secrets,
    )
