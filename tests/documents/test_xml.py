"""The XML reader: names by namespace, every element and attribute with its place, nothing expanded or fetched."""

from __future__ import annotations

import time
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.documents import xml
from handsel.errors import InvalidFile

_BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


def _fault(content: bytes | str) -> str:
    with pytest.raises(InvalidFile) as caught:
        xml.parse(content if isinstance(content, bytes) else content.encode(), "app.xml")
    (fault,) = caught.value.faults
    assert fault.file == "app.xml"
    return fault.message


def test_names_go_by_namespace_and_not_by_prefix() -> None:
    one = xml.parse(b'<m xmlns:tls="urn:tls"><tls:context tls:x="1" name="a"/></m>', "f").children[0]
    other = xml.parse(b'<m><context xmlns="urn:tls" xmlns:q="urn:tls" q:x="1" name="a"/></m>', "f").children[0]
    assert one.name == other.name == ("urn:tls", "context")
    assert one.attributes == other.attributes == {("urn:tls", "x"): "1", ("", "name"): "a"}
    assert one.get("name") == "a"
    assert one.get("x") is None


def test_every_element_and_attribute_has_its_place() -> None:
    root = xml.parse(
        '<?xml version="1.0"?>\r\n<!-- ü -->\n<m>\n  ü<b xmlns="urn:b"\n    ä="&gt;"  c=\'a>\n"\' d\n = "1"/>\n</m>'.encode(),
        "f",
    )
    (element,) = root.children
    assert root.place == (3, 1)
    assert element.place == (4, 4)
    assert element.places == {("", "ä"): (5, 5), ("", "c"): (5, 15), ("", "d"): (6, 4)}
    assert element.where("d") == (6, 4)
    assert element.where("e") == element.place
    assert element.attributes[("", "c")] == 'a> "'
    fault = element.fault("no", "d")
    assert str(fault) == "f:6:4: b/@d: no"


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE m SYSTEM "file:///etc/passwd"><m/>',
        '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><m>&x;</m>',
        '<!DOCTYPE m [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]><m/>',
        f'<!DOCTYPE m [<!ENTITY a0 "lol">{_BOMB}]><m>&a9;</m>',
        f'<!DOCTYPE m [<!ENTITY a0 "{"x" * 100_000}">]><m>{"&a0;" * 1000}</m>',
        "<!DOCTYPE m><m/>",
    ],
)  # fmt: skip
def test_a_document_type_is_refused_before_anything_is_expanded(content: str) -> None:
    before = time.perf_counter()
    assert "document type" in _fault(content)
    assert time.perf_counter() - before < 1
    assert xml.parse(b"<m>&lt;&#65;</m>", "f").text == "<A"  # the control: what XML has by itself is read


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no element found"), (b"<a>", "no element"), (b"<a></b>", "mismatched"), (b"<a>&x;</a>", "undefined entity"),
        (b'<a x="1" x="2"/>', "duplicate attribute"), (b"<a:b/>", "unbound prefix"), (b"<a/><b/>", "junk"),
        (b"\xff\xff<a/>", "not utf-8"), (b'<?xml version="1.0" encoding="ebcdic-us"?><a/>', "encoding ebcdic-us"),
        (b"\0" * 40, "NUL"), ("<a/>".encode("utf-16-le"), "NUL"), (b"PK\x03\x04", "not XML"),
    ],
)  # fmt: skip
def test_what_is_no_xml_is_one_fault(content: bytes, message: str) -> None:
    assert message in _fault(content)


def test_it_has_bounds() -> None:
    assert "4 MiB" in _fault(b"<a>" + b" " * (4 << 20) + b"</a>")
    assert xml.parse(b"<a>" * 100 + b"</a>" * 100, "f")
    assert "100 levels" in _fault(b"<a>" * 101 + b"</a>" * 101)
    assert "100000 elements" in _fault(b"<a>" + b"<b/>" * 100_000 + b"</a>")
    many = "".join(f' a{n}="1"' for n in range(201))
    assert "200 attributes" in _fault(f"<a{many}/>")
    before = time.perf_counter()
    xml.parse(b"<" + b"a" * 3_000_000 + b' b="' + b"<>"[1:] * 100_000 + b'"/>', "f")
    assert time.perf_counter() - before < 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings(encoding: str) -> None:
    declared = "" if encoding == "utf-8-sig" else f' encoding="{encoding}"'
    text = f'<?xml version="1.0"{declared}?>\n<a b="ü"/>'
    element = xml.parse(text.encode(encoding), "f")
    assert element.get("b") == "ü"
    assert element.where("b") == (2, 4)


_TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=20)
_ATTRIBUTES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True).filter(lambda n: n != "xmlns"), _TEXT, max_size=5
)


@given(_ATTRIBUTES, _TEXT, st.sampled_from([" ", "\n", "  \n\t "]))
def test_what_is_written_is_read_back_with_its_places(attributes: dict[str, str], text: str, blank: str) -> None:
    written = "".join(f"{blank}{name}={quoteattr(value)}" for name, value in attributes.items())
    content = f"<a{written}>{escape(text)}</a>"
    element = xml.parse(content.encode(), "f")
    assert element.attributes == {("", name): value for name, value in attributes.items()}
    assert element.text == text
    lines = content.split("\n")
    for (_, name), (line, column) in element.places.items():
        assert lines[line - 1][column - 1 :].startswith(f"{name}=")
