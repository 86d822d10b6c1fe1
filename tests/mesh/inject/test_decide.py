"""Who gets a sidecar: the pod's label, then its namespace, then the usual; and who never does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handsel.mesh.inject.manifests import inject
from handsel.mesh.inject.model import Settings
from tests.mesh.inject.manifests import SETTINGS, as_document, faults, injected, notes, pod

ON_WISH = replace(SETTINGS, by_default=False)
INJECT = "sidecar.istio.io/inject"


@pytest.mark.parametrize(
    ("labels", "namespace", "settings", "expected"),
    [
        ({}, {}, SETTINGS, True),
        ({}, {}, ON_WISH, False),
        ({INJECT: "true"}, {}, ON_WISH, True),
        ({INJECT: "Yes"}, {}, ON_WISH, True),
        ({INJECT: "false"}, {}, SETTINGS, False),
        ({INJECT: "false"}, {"istio-injection": "enabled"}, SETTINGS, False),
        ({INJECT: "true"}, {"istio-injection": "disabled"}, SETTINGS, True),
        ({}, {"istio-injection": "disabled"}, SETTINGS, False),
        ({}, {"istio-injection": "enabled"}, ON_WISH, True),
        ({"istio.io/rev": "blue"}, {}, ON_WISH, True),
        ({"istio.io/rev": "blue"}, {}, replace(SETTINGS, revision="blue"), True),
        ({"istio.io/rev": "blue"}, {}, replace(SETTINGS, revision="green"), False),
        ({}, {"istio.io/rev": "blue"}, replace(SETTINGS, revision="green"), False),
        ({}, {"istio.io/rev": "blue"}, ON_WISH, True),
        ({}, {"istio.io/rev": "blue", "istio-injection": "disabled"}, SETTINGS, False),
        ({"istio.io/rev": "blue"}, {"istio.io/rev": "green"}, replace(SETTINGS, revision="blue"), True),
    ],
    ids=range(16),
)
def test_who_gets_a_sidecar(labels: dict[str, str], namespace: dict[str, str], settings: Settings, expected: bool):
    """As an admission controller asks: a value, and the labels of the namespace from elsewhere."""
    value = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    }  # fmt: skip
    injection = inject(as_document(value), settings, {"shop": namespace})
    assert bool(injection.injected) is expected
    assert (injection.value != value) is expected
    assert expected or "is not injected: " in str(injection.notes[-1])


@pytest.mark.parametrize("spec", ["hostNetwork: true", "hostNetwork: yes", "os: {name: windows}"])
def test_some_pods_cannot_have_one_even_when_they_ask(spec: str):
    asks = f'{INJECT}: "true"'
    app = "containers: [{name: app, image: app}]\n"
    assert "is not injected" in notes(pod(labels=asks, spec=app + spec))[0]
    assert (
        notes(
            pod(labels=asks, spec=app + spec.replace("true", "false").replace("yes", "no").replace("windows", "linux"))
        )
        == []
    )


def test_the_label_counts_before_the_annotation():
    text = pod(f'{INJECT}: "true"', labels=f'{INJECT}: "false"')
    assert not injected(text)[0].injected
    assert "the label counts" in notes(text)[1]


def test_a_bad_word_in_a_pod_that_wants_no_sidecar_is_a_fault_too():
    assert "logLvel" in faults(pod("sidecar.istio.io/logLvel: info", labels=f'{INJECT}: "false"'))[0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (f"{INJECT}: maybe", 'must be "true" or "false"'),
        (f"{INJECT}: true", "put it in quotes"),
        ('sidecar.istio.io/injct: "true"', f'did you mean "{INJECT}"?'),
        ("sidecar.istio.io/logLevel: info", "is an annotation, not a label"),
    ],
)
def test_labels_are_checked(labels: str, message: str):
    (fault,) = faults(pod(labels=labels))
    assert fault.startswith("x.yaml:5:12: metadata.labels.")
    assert message in fault


def test_the_label_of_a_namespace_is_checked():
    text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {istio-injection: enabld}\n"
    assert faults(text) == [
        'x.yaml:5:12: metadata.labels.istio-injection: must be "enabled" or "disabled"'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "place", "message"),
    [
        ("containers: []", "7:3", "at least one container"),
        ("volumes: []", "6:1", "at least one container"),
        ("containers: app", "7:3", "must be a list, not 'app'"),
        ("containers: [app]", "7:16", "must be a mapping, not 'app'"),
        ("containers: [{image: app}]", "7:16", "a container has a name"),
        ("containers: [{name: A_b}]", "7:17", "a container has a name"),
        ("containers: [{name: istio-proxy}]", "7:17", "Istio's sidecar is in here already"),
        ("containers: [{name: handsel-sidecar}]", "7:17", "is the name of a container of handsel's"),
        ("containers: [{name: app, ports: [{containerPort: 15001}]}]", "7:37", "15001 is a port of the sidecar"),
        ("containers: [{name: app, securityContext: {runAsUser: 1337}}]", "7:46", "would go around the sidecar"),
        ("securityContext: {runAsGroup: 1337}\ncontainers: [{name: app}]", "7:21", "would go around the sidecar"),
        (
            "containers: [{name: app}]\nvolumes: [{name: handsel-token}]",
            "8:3",
            "there is a volume 'handsel-token' already",
        ),
        ("containers: [{name: app}]\ninitContainers: {a: b}", "8:3", "must be a list"),
        ("containers: [{name: app}]\ninitContainers: [{name: app}]", "8:21", "there is a container app already"),
        ("containers: [{name: app, livenessProbe: 3}]", "7:28", "must be a mapping, not 3"),
        ("containers: [{name: app, livenessProbe: {httpGet: {port: web}}}]", "7:54", "no port of this container"),
        ("containers: [{name: app, livenessProbe: {tcpSocket: {port: 0}}}]", "7:56", "no port of this container"),
    ],
)
def test_a_pod_that_cannot_be_injected_is_a_fault_with_its_place(spec: str, place: str, message: str):
    text = pod(spec=spec).replace("  annotations:\n", "")
    (fault,) = faults(text)
    assert fault.startswith(f"x.yaml:{place}: ")
    assert message in fault


@pytest.mark.parametrize(
    ("version", "kind", "path"),
    [
        ("v1", "Pod", ""), ("apps/v1", "Deployment", "spec.template"), ("apps/v1", "StatefulSet", "spec.template"),
        ("apps/v1", "DaemonSet", "spec.template"), ("apps/v1beta2", "ReplicaSet", "spec.template"),
        ("batch/v1", "Job", "spec.template"), ("batch/v1", "CronJob", "spec.jobTemplate.spec.template"),
    ],
)  # fmt: skip
def test_every_kind_with_pods_is_injected(version: str, kind: str, path: str):
    template: Any = {"spec": {"containers": [{"name": "app"}]}}
    for step in reversed(path.split(".") if path else ()):
        template = {step: template}
    injection = inject(as_document({"apiVersion": version, "kind": kind, **template}), SETTINGS, {})
    value: Any = injection.value
    for step in path.split(".") if path else ():
        value = value[step]
    assert [each["name"] for each in value["spec"]["initContainers"]][-1] == "handsel-sidecar"
    assert [str(each) for each in injection.injected] == [f"{kind} (without a name)"]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
def test_a_workload_without_a_template_is_a_fault(kind: str):
    (fault,) = faults(f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{}}\n")
    assert fault == f"x.yaml:4:1: spec.template: a {kind} has a pod template here"


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: example.org/v1\nkind: Deployment\nspec: 3\n", "apiVersion: v1\nkind: Service\n", "just text\n",
        "apiVersion: v1\nkind: List\nitems: 3\n", "- 1\n- 2\n", "apiVersion: 3\nkind: [Pod]\n",
    ],
    ids=range(6),
)  # fmt: skip
def test_what_has_no_pods_goes_through_unchanged(text: str):
    (injection,) = injected(text)
    assert not injection.injected
    assert not injection.notes
