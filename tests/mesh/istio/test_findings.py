"""What a person is told: each thing once, with its place, its code and what to do."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.mesh.istio import findings
from handsel.model.finding import Known, Severity
from tests.mesh.istio.resources import ENTRY, RULE, changed, codes, read_text, resource, rule, together

KNOWN = [each for each in vars(findings).values() if isinstance(each, Known)]


def test_every_code_is_one_thing_and_says_what_to_do():
    assert len({each.code for each in KNOWN}) == len(KNOWN) > 30
    assert all(each.fix.endswith(".") for each in KNOWN)
    assert all(each.istio == "" or each.istio.startswith("IST0") for each in KNOWN)


def test_a_finding_has_its_place_and_subject():
    (finding,) = read_text(ENTRY).findings
    assert (finding.file, finding.line, finding.column) == ("a.yaml", 4, 3)
    assert (finding.subject, finding.path) == ("ServiceEntry default/bank", "metadata.name")
    assert finding.fix


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.trafficPolicy.tunnel", {"targetHost": "a", "targetPort": 1}),
        ("spec.trafficPolicy.proxyProtocol", {"version": "V2"}),
        ("spec.trafficPolicy.loadBalancer", {"localityLbSetting": {"enabled": True}}),
        ("spec.trafficPolicy.loadBalancer", {"warmup": {"duration": "10s"}}),
    ],
)
def test_what_is_known_and_not_carried_out_is_said_and_the_rest_goes_on(path, value):
    included = together(ENTRY, changed(RULE, path, value))
    (finding,) = (each for each in included.findings if each.code == "HM-100")
    name = next(iter(value)) if path.endswith("loadBalancer") else path.rpartition(".")[2]
    assert (finding.message, finding.severity) == (f"{name} is known and not carried out", Severity.HIGH)
    assert finding.path.endswith(name)
    assert included.externals[0].tls.name == "SIMPLE"


def test_places_of_what_is_not_carried_out_are_exact():
    endpoints = [{"address": "192.0.2.1"}, {"address": "192.0.2.2", "locality": "a/b"}]
    included = together(changed(ENTRY, "spec.endpoints", endpoints), rule({"mode": "SIMPLE"}))
    assert [each.path for each in included.findings] == ["spec.endpoints[1].locality"]


def test_an_annotation_that_is_not_carried_out():
    text = changed(ENTRY, "metadata.annotations", {"networking.istio.io/traffic-distribution": "x"})
    assert [each.istio for each in together(text).findings if each.code == "HM-109"] == ["IST0108"]


@pytest.mark.parametrize(
    ("said", "left"),
    [("HM-101", []), ("*", []), ("IST0001, HM-101", []), ("IST0113", ["HM-101"]), ("", ["HM-101"])],
)
def test_an_annotation_suppresses_findings(said, left):
    text = changed(ENTRY, "metadata.annotations", {"galley.istio.io/analyze-suppress": said})
    assert codes(together(text)) == left


def test_istio_s_own_codes_suppress_too():
    text = changed(changed(ENTRY, "spec.addresses", ["192.0.2.1"]), "metadata.annotations", {
        "galley.istio.io/analyze-suppress": "IST0134",
    })  # fmt: skip
    assert codes(together(text)) == ["HM-101"]


def test_that_something_is_set_aside_is_always_said():
    spec = {"hosts": ["bank.example.com"], "http": [{"route": [{"destination": {"host": "x"}}]}]}
    text = resource("VirtualService", "a", spec, annotations={"galley.istio.io/analyze-suppress": "*"})
    assert "HM-110" in codes(together(ENTRY, text))


def test_a_fault_of_form_changes_nothing_and_comes_alone():
    with pytest.raises(InvalidFile) as caught:
        together(ENTRY, changed(RULE, "spec.hst", "a"), resource("VirtualService", "a", {"hosts": []}))
    assert [each.line for each in caught.value.faults] == [25, 32]


def test_what_is_kubernetes_own_and_says_nothing_to_a_mesh_is_passed_over():
    texts = [
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {}\n",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\n",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a}\n",
    ]
    assert together(ENTRY, *texts).externals[0].name == "bank"


@pytest.mark.parametrize(
    ("version", "kind", "code"),
    [
        ("telemetry.istio.io/v1", "Telemetry", "HM-100"),
        ("networking.istio.io/v1beta1", "ProxyConfig", "HM-100"),
        ("gateway.networking.k8s.io/v1", "Gateway", "HM-100"),
        ("cert-manager.io/v1", "Certificate", "HM-106"),
    ],
)
def test_kinds_that_are_not_read_are_said_and_the_rest_goes_on(version, kind, code):
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{anything: 1}}\n"
    included = together(ENTRY, rule({"mode": "SIMPLE"}), text)
    assert [(each.code, each.path, each.subject) for each in included.findings] == [(code, "kind", f"{kind} default/a")]
    assert len(included.externals) == 1
