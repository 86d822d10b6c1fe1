"""Everything one proxy gets: from its plan to named resources, first as dictionaries, then as bytes."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import Layer, WorkloadPlan
from handsel.mesh.render import cluster, listener, protos, route
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource, resource

Rendered = dict[str, dict[str, dict[str, Any]]]
"""Resources in Envoy's JSON form, by type URL and name."""


def render(plan: WorkloadPlan) -> Rendered:
    """The resources of a workload's proxy. Secrets appear by name only."""
    clusters = [
        *(cluster.inbound(each) for each in plan.inbounds),
        *(cluster.upstream(each) for each in plan.upstreams),
    ]
    listeners = [
        *(listener.inbound(plan, each) for each in plan.inbounds),
        listener.proxy(plan),
        *(listener.outbound(plan, each) for each in plan.outbounds),
        *(listener.named(plan, each) for each in plan.outbounds if each.named),
    ]
    routes = [route.proxy(plan.outbounds), *(route.outbound(e) for e in plan.outbounds if e.layer is Layer.HTTP)]
    return {
        CLUSTER: {each["name"]: each for each in clusters},
        ENDPOINT: {each.name: cluster.endpoints(each.name, each.endpoints) for each in plan.upstreams if each.by_eds},
        LISTENER: {each["name"]: each for each in listeners},
        ROUTE: {each["name"]: each for each in routes},
    }


def needs(plan: WorkloadPlan) -> dict[tuple[str, str], tuple[str, ...]]:
    """For each resource that names secrets, their names: without them Envoy would wait for ever."""
    intents = {(CLUSTER, each.name): each.tls for each in plan.upstreams}
    intents |= {(LISTENER, each.name): each.tls for each in plan.inbounds}
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
