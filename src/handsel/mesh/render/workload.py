"""Everything one proxy gets: from its plan to named resources, first as dictionaries, then as bytes."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import Layer, WorkloadPlan
from handsel.mesh.render import balancer, cluster, front, inbound, listener, protos, route, tracing, words
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
        *(inbound.listener(plan, each) for each in plan.inbounds),
        *(front.listener(each, plan.access_log) for each in plan.fronts),
        *([listener.proxy(plan)] if plan.calls else []),
        *(listener.outbound(plan, each) for each in plan.outbounds),
        *(listener.named(plan, each) for each in plan.outbounds if each.named),
    ]
    routes = [
        *([route.proxy(plan.outbounds)] if plan.calls else []),
        *(route.outbound(each) for each in plan.outbounds if each.layer is Layer.HTTP),
        *(each for port in plan.fronts for each in front.routes(port)),
    ]
    if plan.balancing:
        clusters = balancer.looked_at(clusters, plan)
        listeners += balancer.listeners(plan.balancing, plan.access_log)
        routes += balancer.routes(plan.balancing)
    rendered = {
        CLUSTER: {each["name"]: each for each in clusters},
        ENDPOINT: {
            each.name: cluster.endpoints(each.name, each.endpoints, each.weights, each.plain)
            for each in plan.upstreams
            if each.by_eds
        },
        LISTENER: {each["name"]: each for each in listeners},
        ROUTE: {each["name"]: each for each in routes},
    }
    return tracing.with_tracing(rendered, plan.tracing, plan.service)


def needs(plan: WorkloadPlan) -> dict[tuple[str, str], tuple[str, ...]]:
    """For each resource that names secrets, their names: without them Envoy would wait for ever."""
    intents = {(CLUSTER, each.name): each.tls for each in plan.upstreams}
    intents |= {(LISTENER, each.name): each.tls for each in plan.inbounds}
    intents |= {(CLUSTER, words.application(each.name)): each.behind.tls for each in plan.inbounds if each.behind}
    found = {key: intent.secrets for key, intent in intents.items() if intent is not None}
    found |= {(LISTENER, each.name): each.secrets for each in plan.fronts}
    return found | {(LISTENER, each.name): each.secrets for each in balancer.ports(plan)}


def to_resources(rendered: Rendered) -> list[Resource]:
    """The same as bytes with content hashes. Raises `Bug` when a dictionary is not what Envoy's API says."""
    return [
        resource(type_url, name, protos.serialise(type_url, content))
        for type_url, by_name in rendered.items()
        for name, content in by_name.items()
    ]
