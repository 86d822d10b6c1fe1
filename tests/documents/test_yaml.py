"""The YAML reader: version 1.2, every value with its place, and bounds that hold."""

from __future__ import annotations

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from handsel.documents import yaml
from handsel.errors import FileFault, InvalidFile


def _read(text: str) -> object:
    (document,) = yaml.parse(text.encode(), "mesh.yaml")
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # YAML 1.2, section 10.3.2: what 1.1 made of these is what people fall over.
        ("no", "no"), ("on", "on"), ("y", "y"), ("1:30", "1:30"), ("0777", 777), ("1_000", "1_000"),
        ("2030-01-01", "2030-01-01"), ("=", "="), ("<<", "<<"),
        ("true", True), ("False", False), ("~", None), ("a:", {"a": None}), ("null", None),
        ("-12", -12), ("0o17", 15), ("0x1F", 31), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5),
        ("10.0.0.7", "10.0.0.7"), ("v1", "v1"), ("-", [None]),
        ("'true'", "true"), ('"12"', "12"), ("'~'", "~"), ("|\n  12\n", "12\n"),
    ],
)  # fmt: skip
def test_a_value_is_what_version_1_2_says(text, value):
    assert _read(text) == value
    assert type(_read(text)) is type(value)


scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@given(values)
def test_what_another_writer_wrote_is_read_back(value):
    assert _read(pyyaml.dump(_quoted(value), Dumper=_Dumper, allow_unicode=True)) == value


class _Quoted(str):
    """Text that is written in quotes: left to itself, that writer follows version 1.1."""

    __slots__ = ()


class _Dumper(pyyaml.SafeDumper):
    def ignore_aliases(self, _data):
        return True


_Dumper.add_representer(_Quoted, lambda d, text: d.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _quoted(value):
    if isinstance(value, str):
        return _Quoted(value)
    if isinstance(value, list):
        return [_quoted(each) for each in value]
    if isinstance(value, dict):
        return {_Quoted(key): _quoted(each) for key, each in value.items()}
    return value


@given(st.binary(max_size=200) | st.text(alphabet="{}[]:,-&*!|>'\"#%@ \n\tab1", max_size=60).map(str.encode))
def test_whatever_comes_is_read_or_refused_with_a_place(text):
    faults = _faults(text)
    assert faults is None or faults
    assert all(fault.line >= 1 and fault.column >= 1 for fault in faults or ())


def _faults(text: bytes) -> tuple[FileFault, ...] | None:
    try:
        yaml.parse(text, "mesh.yaml")
    except InvalidFile as error:
        return error.faults
    return None


TEXT = """\
services:
  web:
    calls: [emoji, bank]
  emoji: {port: 8081}
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (1, 1)),
        (("services",), (1, 1)),
        (("services", "web"), (2, 3)),
        (("services", "web", "calls"), (3, 5)),
        (("services", "web", "calls", 1), (3, 20)),
        (("services", "emoji", "port"), (4, 11)),
        # What is not there stands where the nearest thing above it stands.
        (("services", "web", "port"), (2, 3)),
        (("nothing", "of", "this"), (1, 1)),
    ],
)
def test_every_value_remembers_where_it_stands(path, place):
    (document,) = yaml.parse(TEXT.encode(), "mesh.yaml")
    assert document.place(path) == place


def test_a_fault_reads_like_a_compilers():
    (document,) = yaml.parse(TEXT.encode(), "mesh.yaml")
    fault = document.fault(("services", "web", "calls", 1), "nobody knows it")
    assert str(fault) == "mesh.yaml:3:20: services.web.calls[1]: nobody knows it"


def test_all_faults_are_found_in_the_order_of_the_file():
    text = "a: 1\na: 2\n[b]: 3\nc: {d: !mine 4, d: 5}\n"
    with pytest.raises(InvalidFile) as caught:
        yaml.parse(text.encode(), "mesh.yaml")
    found = [(fault.line, fault.path) for fault in caught.value.faults]
    assert found == [(2, "a"), (3, ""), (4, "c.d"), (4, "c.d")]


def test_several_documents_each_know_their_own_lines():
    first, second = yaml.parse(b"a: 1\n---\n# a comment\nb: 2\n", "mesh.yaml")
    assert (first.value, second.value) == ({"a": 1}, {"b": 2})
    assert second.place(("b",)) == (4, 1)


def test_an_alias_is_its_anchor():
    assert _read("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    (document,) = yaml.parse(b"\xef\xbb\xbfa: 1\n", "mesh.yaml")
    assert document.value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"a: [1\n", "not YAML", id="an open bracket"),
        pytest.param(b"a: \xff\n", "not UTF-8", id="another encoding"),
        pytest.param(b"a: \x01\n", "not YAML", id="a control character"),
        pytest.param(b"a: *nobody\n", "not YAML", id="an alias to nothing"),
    ],
)
def test_text_that_is_no_yaml_is_refused(text, reason):
    with pytest.raises(InvalidFile, match=reason):
        yaml.parse(text, "mesh.yaml")


def _nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def _laughs(levels: int) -> bytes:
    lines = [f"a{i}: &a{i} [{', '.join(f'*a{i - 1}' for _ in range(10))}]" for i in range(1, levels)]
    return "\n".join(["a0: &a0 [x, x]", *lines]).encode()


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        pytest.param(_nested(40), _nested(42), id="levels"),
        pytest.param(_nested(40), _nested(500_000), id="levels that would break the stack"),
        pytest.param(b"- x\n" * 99_999, b"- x\n" * 100_001, id="values"),
        pytest.param(_laughs(4), _laughs(9), id="values behind aliases"),
        pytest.param(b"a: &x [1]", b"a: &x [*x]", id="an alias to itself"),
        pytest.param(b"#" * yaml.MAXIMUM_BYTES, b"#" * (yaml.MAXIMUM_BYTES + 1), id="bytes"),
    ],
)
def test_a_bound_lets_in_what_is_inside_and_refuses_what_is_outside(inside, outside):
    yaml.parse(inside, "mesh.yaml")
    with pytest.raises(InvalidFile) as caught:
        yaml.parse(outside, "mesh.yaml")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "0o" + "7" * 9000])
def test_a_number_too_long_to_be_printed_stays_text(number):
    assert _read(number) == number
    assert isinstance(_read(number[:30]), int)
