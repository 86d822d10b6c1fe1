"""Explanations as values: the shape that `-o json` promises, codes of errors, and what is said of unknown texts."""

from __future__ import annotations

import json

import pytest

from handsel import errors
from handsel.diagnose import catalogue, explain
from handsel.diagnose.verdict import judge
from tests.diagnose.test_verdict import CALL, NOW, UP


def test_an_edge_has_the_keys_that_are_promised() -> None:
    explained = explain.edge(CALL, UP, judge(CALL, UP, NOW))
    assert list(explained) == [
        "apiVersion", "kind", "from", "to", "external", "ok", "state", "what", "code", "name", "fault", "tls",
        "allowed_by", "traffic", "evidence", "check", "fix",
    ]  # fmt: skip
    assert (explained["kind"], explained["ok"], explained["state"]) == ("EdgeExplanation", True, "mutual TLS")
    json.dumps(explained)


def test_a_text_has_its_entry_and_the_others_that_it_names() -> None:
    explained = explain.text("tlsv1 alert unknown ca (_ssl.c:1)\n[Errno 111] Connection refused")
    assert (explained["kind"], explained["ok"], explained["code"]) == ("TextExplanation", True, "HS-E002")
    assert (explained["runtime"], explained["found_by"]) == ("Python", "there")
    assert explained["others"] == ["HS-E008 nothing listening"]


def test_of_an_unknown_text_is_told_what_was_understood() -> None:
    explained = explain.text("javax.net.ssl.X error:0A000FFF:z SSL alert number 80 HTTP/1.1 502 Bad Gateway")
    assert not explained["ok"]
    assert "code" not in explained
    assert len(explained["understood"]) == 4
    assert explain.text("hello")["understood"] == []


@pytest.mark.parametrize("code", explain.codes())
def test_every_code_is_explained_in_either_case(code: str) -> None:
    for written in (code, code.lower()):
        explained = explain.code(written)
        assert explained
        assert explained["code"] == code
        assert explained["cause"].endswith((".", "does."))
        assert explained["fault"] in list(errors.Fault)


def test_codes_are_those_of_the_catalogue_and_of_the_error_tree() -> None:
    assert {entry.code for entry in catalogue.ENTRIES} < set(explain.codes())
    assert {"HS-C001", "HS-S001", "HS-L001", "HS-X001"} < set(explain.codes())
    assert explain.code("HS-E999") is None
    assert explain.is_code("hs-e001")
    assert not explain.is_code("HS-E0011")
