"""The catalogue: each text that a runtime really printed leads to its entry, and to no other."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from handsel.diagnose import catalogue
from handsel.diagnose.catalogue import ENTRIES, Entry, Side, find
from handsel.errors import Fault

_TEXTS: dict[str, list[dict[str, str]]] = yaml.safe_load((Path(__file__).parent / "texts.yaml").read_text())
_E2E = (Path(__file__).parents[1] / "e2e" / "test_explain.py").read_text()
# Nothing in version 1 revokes for a sidecar, and no key that does not fit gets as far as an Envoy.
_NOT_PRODUCED = {"HS-E014", "HS-E017", "HS-E020"}


@pytest.mark.parametrize(
    ("code", "printed"),
    [pytest.param(code, each, id=f"{code}-{each['runtime']}") for code, texts in _TEXTS.items() for each in texts],
)
def test_a_text_as_it_was_printed_leads_to_its_entry_only(code: str, printed: dict[str, str]) -> None:
    found = find(printed["text"])
    assert [each.entry.code for each in found] == [code]
    assert found[0].face.side == Side(printed["side"])
    if printed["runtime"] != "handsel":
        assert catalogue.runtime_of(printed["text"]) == printed["runtime"]


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.code for entry in ENTRIES])
def test_every_example_leads_to_its_entry_and_face_only(entry: Entry) -> None:
    assert entry.faces
    for face in entry.faces:
        assert face.examples
        for runtime, text in face.examples:
            assert [(each.entry.code, each.face) for each in find(text)] == [(entry.code, face)], text
            assert runtime in (catalogue.runtime_of(text), "handsel"), text


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.code for entry in ENTRIES])
def test_every_entry_says_all_that_a_person_needs(entry: Entry) -> None:
    for sentence in (entry.cause, *entry.also, entry.fix):
        assert sentence[0].isupper() or sentence.startswith(("curl", "A"))
        assert sentence.endswith((".", "`", ")"))
    assert entry.fault in Fault
    assert entry.versions
    assert entry.also
    filled = catalogue.filled(entry.check) + catalogue.filled(entry.fix)
    assert "{caller}" not in filled
    assert "{{" not in filled


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.code for entry in ENTRIES])
def test_every_entry_is_produced_by_a_test(entry: Entry) -> None:
    assert bool(entry.test) != (entry.code in _NOT_PRODUCED)
    if entry.test:
        assert f"def {entry.test}(" in _E2E


def test_codes_are_stable_and_each_other_entry_that_is_named_exists() -> None:
    assert [entry.code for entry in ENTRIES] == [f"HS-E{number:03}" for number in range(1, 22)]
    assert [entry.name for entry in ENTRIES[:8]] == [
        "certificate expired", "unknown CA", "TLS to a plaintext port", "wrong name", "no client certificate",
        "plaintext to a TLS port", "denied by policy", "nothing listening",
    ]  # fmt: skip
    for entry in ENTRIES:
        for code in re.findall(r"HS-E\d{3}", " ".join((*entry.also, entry.check, entry.fix))):
            assert code in catalogue.BY_CODE


def test_a_cause_that_tells_hides_those_that_do_not() -> None:
    """A stack trace says that the connection ended, too; what counts is why."""
    found = find(
        "SSLHandshakeException: Received fatal alert: unknown_ca\nCaused by: SocketException: Connection reset"
    )
    assert [each.entry.code for each in found] == ["HS-E002"]


def test_two_causes_in_one_text_are_both_told() -> None:
    found = find("tlsv1 alert unknown ca\n[Errno 111] Connection refused")
    assert [each.entry.code for each in found] == ["HS-E002", "HS-E008"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tls: alert(48)", "HS-E002"),
        ("routines:ssl3_read_bytes:reason(1116):SSL alert number 116", "HS-E005"),
        ("GnuTLS: A TLS fatal alert has been received. alert [42]: Bad certificate", "HS-E010"),
    ],
)
def test_an_alert_is_known_by_its_number(text: str, code: str) -> None:
    assert [each.entry.code for each in find(text)] == [code]


@pytest.mark.parametrize(
    "text",
    ["", "everything is fine", "certificate", "SSLError: [SSL: TLSV1_ALERT_INTERNAL_ERROR]", "FileNotFoundError"],
)
def test_a_text_that_says_nothing_leads_nowhere(text: str) -> None:
    assert find(text) == []


@given(st.text(max_size=400))
def test_no_text_breaks_the_search(text: str) -> None:
    find(text)
    catalogue.runtime_of(text)


@pytest.mark.parametrize(
    "piece", ['get "', "certificate is valid for ", "validity check failed ", "no name matching ", " "]
)
def test_no_text_keeps_the_search_busy(piece: str) -> None:
    text = (piece * (64 << 10))[: 64 << 10]
    started = time.process_time()
    find(text)
    catalogue.runtime_of(text)
    assert time.process_time() - started < 3


def test_the_alerts_have_the_numbers_of_the_standard() -> None:
    assert {name: number for number, name in catalogue.ALERTS.items()}["certificate_required"] == 116
    assert catalogue.alert_of("SSL alert number 48") == "unknown_ca"
    assert catalogue.alert_of("SSL alert number 999") == ""


def test_what_is_known_takes_the_place_of_names() -> None:
    unknown: Any = catalogue.filled("{caller} {callee} {address} {name}")
    assert unknown == "CALLER CALLEE HOST:PORT HOST"
    assert catalogue.filled("{caller} → {callee}", caller="web", callee="{odd}") == "web → {odd}"
