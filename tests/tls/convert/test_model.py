"""Names of contexts, several imports as one, and how a file is told to be of Mule, Java or Spring."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.model.context import TlsContext
from handsel.model.faults import NAME
from handsel.tls.convert import kinds, suites
from handsel.tls.convert.model import Imported, Names, Note, NoteKind, joined
from tests.tls.convert.test_java import FILE
from tests.tls.convert.test_mule import APP
from tests.tls.convert.test_spring import PROPERTIES, YAML


@given(st.lists(st.text(max_size=80), max_size=8))
def test_any_text_becomes_a_name_of_its_own(wanted: list[str]) -> None:
    names = Names()
    given_ = [names.give(each) for each in wanted]
    assert len(set(given_)) == len(given_)
    assert all(NAME.fullmatch(each) for each in given_)


def test_two_of_one_name_are_told_apart() -> None:
    note = Note("b.xml", 3, NoteKind.LOST, "a", "something")
    both = joined([Imported({"a": TlsContext("a")}, ()), Imported({"a": TlsContext("a", insecure=True)}, (note,))])
    assert both.contexts == {"a": TlsContext("a"), "a-2": TlsContext("a-2", insecure=True)}
    assert [str(each) for each in both.notes] == [
        "b.xml:3: lost: a-2: something",
        "b.xml: note: a-2: another context is called a: this one is a-2 here",
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (APP, "mule"), (FILE, "java"), (PROPERTIES, "spring"), (YAML, "spring"), ("java -Djdk.tls.client.protocols=x", "java"),
        ("contexts: {}", None), ("", None), ("hello", None),
    ],
)  # fmt: skip
def test_a_file_is_told_by_its_content(content: str, kind: str | None) -> None:
    assert kinds.of(content.encode()) == kind


def test_every_suite_has_a_name_that_a_mesh_file_takes() -> None:
    from handsel.model.context_file import ContextFile

    assert ContextFile.model_validate({"ciphers": list(suites.IANA)}).ciphers == list(suites.IANA)
    assert all(re.fullmatch(r"TLS_(EC)?DHE_[A-Z]+_WITH_[A-Z0-9_]+", each) for each in suites.OPENSSL)
    assert len(suites.OPENSSL) == len(suites.IANA)


def test_openssl_has_the_same_names() -> None:
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("needs openssl")
    listed = subprocess.run([tool, "ciphers", "-stdname", "ALL"], capture_output=True, text=True, check=True).stdout
    names = {words[2]: words[0] for line in listed.splitlines() if len(words := line.split()) > 2}
    assert {own: names.get(own) for own in suites.IANA} == suites.IANA
    assert set(suites.TLS_1_3) <= set(names)
