"""Any pod template is injected or refused with places; the application's containers stay what they were."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handsel.documents import yaml_text
from handsel.errors import InvalidFile
from handsel.mesh.inject.annotations import _KNOWN
from handsel.mesh.inject.manifests import inject
from handsel.mesh.inject.patch import diff
from handsel.mesh.inject.text import patched, read, write
from tests.mesh.inject.manifests import SETTINGS, as_document, validate

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z0-9]{1,3})?", fullmatch=True)
PORTS = st.integers(1, 14_999)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff\u2028\u2029\x85"),
    max_size=6,
)

_GET = st.fixed_dictionaries(
    {"port": PORTS},
    optional={
        "path": st.just("/live"), "scheme": st.sampled_from(["HTTP", "HTTPS"]), "host": st.sampled_from(["127.0.0.1", "other"]),
        "httpHeaders": st.lists(st.fixed_dictionaries({"name": st.just("X-A"), "value": WORDS}), max_size=1),
    },
)  # fmt: skip
_ACTIONS = st.one_of(
    st.fixed_dictionaries({"httpGet": _GET}),
    st.fixed_dictionaries({"tcpSocket": st.fixed_dictionaries({"port": PORTS})}),
    st.fixed_dictionaries({"grpc": st.fixed_dictionaries({"port": PORTS}, optional={"service": WORDS})}),
    st.fixed_dictionaries({"exec": st.fixed_dictionaries({"command": st.lists(WORDS, min_size=1, max_size=2)})}),
)
_TIMES = st.fixed_dictionaries({}, optional={"periodSeconds": st.integers(1, 60), "timeoutSeconds": st.integers(1, 9)})
PROBES = st.builds(lambda action, times: action | times, _ACTIONS, _TIMES)
HOOKS = st.fixed_dictionaries({}, optional={"preStop": _ACTIONS.filter(lambda each: "grpc" not in each)})
CONTAINERS = st.fixed_dictionaries(
    {"name": NAMES, "image": st.just("app:1")},
    optional={
        "args": st.lists(WORDS, max_size=3),
        "env": st.lists(st.fixed_dictionaries({"name": NAMES, "value": WORDS}), max_size=2),
        "ports": st.lists(st.fixed_dictionaries({"containerPort": PORTS}), max_size=2),
        "livenessProbe": PROBES, "readinessProbe": PROBES, "startupProbe": PROBES, "lifecycle": HOOKS,
        "securityContext": st.just({"runAsUser": 1000}),
    },
)  # fmt: skip
INIT_CONTAINERS = CONTAINERS.map(lambda each: each | {"name": f"init-{each['name']}"})
SPECS = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINERS, min_size=1, max_size=3, unique_by=lambda each: each["name"])},
    optional={
        "initContainers": st.lists(INIT_CONTAINERS, max_size=2, unique_by=lambda each: each["name"]),
        "volumes": st.lists(st.fixed_dictionaries({"name": NAMES, "emptyDir": st.just({})}), max_size=2),
        "serviceAccountName": NAMES,
    },
)
GOOD = {
    "sidecar.istio.io/nativeSidecar": ["true", "false"],
    "sidecar.istio.io/interceptionMode": ["REDIRECT", "TPROXY", "NONE"],
    "sidecar.istio.io/rewriteAppHTTPProbers": ["true", "false"],
    "sidecar.istio.io/proxyCPU": ["250m", "1"],
    "sidecar.istio.io/proxyMemoryLimit": ["1Gi", "1e9"],
    "sidecar.istio.io/logLevel": ["debug"],
    "proxy.istio.io/config": ["{concurrency: 2, proxyMetadata: {A: b}}", '{"holdApplicationUntilProxyStarts": false}'],
    "traffic.sidecar.istio.io/includeOutboundIPRanges": ["*", "", "10.0.0.0/8,fd00::/8"],
    "traffic.sidecar.istio.io/excludeInboundPorts": ["", "1,2"],
    "sidecar.istio.io/userVolume": ['[{"name":"u-u-u","secret":{"secretName":"x"}}]'],
    "example.org/other": ["é", "yes"],
}
ANNOTATIONS = st.fixed_dictionaries({}, optional={key: st.sampled_from(words) for key, words in GOOD.items()})


def _deployment(annotations: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"},
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "template": {"metadata": {"labels": {"app": "app"}, "annotations": annotations}, "spec": spec},
        },
    }  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANNOTATIONS, SPECS)
def test_any_deployment_is_injected_and_valid(annotations: dict[str, str], spec: dict[str, Any]):
    before = _deployment(annotations, spec)
    untouched = copy.deepcopy(before)
    injection = inject(as_document(before), SETTINGS, {})
    assert before == untouched, "what was handed in is not changed"
    after: Any = injection.value
    validate(after)
    assert inject(as_document(after), SETTINGS, {}).value == after, "twice is once"
    new = after["spec"]["template"]["spec"]
    rewritten = annotations.get("sidecar.istio.io/rewriteAppHTTPProbers") != "false"
    for key in ("containers", "initContainers"):
        own = [each for each in new[key] if not each["name"].startswith("handsel-")]
        assert [_without_questions(each) for each in own] == [_without_questions(each) for each in spec.get(key, [])]
        assert rewritten or own == spec.get(key, [])
    _check_probes(spec, new, rewritten=rewritten)


def _without_questions(container: dict[str, Any]) -> Any:
    """A container without what its probes ask: how often they do so stays."""
    kept = {key: value for key, value in container.items() if not key.endswith("Probe") and key != "lifecycle"}
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if key in container:
            kept[key] = {what: value for what, value in container[key].items() if what.endswith("Seconds")}
    return kept


def _check_probes(spec: dict[str, Any], new: dict[str, Any], *, rewritten: bool) -> None:
    """Whatever asks the status port is known to the sidecar as what it was."""
    sidecar = next(
        each for key in ("containers", "initContainers") for each in new[key] if each["name"] == "handsel-sidecar"
    )
    known = json.loads(
        next((e["value"] for e in sidecar["env"] if e["name"] == "HANDSEL_APP_PROBES"), "{}").replace("$$(", "$(")
    )
    asked = 0
    for key in ("containers", "initContainers"):
        before = {each["name"]: each for each in spec.get(key, [])}
        for container in new[key]:
            for name in ("livenessProbe", "readinessProbe", "startupProbe"):
                get = container.get(name, {}).get("httpGet", {})
                if get.get("port") != 15020:
                    continue
                asked += 1
                original = before[container["name"]][name]
                kind = next(each for each in ("httpGet", "tcpSocket", "grpc") if each in original)
                assert known[get["path"]][kind]["port"] == original[kind]["port"]
                assert known[get["path"]]["timeoutSeconds"] == original.get("timeoutSeconds", 1)
    assert rewritten or not asked


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANNOTATIONS, SPECS)
def test_text_and_value_and_patch_say_the_same(annotations: dict[str, str], spec: dict[str, Any]):
    (manifest,) = read(yaml_text.write(_deployment(annotations, spec)).encode(), "x.yaml")
    injection = inject(manifest.document, SETTINGS, {})
    text = write([patched(manifest.node, diff(manifest.document.value, injection.value))])
    (again,) = read(text.encode(), "x.yaml")
    assert again.document.value == injection.value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)
STRANGE_CONTAINERS = st.dictionaries(
    st.sampled_from(["name", "ports", "livenessProbe", "lifecycle", "securityContext", "env"]),
    JSON
    | st.sampled_from(["app", "handsel-init"])
    | st.dictionaries(st.sampled_from(["httpGet", "preStop", "grpc"]), JSON | PROBES),
    max_size=4,
)
STRANGE_SPECS = st.dictionaries(
    st.sampled_from(["containers", "initContainers", "volumes", "hostNetwork", "os", "securityContext"]),
    JSON | st.lists(STRANGE_CONTAINERS | JSON, max_size=2),
)
STRANGE_METADATA = st.dictionaries(
    st.sampled_from(["labels", "annotations", "name", "namespace"]),
    JSON | st.dictionaries(st.sampled_from([*_KNOWN, "istio.io/rev"]), JSON | WORDS | JSON.map(json.dumps), max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(STRANGE_METADATA, STRANGE_SPECS | JSON, st.sampled_from(["Pod", "Deployment", "CronJob"]))
def test_any_shape_is_injected_or_refused(metadata: dict[str, Any], spec: Any, kind: str):
    template = {"metadata": metadata, "spec": spec}
    value: dict[str, Any] = {"kind": kind}
    value |= {
        "Pod": {"apiVersion": "v1", **template},
        "Deployment": {"apiVersion": "apps/v1", "metadata": metadata, "spec": {"template": template}},
        "CronJob": {"apiVersion": "batch/v1", "spec": {"jobTemplate": {"spec": {"template": template}}}},
    }[kind]
    try:
        injection = inject(as_document(value), SETTINGS, {})
    except InvalidFile:
        return
    json.dumps(injection.value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    diff(value, injection.value)
