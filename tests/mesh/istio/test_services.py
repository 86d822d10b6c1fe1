"""Workloads of the mesh and the names behind which they stand; services outside it."""

from __future__ import annotations

import pytest

from handsel.model.graph import Protocol, ServicePort
from tests.mesh.istio.resources import (
    ENTRY,
    changed,
    codes,
    deployment,
    found,
    loaded,
    plan_of,
    resource,
    rule,
    service,
    together,
)

HTTP = {"port": 80, "name": "http"}


def one(items, name):
    (only,) = (each for each in items if each.name == name)
    return only


def group_and_workload(*texts, group="web", workload="web-v1"):
    included = together(*texts)
    return one(included.groups, group), one(included.services, workload)


# Kubernetes


def test_a_deployment_is_a_service_whose_ports_are_those_that_services_lead_to():
    ports = [{"port": 80, "name": "http", "targetPort": "web"}, {"port": 90, "name": "grpc-x", "targetPort": 9090}]
    group, workload = group_and_workload(
        service("web", {"app": "web"}, *ports), deployment("web-v1", {"app": "web"}, {"web": 8080}, account="web")
    )
    assert (workload.port, workload.protocol) == (8080, Protocol.HTTP)
    assert workload.more_ports == (ServicePort(9090, Protocol.GRPC),)
    assert str(workload.identity) == "spiffe://mesh.internal/ns/default/sa/web"
    assert (workload.labels, workload.guarded, workload.sidecar) == ((("app", "web"),), False, True)
    assert (group.host, group.port, group.port_of("web-v1")) == ("web.default.svc.cluster.local", 80, 8080)


def test_workloads_may_listen_at_ports_of_their_own_for_one_name():
    texts = [deployment(f"web-v{n}", {"app": "web"}, {"web": 8080 + n}) for n in (1, 2)]
    group, _ = group_and_workload(service("web", {"app": "web"}, {**HTTP, "targetPort": "web"}), *texts)
    assert {name: group.port_of(name) for name in group.services} == {"web-v1": 8081, "web-v2": 8082}


def test_a_workload_that_has_no_port_of_the_name_is_not_asked():
    text = service("web", {"app": "web"}, {**HTTP, "targetPort": "web"})
    included = together(text, deployment("web-v1", {"app": "web"}))
    assert one(included.groups, "web").services == ()
    assert found(included, "HM-117") == ["'web-v1' has no port 'web', so it is not asked"]


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"name": "http"}, Protocol.HTTP),
        ({"name": "http-web"}, Protocol.HTTP),
        ({"name": "http2"}, Protocol.HTTP2),
        ({"name": "grpc-web"}, Protocol.HTTP),
        ({"name": "grpc-x"}, Protocol.GRPC),
        ({"name": "tcp-x"}, Protocol.TCP),
        ({"name": "https"}, Protocol.TCP),
        ({"name": "redis"}, Protocol.TCP),
        ({"name": "x", "appProtocol": "grpc"}, Protocol.GRPC),
        ({"name": "http", "appProtocol": "kubernetes.io/h2c"}, Protocol.HTTP2),
        ({"name": "httpx"}, Protocol.TCP),
        ({"name": "web"}, Protocol.TCP),
        ({}, Protocol.TCP),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_the_protocol_of_a_port_is_said_and_never_guessed(port, protocol):
    included = together(service("web", {"app": "web"}, {"port": 80, **port}), deployment("web-v1", {"app": "web"}))
    assert one(included.groups, "web").protocol is protocol
    unsaid = port.get("name") in (None, "web", "httpx")
    assert codes(included) == (["HM-107"] if unsaid else [])


def test_udp_is_not_of_the_mesh():
    included = together(
        service("dns", {"app": "dns"}, {"port": 53, "protocol": "UDP"}), deployment("dns", {"app": "dns"})
    )
    assert included.groups == ()
    assert found(included, "HM-107") == ["port 53 is UDP: not of the mesh"]


@pytest.mark.parametrize(
    ("labels", "annotations", "namespace_label", "sidecar"),
    [
        ({}, {}, "", True),
        ({"sidecar.istio.io/inject": "false"}, {}, "enabled", False),
        ({}, {"sidecar.istio.io/inject": "false"}, "", False),
        ({}, {}, "disabled", False),
        ({"sidecar.istio.io/inject": "true"}, {}, "disabled", True),
    ],
)
def test_who_has_a_sidecar(labels, annotations, namespace_label, sidecar):
    namespace = resource("Namespace", "default", None, labels={"istio-injection": namespace_label})
    text = deployment("web-v1", {"app": "web", **labels}, annotations=annotations)
    assert one(together(namespace, text).services, "web-v1").sidecar is sidecar


def test_names_of_another_namespace_have_it_at_the_end_and_short_ones_are_its_own():
    texts = [
        text
        for namespace in ("default", "shop")
        for text in (
            service("web", {"app": "web"}, HTTP, namespace=namespace),
            deployment("web-v1", {"app": "web"}, namespace=namespace),
        )
    ]
    included = together(*texts)
    assert [each.name for each in included.services] == ["web-v1", "web-v1-shop"]
    here, there = included.groups
    assert (here.name, there.name) == ("web", "web-shop")
    assert there.names_in("shop") == ("web.shop.svc.cluster.local", "web.shop.svc", "web.shop", "web")
    assert there.names_in("default") == ("web.shop.svc.cluster.local", "web.shop.svc", "web.shop")


def test_a_selector_selects_in_its_own_namespace_all_of_its_labels_and_none_when_it_has_none():
    texts = (
        deployment("web-v1", {"app": "web", "version": "v1"}),
        deployment("web-v2", {"app": "web", "version": "v2"}),
        deployment("web-v1", {"app": "web", "version": "v1"}, namespace="shop"),
    )
    included = together(*texts, service("one", {"app": "web", "version": "v1"}), service("all", {"app": "web"}))
    assert {each.name: each.services for each in included.groups} == {"one": ("web-v1",), "all": ("web-v1", "web-v2")}
    included = together(*texts, service("none", {}))
    assert found(included, "HM-133") == ["no workload of the namespace default is behind 'none'"]


def test_one_port_has_one_protocol():
    first = service("web", {"app": "web"}, {"port": 80, "name": "http", "targetPort": 8080})
    second = service("raw", {"app": "web"}, {"port": 81, "name": "tcp", "targetPort": 8080})
    included = together(first, second, deployment("web-v1", {"app": "web"}))
    assert one(included.groups, "raw").services == ()
    assert found(included, "HM-125") == ["'web-v1' speaks http at 8080 for another Service, not tcp"]


def test_a_name_for_something_outside():
    spec = {"type": "ExternalName", "externalName": "db.example.com", "ports": [{"port": 5432, "name": "tcp"}]}
    (external,) = together(resource("Service", "db", spec)).externals
    assert (external.host, external.endpoints) == ("db.default.svc.cluster.local", (("db.example.com", 5432),))
    assert "db" in external.names_in("default")


def test_items_of_a_list_have_their_places():
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- kind: Service\n  apiVersion: v1\n  metadata: {name: web}\n  spec: {}\n"
    )
    (finding,) = (each for each in together(text).findings if each.code == "HM-133")
    assert (finding.line, finding.subject) == (7, "Service default/web")


# Entries of the mesh


def test_endpoints_of_an_entry_of_the_mesh_are_workloads():
    spec = {
        "hosts": ["ratings.shop.internal"],
        "location": "MESH_INTERNAL",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 9080}],
        "resolution": "STATIC",
        "endpoints": [
            {"address": "192.0.2.1", "labels": {"version": "v1"}, "serviceAccount": "ratings"},
            {"address": "192.0.2.2", "labels": {"version": "v2"}, "ports": {"http": 9090}},
        ],
    }
    included = together(resource("ServiceEntry", "ratings", spec))
    group, workload = one(included.groups, "ratings"), one(included.services, "ratings-1")
    assert (group.host, group.port, group.services) == ("ratings.shop.internal", 80, ("ratings-1", "ratings-2"))
    assert (group.port_of("ratings-1"), group.port_of("ratings-2")) == (9080, 9090)
    assert (str(workload.identity), workload.port) == ("spiffe://mesh.internal/ns/default/sa/ratings", 9080)


def test_a_service_selects_workload_entries_and_groups_too():
    entry = resource("WorkloadEntry", "vm", {"address": "192.0.2.1", "labels": {"app": "web"}})
    template = {"serviceAccount": "web", "ports": {"http": 8080}}
    group = resource("WorkloadGroup", "vms", {"metadata": {"labels": {"app": "web"}}, "template": template})
    one_of_group = resource(
        "WorkloadEntry", "vms-1", {"address": "192.0.2.2", "labels": {"app": "web"}},
        annotations={"istio.io/autoRegistrationGroup": "vms"},
    )  # fmt: skip
    included = together(service("web", {"app": "web"}, HTTP), entry, group, one_of_group)
    assert one(included.groups, "web").services == ("vms", "vm")


def test_what_a_group_says_of_probes_means_nothing_and_is_said():
    spec = {"template": {}, "probe": {"httpGet": {"port": 80}}}
    assert codes(together(resource("WorkloadGroup", "vms", spec))) == ["HM-106"]


# Entries outside


def ports(*numbers):
    return [{"number": number, "name": f"http-{number}", "protocol": "HTTP"} for number in numbers]


@pytest.mark.parametrize(
    ("hosts", "numbers", "names"),
    [
        (["a.example.com"], [80], ["bank"]),
        (["a.example.com"], [80, 81], ["bank-http-80", "bank-http-81"]),
        (["a.example.com", "b.example.com"], [80], ["bank-a-example-com", "bank-b-example-com"]),
        (["a.example.com", "b.example.com"], [80, 81], [
            "bank-a-example-com-http-80", "bank-a-example-com-http-81",
            "bank-b-example-com-http-80", "bank-b-example-com-http-81",
        ]),
    ],
    ids=["one", "two ports", "two hosts", "both"],
)  # fmt: skip
def test_each_host_and_port_of_an_entry_is_an_external(hosts, numbers, names):
    text = changed(changed(ENTRY, "spec.hosts", hosts), "spec.ports", ports(*numbers))
    assert [each.name for each in together(text).externals] == names


def test_a_long_name_is_cut_and_stays_its_own():
    hosts = [f"{letter * 60}.example.com" for letter in "ab"]
    names = [each.name for each in together(changed(ENTRY, "spec.hosts", hosts)).externals]
    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)


def test_endpoints_have_weights_and_labels_and_subsets_choose_among_them():
    endpoints = [
        {"address": "192.0.2.1", "weight": 3, "labels": {"zone": "eu"}},
        {"address": "192.0.2.2", "labels": {"zone": "us"}},
    ]
    entry = changed(changed(ENTRY, "spec.endpoints", endpoints), "spec.resolution", "STATIC")
    subsets = {"host": "bank.example.com", "subsets": [{"name": "eu", "labels": {"zone": "eu"}}]}
    to = [
        {"destination": {"host": "bank.example.com", "subset": "eu"}, "weight": 1},
        {"destination": {"host": "bank.example.com"}, "weight": 1},
    ]
    routes = {"hosts": ["bank.example.com"], "http": [{"route": to}]}
    included = together(
        entry, resource("DestinationRule", "bank", subsets), resource("VirtualService", "bank", routes),
        deployment("web", {"app": "web"}),
    )  # fmt: skip
    assert included.externals[0].weights == (3, 1)
    plan = plan_of(included, "web")
    found = {each.name: (each.endpoints, each.weights) for each in plan.upstreams}
    assert found["bank"] == ((("192.0.2.1", 443), ("192.0.2.2", 443)), (3, 1))
    assert found["bank.eu"] == ((("192.0.2.1", 443),), (3,))


def test_workload_entries_that_an_entry_outside_selects_are_its_endpoints_and_nothing_else():
    spec = {**loaded(ENTRY)["spec"], "resolution": "STATIC", "workloadSelector": {"labels": {"app": "bank"}}}
    vm = resource("WorkloadEntry", "vm", {"address": "192.0.2.9", "labels": {"app": "bank"}})
    included = together(resource("ServiceEntry", "bank", spec), vm, rule({"mode": "SIMPLE"}))
    assert included.externals[0].endpoints == (("192.0.2.9", 443),)
    assert included.services == ()


@pytest.mark.parametrize(
    ("path", "value", "code", "text"),
    [
        ("spec.resolution", "STATIC", "HM-105", "STATIC needs endpoints: name an address, or say DNS"),
        ("spec.resolution", "DYNAMIC_DNS", "HM-105", "DYNAMIC_DNS is not carried out"),
        (
            "spec.hosts",
            ["*.example.com"],
            "HM-105",
            "*.example.com: a wildcard needs the address that a program wrote, ",
        ),
        ("spec.endpoints", [{"address": "a_b"}], "HM-105", "'a_b' is no IP address and no host name in lower case"),
        ("spec.endpoints", [{}], "HM-105", "an endpoint outside the mesh has an address"),
        (
            "spec.endpoints",
            [{"address": "10.0.0.7", "ports": {"htp": 1}}],
            "HM-114",
            'the ServiceEntry has no port of this name, did you mean "http"?',
        ),
    ],
)
def test_an_entry_that_cannot_be_carried_out_is_set_aside(path, value, code, text):
    included = together(changed(ENTRY, path, value))
    assert included.externals == ()
    assert [message.startswith(text) for message in found(included, code)] == [True]


def test_with_static_every_endpoint_has_an_ip_address():
    spec = {**loaded(ENTRY)["spec"], "resolution": "STATIC", "endpoints": [{"address": "eu.example.com"}]}
    included = together(resource("ServiceEntry", "bank", spec))
    assert found(included, "HM-105") == [
        "'eu.example.com' is no IP address: where endpoints have names, say resolution DNS"
    ]


def test_one_address_at_a_time():
    text = changed(ENTRY, "spec.resolution", "DNS_ROUND_ROBIN")
    included = together(text, deployment("web", {"app": "web"}), rule({"mode": "SIMPLE"}))
    (upstream,) = plan_of(included, "web").upstreams
    assert (upstream.dns, upstream.one_address) == (True, True)
    several = changed(text, "spec.endpoints", [{"address": "a.example.com"}, {"address": "b.example.com"}])
    assert found(together(several), "HM-105") == ["DNS_ROUND_ROBIN has one endpoint, not several"]


def test_addresses_and_the_resolution_of_programs_are_said_to_lead_nowhere():
    included = together(changed(changed(ENTRY, "spec.addresses", ["10.9.9.9"]), "spec.resolution", "NONE"))
    assert sorted(codes(included)) == ["HM-101", "HM-104", "HM-108"]


def test_two_entries_may_have_different_ports_of_one_host_and_not_the_same():
    second = changed(changed(ENTRY, "metadata.name", "more"), "spec.ports", ports(8080))
    assert [each.name for each in together(ENTRY, second).externals] == ["bank", "more"]


def test_a_name_that_is_taken():
    other = changed(ENTRY, "spec.hosts", ["other.example.com"])
    included = together(ENTRY, other)
    assert [each.host for each in included.externals] == ["bank.example.com"]
    assert found(included, "HM-122") == ["ServiceEntry default/bank (a.yaml:4) is called 'bank' here already"]


@pytest.mark.parametrize("host", ["web.default.svc.cluster.local", "web.default", "web"])
def test_a_host_has_one_meaning_at_a_port(host):
    spec = {"hosts": [host], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "resolution": "DNS"}
    web = (service("web", {"app": "web"}, HTTP), deployment("web-v1", {"app": "web"}))
    included = together(*web, resource("ServiceEntry", "other", spec))
    assert included.externals == ()
    assert found(included, "HM-122") == [f"Service default/web (a.yaml:4) has {host}:80 already"]
    spec["ports"][0]["number"] = 81
    assert len(together(*web, resource("ServiceEntry", "other", spec)).externals) == 1


def test_pods_that_another_object_makes_are_no_services_of_their_own():
    pod = {"spec": {"containers": []}}
    owned = resource("Pod", "web-v1-abc", pod["spec"], labels={"app": "web"}, ownerReferences=[{"kind": "ReplicaSet"}])
    alone = resource("Pod", "debug", pod["spec"], labels={"app": "web"})
    included = together(service("web", {"app": "web"}, HTTP), deployment("web-v1", {"app": "web"}), owned, alone)
    assert [each.name for each in included.services] == ["web-v1", "debug"]
