"""The graph of the mesh as a drawing: SVG by itself, in layers from callers to callees, for light and dark pages.

Layers by the longest way from a caller (Sugiyama's method: cycles are broken, long edges go through gaps that are kept
free in the layers between). Letters have one width, so that what will overlap is known here and not in the browser.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from handsel.telemetry.graph import Encryption, Graph, Link

_LETTER, _SMALL = 8.0, 6.7
"""Width of a letter of a name and of a label: monospaced, at 13 and 11 pixels, and a little more."""
_BOX_HEIGHT, _LABEL_HEIGHT, _FREE_HEIGHT = 36.0, 30.0, 14.0
_GAP, _BEND, _MARGIN = 26.0, 46.0, 24.0
_LEGEND_HEIGHT = 34.0
_SWEEPS = 4

_STYLE = """
svg{background:var(--page);font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
--page:#ffffff;--ink:#1b1f24;--faint:#59636e;--box:#f3f5f7;--rim:#8c959f;
--mutual:#116329;--simple:#0550ae;--plain:#b3121d}
@media(prefers-color-scheme:dark){svg{--page:#0d1117;--ink:#e6edf3;--faint:#9198a1;--box:#161b22;--rim:#6e7681;
--mutual:#56d364;--simple:#6cb6ff;--plain:#ff7b72}}
.box{fill:var(--box);stroke:var(--rim)}.outside{stroke-dasharray:5 4}.name{fill:var(--ink);font-size:13px}
.label{font-size:11px;fill:var(--faint)}.back{fill:var(--page)}.edge{fill:none;stroke-width:1.6}
.mutual{stroke:var(--mutual)}.simple{stroke:var(--simple)}.plain{stroke:var(--plain);stroke-dasharray:6 4}
.unused{stroke:var(--rim);stroke-dasharray:2 4}.t-mutual{fill:var(--mutual)}.t-simple{fill:var(--simple)}
.t-plain{fill:var(--plain)}.t-unused{fill:var(--faint)}
"""
_CLASSES = {Encryption.MUTUAL: "mutual", Encryption.SIMPLE: "simple", Encryption.PLAIN: "plain"}
Slot = tuple[str, ...]
"""A service, or the gap that a long edge needs in a layer: (caller, callee, layer)."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the drawing."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.x < other.x + other.width and other.x < self.x + self.width
            and self.y < other.y + other.height and other.y < self.y + self.height
        )  # fmt: skip


@dataclass
class Layout:
    """Where everything is: boxes by service, labels by link, and the points that each link passes."""

    width: float = 0.0
    height: float = 0.0
    boxes: dict[str, Box] = field(default_factory=dict)
    labels: dict[int, Box] = field(default_factory=dict)
    ways: dict[int, list[tuple[float, float]]] = field(default_factory=dict)


def layers(names: list[str], links: tuple[Link, ...]) -> dict[str, int]:
    """The layer of each service: one more than that of its last caller; an edge that closes a cycle does not count."""
    callees: dict[str, list[str]] = {name: [] for name in names}
    for link in links:
        callees[link.caller].append(link.callee)
    order = _finished_last_first(names, callees)
    place = {name: index for index, name in enumerate(order)}
    found = dict.fromkeys(names, 0)
    for name in order:
        for callee in callees[name]:
            if place[callee] > place[name]:
                found[callee] = max(found[callee], found[name] + 1)
    return found


def _finished_last_first(names: list[str], callees: Mapping[str, list[str]]) -> list[str]:
    """The reverse order in which a search that goes deep first finishes: callers before callees, but in cycles."""
    finished: dict[str, None] = {}
    begun: set[str] = set()
    for start in names:
        stack = [(start, iter(callees[start]))] if start not in begun else []
        begun.add(start)
        while stack:
            name, following = stack[-1]
            new = next((each for each in following if each not in begun), None)
            if new is None:
                finished[name] = None
                stack.pop()
            else:
                begun.add(new)
                stack.append((new, iter(callees[new])))
    return list(reversed(finished))


def lay_out(graph: Graph) -> Layout:
    """Where everything of a graph is drawn."""
    names = list(dict.fromkeys([*graph.services, *(n for link in graph.links for n in (link.caller, link.callee))]))
    layer = layers(names, graph.links)
    columns: list[list[Slot]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for name in names:
        columns[layer[name]].append((name,))
    chains: dict[int, list[Slot]] = {}
    for index, link in enumerate(graph.links):
        chains[index] = _chain(link, layer)
        for slot in chains[index][1:-1]:
            columns[int(slot[2])].append(slot)
    _order(columns, chains)
    return _place(graph, columns, chains, layer)


def _chain(link: Link, layer: Mapping[str, int]) -> list[Slot]:
    low, high = layer[link.caller], layer[link.callee]
    between = range(low + 1, high) if high > low else range(low - 1, high, -1)
    return [(link.caller,), *((link.caller, link.callee, str(at)) for at in between), (link.callee,)]


def _order(columns: list[list[Slot]], chains: Mapping[int, list[Slot]]) -> None:
    """Put each slot near the middle of its neighbours in the layer before, then of those after, a few times."""
    neighbours: dict[Slot, set[Slot]] = defaultdict(set)
    for chain in chains.values():
        for one, other in zip(chain, chain[1:], strict=False):
            neighbours[one].add(other)
            neighbours[other].add(one)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for at in range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1):
            beside = {slot: place for place, slot in enumerate(columns[at - 1 if forward else at + 1])}

            def middle(slot: Slot, beside: Mapping[Slot, int] = beside) -> float:
                found = [beside[each] for each in neighbours[slot] if each in beside]
                return sum(found) / len(found) if found else len(beside) / 2

            columns[at].sort(key=middle)


def _place(
    graph: Graph, columns: list[list[Slot]], chains: Mapping[int, list[Slot]], layer: Mapping[str, int]
) -> Layout:
    layout, at = Layout(), {}
    labels: dict[int, list[int]] = defaultdict(list)
    for index, link in enumerate(graph.links):
        labels[layer[link.caller]].append(index)
    x, tallest = _MARGIN, _legend_width()
    column_x: dict[int, tuple[float, float]] = {}
    for number, column in enumerate(columns):
        width = max((len(_shown(slot[0])) for slot in column if len(slot) == 1), default=8) * _LETTER + 28
        y = _MARGIN
        for slot in column:
            height = _BOX_HEIGHT if len(slot) == 1 else _FREE_HEIGHT
            at[slot] = (x, y + height / 2, width)
            if len(slot) == 1:
                layout.boxes[slot[0]] = Box(x, y, width, height)
            y += height + _GAP
        layout.height = max(layout.height, y)
        column_x[number] = (x, width)
        widest = max((_label_width(graph.links[index]) for index in labels[number]), default=0.0)
        x += width + (widest + 2 * _BEND if widest else _BEND)
    for number, indices in labels.items():
        left = sum(column_x[number]) + _BEND
        _stack_labels(graph, layout, indices, chains, at, left)
    for index, chain in chains.items():
        layout.ways[index] = _way(layout.labels[index], chain, at, layer)
    layout.width = max(x - _BEND + _MARGIN, tallest)
    bottoms = [box.y + box.height for box in (*layout.boxes.values(), *layout.labels.values())]
    layout.height = max([layout.height, *bottoms]) + _LEGEND_HEIGHT
    return layout


def _stack_labels(
    graph: Graph, layout: Layout, indices: list[int], chains: Mapping[int, list[Slot]],
    at: Mapping[Slot, tuple[float, float, float]], left: float,
) -> None:  # fmt: skip
    """Labels in the gap behind the callers, each as near as it can be to where its edge passes, none over another."""
    wanted = {index: (at[chains[index][0]][1] + at[chains[index][1]][1]) / 2 for index in indices}
    lowest = _MARGIN / 2
    for index in sorted(indices, key=lambda each: (wanted[each], each)):
        y = max(wanted[index] - _LABEL_HEIGHT / 2, lowest)
        layout.labels[index] = Box(left, y, _label_width(graph.links[index]), _LABEL_HEIGHT)
        lowest = y + _LABEL_HEIGHT + 6


def _way(
    label: Box, chain: list[Slot], at: Mapping[Slot, tuple[float, float, float]], layer: Mapping[str, int]
) -> list[tuple[float, float]]:
    """From the right side of the caller through its label and the gaps to the callee."""
    x, y, width = at[chain[0]]
    way = [(x + width, y), (label.x, label.y + label.height / 2), (label.x + label.width, label.y + label.height / 2)]
    forward = layer[chain[-1][0]] > layer[chain[0][0]]
    for slot in chain[1:-1]:
        x, y, width = at[slot]
        way += [(x, y), (x + width, y)] if forward else [(x + width, y), (x, y)]
    x, y, width = at[chain[-1]]
    return [*way, (x, y) if forward else (x + width, y + _BOX_HEIGHT / 4)]


def draw(graph: Graph) -> str:
    """The drawing, as a document of its own."""
    layout = lay_out(graph)
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="who talks to whom in the mesh">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>',
    ]
    parts += [_draw_edge(link, layout.ways[index]) for index, link in enumerate(graph.links)]
    parts += [_draw_label(link, layout.labels[index]) for index, link in enumerate(graph.links)]
    outside = {link.callee for link in graph.links if link.external}
    parts += [_draw_box(name, box, outside=name in outside) for name, box in layout.boxes.items()]
    parts.append(_legend(layout.height))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw_edge(link: Link, way: list[tuple[float, float]]) -> str:
    path = f"M{way[0][0]:.1f} {way[0][1]:.1f}"
    for (x, y), (to_x, to_y) in zip(way, way[1:], strict=False):
        if y == to_y:
            path += f"L{to_x:.1f} {to_y:.1f}"
            continue
        middle = (x + to_x) / 2 if abs(to_x - x) > 1 else x + _BEND
        path += f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    return f'<path class="edge {_class(link)}" d="{path}" marker-end="url(#tip)"/>'


def _draw_label(link: Link, box: Box) -> str:
    first, second = label(link)
    return (
        f'<rect class="back" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"/>'
        f'<text class="label t-{_class(link)}" x="{box.x + 4:.1f}" y="{box.y + 12:.1f}">{escape(first)}</text>'
        f'<text class="label" x="{box.x + 4:.1f}" y="{box.y + 26:.1f}">{escape(second)}</text>'
    )


def _draw_box(name: str, box: Box, *, outside: bool) -> str:
    style = "box outside" if outside else "box"
    return (
        f'<g><title>{escape(name)}</title><rect class="{style}" x="{box.x:.1f}" y="{box.y:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="6"/>'
        f'<text class="name" x="{box.x + 14:.1f}" y="{box.y + 23:.1f}" data-service={quoteattr(name)}>'
        f"{escape(_shown(name))}</text></g>"
    )


_LEGEND = (("mutual", "mutual TLS"), ("simple", "TLS, callee shown only"), ("plain", "plaintext"), ("unused", "unused"))


def _legend(height: float) -> str:
    parts, x, y = [], _MARGIN, height - 14
    for style, words in _LEGEND:
        parts.append(f'<path class="edge {style}" d="M{x:.1f} {y - 4:.1f}H{x + 26:.1f}"/>')
        parts.append(f'<text class="label" x="{x + 32:.1f}" y="{y:.1f}">{words}</text>')
        x += 32 + len(words) * _SMALL + 20
    return "".join(parts)


def _legend_width() -> float:
    return 2 * _MARGIN + sum(52 + len(words) * _SMALL for _, words in _LEGEND)


def label(link: Link) -> tuple[str, str]:
    """The two lines beside an edge."""
    if not link.used:
        return link.protection, link.standing or "never used"
    seen = f"{link.requests} requests" if link.requests else f"{link.connections} connections"
    errors = f", {link.errors} errors" if link.errors else ""
    note = f", {link.standing}" if link.standing else ""
    return link.protection, f"{seen}{errors}, {link.share:.0%}{note}"


def _label_width(link: Link) -> float:
    return max(len(line) for line in label(link)) * _SMALL + 8


def _class(link: Link) -> str:
    return _CLASSES[link.encryption] if link.used or not link.declared else "unused"


def _shown(name: str) -> str:
    text = "".join(each if each.isprintable() else "?" for each in name)
    return text if len(text) <= 40 else f"{text[:37]}..."
