"""The drawing: a document by itself, in which nothing lies over a text."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.telemetry.graph import Encryption, Graph, Link
from handsel.telemetry.layout import LETTER, SMALL, Box, lay_out, layers
from handsel.telemetry.svg import draw

_SVG = "{http://www.w3.org/2000/svg}"


def _link(caller: str, callee: str, connections: int = 1, **more: object) -> Link:
    return Link(caller, callee, "http", Encryption.MUTUAL, ("TLSv1.3",), ("X25519MLKEM768",), connections, **more)


def _graph(*links: Link, services: tuple[str, ...] = ()) -> Graph:
    return Graph(links, {}, services)


names = st.sampled_from(["web", "emoji", "voting", "a-service-with-a-rather-long-name-of-its-own", "db", "x"])
links = st.builds(
    _link,
    names,
    names,
    st.integers(0, 9),
    requests=st.integers(0, 99999),
    declared=st.booleans(),
    external=st.booleans(),
)
graphs = st.lists(links, max_size=14, unique_by=lambda link: (link.caller, link.callee)).map(lambda each: _graph(*each))


def _texts(drawing: str) -> list[Box]:
    """Where each text is, by the width of its letters."""
    found = []
    for text in ET.fromstring(drawing).iter(f"{_SVG}text"):
        letter, height = (LETTER, 13) if text.get("class") == "name" else (SMALL, 11)
        x, y = float(text.get("x", "")), float(text.get("y", ""))
        found.append(Box(x, y - height + 2, len(text.text or "") * letter, height))
    return found


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_no_text_lies_over_another_or_over_a_box_or_outside(graph: Graph) -> None:
    drawing = draw(graph)
    texts = _texts(drawing)
    assert not [pair for pair in combinations(texts, 2) if pair[0].overlaps(pair[1])]
    layout = lay_out(graph)
    boxes = list(layout.boxes.values())
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert not [1 for label in layout.labels.values() for box in boxes if label.overlaps(box)]
    size = re.search(r'width="(\d+)" height="(\d+)"', drawing)
    assert size
    assert all(text.x + text.width <= int(size[1]) and text.y + text.height <= int(size[2]) for text in texts)


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_an_edge_lies_behind_no_other_edges_label(graph: Graph) -> None:
    layout = lay_out(graph)
    for index, way in layout.ways.items():
        for (x, y), (to_x, to_y) in pairwise(way):
            if y == to_y and x != to_x:  # what is straight; a bend lies between a gap and a column
                line = Box(min(x, to_x), y, abs(to_x - x), 0.1)
                assert not [1 for other, label in layout.labels.items() if other != index and label.overlaps(line)]


def test_callers_stand_before_callees_also_where_there_is_a_cycle() -> None:
    calls = (_link("a", "b"), _link("b", "c"), _link("a", "c"), _link("c", "a"))
    assert layers(["c", "b", "a"], calls[:3]) == {"a": 0, "b": 1, "c": 2}
    assert sorted(layers(["a", "b", "c"], calls).values()) == [0, 1, 2]


def test_names_of_others_cannot_break_out_of_the_drawing() -> None:
    evil = '"><script>alert(1)</script>&\x1b[31m'
    drawing = draw(_graph(_link(evil, "web")))
    root = ET.fromstring(drawing)
    assert not [each for each in root.iter() if each.tag.endswith("script")]
    assert "\x1b" not in drawing


def test_a_drawing_says_in_words_and_strokes_how_an_edge_is_protected() -> None:
    plain = Link("old", "web", "", Encryption.PLAIN, connections=2, declared=False)
    drawing = draw(_graph(_link("web", "emoji"), plain, services=("alone",)))
    for text in ("mutual TLS 1.3, X25519MLKEM768", "plaintext", "not declared", ">alone</text>"):
        assert text in drawing
    assert drawing.count('class="edge mutual"') == 2  # one in the legend
    assert drawing.count('class="edge plain"') == 2
    assert "prefers-color-scheme:dark" in drawing
    assert "http" not in drawing.replace("http://www.w3.org/2000/svg", "")  # nothing is fetched


def test_a_mesh_without_services_is_drawn() -> None:
    ET.fromstring(draw(_graph()))
