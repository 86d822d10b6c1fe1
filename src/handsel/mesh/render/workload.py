"""Everything one proxy gets: from its plan to named resources, first as dictionaries, then as bytes."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import WorkloadPlan
from handsel.mesh.render import cluster, listener, protos
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, Resource, resource

Rendered = dict[str, dict[str, dict[str, Any]]]
"""Resources in Envoy's JSON form, by type URL and name."""


def render(plan: WorkloadPlan) -> Rendered:
    """The resources of a workload's proxy. Secrets appear by name only."""
    upstreams = [outbound.upstream for outbound in plan.outbounds]
    clusters = [cluster.inbound(plan.inbound), *(cluster.upstream(each) for each in upstreams)]
    listeners = [
        listener.inbound(plan),
        listener.proxy(plan),
        *(listener.outbound(each, plan.access_log) for each in plan.outbounds),
        *(listener.named(each, plan.access_log) for each in plan.outbounds if each.named),
    ]
    return {
        CLUSTER: {each["name"]: each for each in clusters},
        ENDPOINT: {each.name: cluster.endpoints(each.name, each.endpoints) for each in upstreams if each.by_eds},
        LISTENER: {each["name"]: each for each in listeners},
    }


def needs(plan: WorkloadPlan) -> dict[tuple[str, str], tuple[str, ...]]:
    """For each resource that names secrets, their names: without them Envoy would wait for ever."""
    intents = {(CLUSTER, outbound.upstream.name): outbound.upstream.tls for outbound in plan.outbounds}
    intents[LISTENER, "inbound"] = plan.inbound.tls
    return {
        key: tuple(name for name in (intent.identity_secret, intent.trust_secret) if name)
        for key, intent in intents.items()
        if intent is not None
    }


def to_resources(rendered: Rendered) -> list[Resource]:
    """The same as bytes with content hashes. Raises `Bug` when a dictionary is not what Envoy's API says."""
    return [
        resource(type_url, name, protos.serialise(type_url, content))
        for type_url, by_name in rendered.items()
        for name, content in by_name.items()
    ]
