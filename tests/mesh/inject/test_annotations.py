"""Every annotation is honoured, or said to be wrong or without effect, with its place: none is silent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mesh.inject.manifests import faults, injected, notes, pod

S, T = "sidecar.istio.io", "traffic.sidecar.istio.io"


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (f"{S}/nativeSidecr: 'true'", f'did you mean "{S}/nativeSidecar"?'),
        (f"{T}/excludeOutboundIPRange: 10.0.0.0/8", f'did you mean "{T}/excludeOutboundIPRanges"?'),
        ("proxy.istio.io/cfg: '{}'", "no annotation that Istio or handsel knows"),
        ("readiness.status.sidecar.istio.io/other: '1'", "no annotation that Istio or handsel knows"),
        (f"{S}/nativeSidecar: 'no'", "must be \"true\" or \"false\", not 'no'"),
        (f"{S}/nativeSidecar: false", "put it in quotes"),
        (f"{S}/inject: maybe", "must be \"true\" or \"false\", not 'maybe'"),
        (f"{S}/interceptionMode: REDIRCT", 'did you mean "REDIRECT"?'),
        (f"{S}/proxyCPU: 100 m", "no quantity of Kubernetes"),
        (f"{S}/proxyCPU: '0'", "must be more than 0"),
        (f"{S}/proxyMemory: 1GB", "no quantity of Kubernetes"),
        (f"{S}/proxyCPU: '2'\n{S}/proxyCPULimit: 1500m", "asks for more than proxyCPULimit allows"),
        (f"{S}/proxyMemory: 1Gi\n{S}/proxyMemoryLimit: 1G", "asks for more than proxyMemoryLimit allows"),
        (f"{S}/logLevel: debg", 'did you mean "debug"?'),
        (f"{S}/componentLogLevel: http", "must be component:level,…, such as http:debug, not 'http'"),
        (f"{S}/componentLogLevel: http:loud", "must be component:level,…, such as http:debug, not 'http:loud'"),
        (f"{S}/userVolume: '[{{'", "not JSON"),
        (f"{S}/userVolume: '{'[' * 3000}'", "not JSON"),
        (f"{S}/userVolume: '[NaN]'", "NaN is no number of JSON"),
        (f"{S}/userVolume: '[1]'", "each must be a JSON object, not 1"),
        (f"{S}/userVolume: '3'", "must be a JSON array or object, not 3"),
        (f"{S}/userVolume: '[{{\"secret\":{{}}}}]'", "each needs a name"),
        (f"{S}/userVolume: '{{\"a\":{{\"secrte\":{{}}}}}}'", 'no kind of volume \'secrte\' (did you mean "secret"?)'),
        (f"{S}/userVolume: '{{\"a\":{{}}}}'", "must be of one kind"),
        (f"{S}/userVolume: '{{\"a\":{{\"secret\":{{}},\"nfs\":{{}}}}}}'", "must be of one kind"),
        (f"{S}/userVolume: '{{\"handsel-state\":{{\"secret\":{{}}}}}}'", "there is a volume 'handsel-state' already"),
        (f"{S}/userVolumeMount: '{{\"a\":{{\"mountPath\":\"/x\"}}}}'", "there is no volume 'a'"),
        (f"{S}/userVolumeMount: '{{\"data\":{{\"mountPth\":\"/x\"}}}}'", 'did you mean "mountPath"?'),
        (f"{S}/userVolumeMount: '{{\"data\":{{\"mountPath\":\"x\"}}}}'", "needs an absolute mountPath"),
        (f"{S}/userVolumeMount: '{{\"data\":{{\"mountPath\":7}}}}'", "mountPath cannot be 7"),
        (f"{S}/userVolumeMount: '{{\"data\":{{\"mountPath\":\"/run/handsel/\"}}}}'", "is mounted at /run/handsel/ already"),
        (f"{T}/includeOutboundPorts: 80,x", "a port is a number from 1 to 65535, not 'x'"),
        (f"{T}/excludeOutboundPorts: '*'", "a port is a number from 1 to 65535, not '*'"),
        (f"{T}/excludeInboundPorts: '70000'", "a port is a number from 1 to 65535, not '70000'"),
        (f"{T}/includeOutboundIPRanges: 10.0.0.1/8", "has host bits set"),
        (f"{T}/excludeOutboundIPRanges: web", 'must be a range such as "10.0.0.0/8"'),
        (f"{T}/excludeInterfaces: 'a\"; drop'", "is no name of a network interface"),
        ("proxy.istio.io/config: '[1'", "not YAML"),
        ("proxy.istio.io/config: '3'", "must be a ProxyConfig"),
        ("proxy.istio.io/config: '{concurency: 2}'", 'did you mean "concurrency"?'),
        ("proxy.istio.io/config: '{concurrency: many}'", "concurrency is a number from 0 to 1024, not 'many'"),
        ("proxy.istio.io/config: '{holdApplicationUntilProxyStarts: 1}'", "must be true or false, not 1"),
        ("proxy.istio.io/config: '{proxyMetadata: {A: true}}'", "A must be text, in quotes, not True"),
        ("proxy.istio.io/config: '{proxyMetadata: {HANDSEL_SERVER: x}}'", "cannot be a variable of the sidecar"),
        ("proxy.istio.io/config: '{proxyMetadata: {HOME: x}}'", "cannot be a variable of the sidecar"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(annotation: str, message: str):
    spec = "containers: [{name: app, image: app}]\nvolumes: [{name: data, emptyDir: {}}]"
    (fault,) = faults(pod(annotation, spec=spec))
    assert fault.startswith("x.yaml:7:5: metadata.annotations.")
    assert message in fault


def test_every_fault_is_said_at_once():
    found = faults(pod(f"{S}/logLevel: x\n{S}/nativeSidecar: x\n{T}/excludeInterfaces: eth0"))
    assert [fault.split(": ")[0] for fault in found] == ["x.yaml:7:5", "x.yaml:8:5"]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (f"{S}/bootstrapOverride: mine", "has no effect on handsel's sidecar"),
        (f"{S}/proxyImage: x", "has no effect on handsel's sidecar"),
        ("readiness.status.sidecar.istio.io/periodSeconds: '1'", "has no effect on handsel's sidecar"),
        ("proxy.istio.io/config: '{drainDuration: 3s}'", "drainDuration has no effect"),
        (f"{S}/inject: 'true'", "is deprecated as an annotation: make it a label"),
        (f"{S}/interceptionMode: NONE\n{T}/excludeOutboundPorts: '1'", "has no effect: the interception mode is NONE"),
        (f"{T}/includeInboundPorts: '1'\n{T}/excludeInboundPorts: '2'", "has no effect: includeInboundPorts names"),
        (f'{S}/userVolume: \'{{"a":{{"secret":{{"secretName":"b"}}}}}}\'', "no userVolumeMount mounts 'a'"),
    ],
)
def test_what_has_no_effect_is_said(annotation: str, message: str):
    (note,) = notes(pod(annotation))
    assert message in note
    assert note.startswith(("x.yaml:7:5: ", "x.yaml:8:5: "))


def test_annotations_of_others_are_nobodys_business():
    assert notes(pod("prometheus.io/scrape: 'true'\nistio.io/whatever: x")) == []


def test_annotations_beside_the_template_are_said_to_do_nothing():
    text = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations: {sidecar.istio.io/logLevel: info}\n"
        "spec: {selector: {}, template: {spec: {containers: [{name: app, image: app}]}}}\n"
    )
    (note,) = notes(text)
    assert note.startswith("x.yaml:5:17: metadata.annotations.sidecar.istio.io/logLevel: ")
    assert "belongs to the metadata of the pod template" in note


def _sidecar(annotations: str) -> dict[str, Any]:
    value: Any = injected(
        pod(annotations, spec="containers: [{name: app, image: app}]\nvolumes: [{name: c, emptyDir: {}}]")
    )[0].value
    found = [*value["spec"]["initContainers"], *value["spec"]["containers"]]
    return next(each for each in found if each["name"] == "handsel-sidecar")


def test_resources_that_are_said_replace_all_the_usual_ones():
    assert _sidecar("a: b")["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert _sidecar(f"{S}/proxyCPU: '5'")["resources"] == {"requests": {"cpu": "5"}}


def test_a_list_and_a_mapping_of_volumes_say_the_same():
    as_list = (
        f'{S}/userVolume: \'[{{"name":"v","secret":{{"secretName":"s"}}}}]\'\n'
        f'{S}/userVolumeMount: \'[{{"name":"v","mountPath":"/v"}},{{"name":"c","mountPath":"/c"}}]\''
    )
    as_mapping = (
        f'{S}/userVolume: \'{{"v":{{"secret":{{"secretName":"s"}}}}}}\'\n'
        f'{S}/userVolumeMount: \'{{"v":{{"mountPath":"/v"}},"c":{{"mountPath":"/c"}}}}\''
    )
    for form in (as_list, as_mapping):
        assert _sidecar(form)["volumeMounts"][-2:] == [
            {"name": "v", "mountPath": "/v"}, {"name": "c", "mountPath": "/c"},
        ]  # fmt: skip


def test_metadata_of_the_proxy_becomes_variables_that_kubernetes_does_not_expand():
    environment = _sidecar("proxy.istio.io/config: '{proxyMetadata: {A: \"$(HOME)\"}, concurrency: 0}'")["env"]
    assert {"name": "A", "value": "$$(HOME)"} in environment
    assert {"name": "HANDSEL_AGENT_RUN_CONCURRENCY", "value": "0"} in environment


def test_the_application_waits_for_a_native_sidecar_unless_it_does_not_want_to():
    assert "startupProbe" in _sidecar("a: b")
    hasty = _sidecar("proxy.istio.io/config: '{holdApplicationUntilProxyStarts: false}'")
    assert "startupProbe" not in hasty
    assert hasty["restartPolicy"] == "Always"


def test_what_waits_for_an_ordinary_container_comes_after_it():
    """The kubelet starts a container when the hook of the one before it has ended."""
    hold = "proxy.istio.io/config: '{holdApplicationUntilProxyStarts: true}'"
    value: Any = injected(pod(f"{hold}\n{S}/nativeSidecar: 'false'"))[0].value
    first, second = value["spec"]["containers"]
    assert (first["name"], second["name"]) == ("handsel-sidecar", "app")
    assert first["lifecycle"]["postStart"]["exec"]["command"][:3] == ["handsel", "agent", "wait"]
    assert "lifecycle" not in _sidecar(hold)
    assert "lifecycle" not in _sidecar(f"{S}/nativeSidecar: 'false'")


def test_a_pod_keeps_its_own_sysctls():
    own = "securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '80'}]}"
    spec = "containers: [{name: app, image: app}]"
    for text, expected in ((spec, "0"), (f"{spec}\n{own}", "80")):
        value: Any = injected(pod(spec=text))[0].value
        (said,) = value["spec"]["securityContext"]["sysctls"]
        assert said == {"name": "net.ipv4.ip_unprivileged_port_start", "value": expected}
    assert "must be a list" in faults(pod(spec=f"{spec}\nsecurityContext: {{sysctls: 7}}"))[0]


def test_names_are_captured_unless_a_pod_does_not_want_that():
    def rules(annotations: str) -> str:
        value: Any = injected(pod(annotations))[0].value
        return str(value["spec"]["initContainers"][0]["command"])

    off = "proxy.istio.io/config: '{proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"false\"}}'"
    assert "15053" in rules("a: b")
    assert "15053" not in rules(off)
    (note,) = notes(pod(off))
    assert "names of callees lead past the sidecar" in note


def test_an_ordinary_container_stands_with_the_others():
    value: Any = injected(
        pod(
            f"{S}/nativeSidecar: 'false'",
            spec="containers: [{name: app, image: app}]\ninitContainers: [{name: first, image: app}]",
        )
    )[0].value
    assert [each["name"] for each in value["spec"]["containers"]] == ["app", "handsel-sidecar"]
    assert [each["name"] for each in value["spec"]["initContainers"]] == ["first", "handsel-redirect", "handsel-init"]
    assert "restartPolicy" not in value["spec"]["containers"][1]
