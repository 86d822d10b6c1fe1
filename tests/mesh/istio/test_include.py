"""`include` in a mesh file: from patterns to files to the graph."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.wiring import mesh_files
from handsel.wiring.mesh_files import load_mesh
from tests.mesh.istio.resources import ENTRY, RULE, VIRTUAL_SERVICE, changed


@pytest.fixture
def write(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_yaml", ".yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path / "handsel.yaml"

    return write


def mesh(include: str, calls: str = "bank") -> str:
    return f"services:\n  web: {{calls: [{calls}]}}\ninclude: {include}\n"


def faults(path):
    with pytest.raises(InvalidFile) as caught:
        load_mesh(path)
    return [str(fault).replace(f"{path.parent}/", "") for fault in caught.value.faults]


def test_a_service_calls_what_an_included_service_entry_declares(write):
    path = write(handsel_yaml=mesh("[istio/*.yaml]"), istio__a_yaml=ENTRY, istio__b_yaml=RULE)
    loaded = load_mesh(path)
    assert list(loaded.externals) == list(loaded.services["web"].calls) == ["bank"]
    assert loaded.notes == ()


def test_the_notes_of_what_is_included_are_the_mesh_s(write):
    path = write(handsel_yaml=mesh("[a.yaml]"), a_yaml=ENTRY)
    (note,) = load_mesh(path).notes
    assert note.startswith(f"{path.parent}/a.yaml:4: calls to 'bank' leave the sidecar unencrypted")


def test_paths_start_at_the_folder_of_the_mesh_file_wherever_the_resource_stands(write):
    rule = changed(RULE, "spec.trafficPolicy.tls.caCertificates", "certs/ca.pem")
    path = write(handsel_yaml=mesh("[istio/*.yaml]"), istio__a_yaml=f"{ENTRY}---\n{rule}")
    assert load_mesh(path).externals["bank"].ca_certificates == f"{path.parent}/certs/ca.pem"


def test_files_that_several_patterns_match_are_read_once_and_all_together(write):
    path = write(handsel_yaml=mesh("[b.yaml, '[ab].yaml', ./**/c.yaml]"), a_yaml=ENTRY, b_yaml=RULE, d__c_yaml="---\n")
    assert list(load_mesh(path).externals) == ["bank"]


def test_faults_of_the_mesh_file_and_of_all_included_files_come_together(write):
    path = write(
        handsel_yaml="services:\n  Web: {}\ninclude: [a.yaml, b.yaml]\n", a_yaml="a: [\n", b_yaml="a: 1\na: 2\n"
    )
    assert [each.split(" ")[0] for each in faults(path)] == ["a.yaml:2:1:", "b.yaml:2:1:", "handsel.yaml:2:3:"]


def test_nothing_is_said_about_calls_to_what_could_not_be_read(write):
    path = write(handsel_yaml=mesh("[a.yaml]"), a_yaml=changed(ENTRY, "spec.resolution", "SOMEHOW"))
    (fault,) = faults(path)
    assert fault.startswith("a.yaml:")


def test_a_call_to_what_nobody_declares(write):
    path = write(handsel_yaml=mesh("[a.yaml]", calls="bang"), a_yaml=ENTRY)
    assert faults(path) == [
        "handsel.yaml:2:17: services.web.calls[0]: there is no service or external 'bang', did you mean \"bank\"?"
    ]


@pytest.mark.parametrize("pattern", ["istio/*.yaml", "istio", "/nowhere/*.yaml", '""', "'[!'", '"a\\0b"'])
def test_a_pattern_that_matches_nothing(write, pattern):
    path = write(handsel_yaml=f"include: [{pattern}]\n", istio__a_txt="")
    (fault,) = faults(path)
    assert "handsel.yaml:1:11: include[0]: no file matches" in fault


def test_names_that_are_taken_have_the_place_of_the_resource(write):
    native = "external:\n  bank: {host: a.example.com}\n  other: {host: bank.example.com}\n"
    path = write(handsel_yaml=native + "include: [a.yaml]\n", a_yaml=ENTRY)
    assert "a.yaml:4 declares 'bank' again" in faults(path)[0]
    path = write(handsel_yaml="services: {bank: {}}\ninclude: [a.yaml]\n", a_yaml=ENTRY)
    assert faults(path) == ["a.yaml:4:1: bank: a service has this name already"]


def test_included_files_are_bounded_one_by_one_and_together(write, monkeypatch):
    path = write(handsel_yaml="include: ['*a.yaml']\n", a_yaml=ENTRY + "#" * (1 << 20))
    assert faults(path) == ["a.yaml:1:1: the file is larger than 1 MiB"]
    monkeypatch.setattr(mesh_files, "_MAXIMUM_INCLUDED_BYTES", len(ENTRY) + len(RULE))
    path = write(handsel_yaml="include: ['*a.yaml']\n", a_yaml=ENTRY, ba_yaml=RULE, ca_yaml=VIRTUAL_SERVICE)
    assert "handsel.yaml:1:11: include[0]: the included files have more than" in faults(path)[0]


def test_a_file_that_cannot_be_read(write, tmp_path):
    path = write(handsel_yaml="include: ['*.txt']\n")
    (tmp_path / "a.txt").write_bytes(b"\xff")
    assert faults(path) == ["a.txt:1:1: the file is not UTF-8 (byte 0)"]
    assert "there is no such file" in faults(tmp_path / "none.yaml")[0]
