"""Where everything of a drawn graph is: layers from callers to callees.

Layers by the longest way from a caller (Sugiyama's method: cycles are broken, long edges go through gaps that are kept
free in the layers between). Letters have one width, so that what would overlap is known here and not in the browser.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from handsel.telemetry.graph import Graph, Link

LETTER, SMALL = 8.0, 6.7
"""Width of a letter of a name and of a label: monospaced, at 13 and 11 pixels, and a little more."""
BOX_HEIGHT, MARGIN = 36.0, 24.0
_LABEL_HEIGHT, _FREE_HEIGHT = 30.0, 14.0
_GAP, _BEND = 26.0, 46.0
_LEGEND_HEIGHT = 34.0
_SWEEPS = 4

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
        for one, other in pairwise(chain):
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


@dataclass
class _Columns:
    """The columns and the gaps behind them, while they are measured. `lanes`: by gap, the links that pass it."""

    left: list[float] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    middle: dict[Slot, float] = field(default_factory=dict)
    lanes: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def behind(self, gap: int) -> float:
        return self.left[gap] + self.width[gap]


def _place(
    graph: Graph, columns: list[list[Slot]], chains: Mapping[int, list[Slot]], layer: Mapping[str, int]
) -> Layout:
    layout, places = Layout(), _Columns()
    gaps = {index: _gaps(chain, layer) for index, chain in chains.items()}
    for index, passed in gaps.items():
        for gap in passed:
            places.lanes[gap].append(index)
    x = MARGIN
    for number, column in enumerate(columns):
        _place_column(layout, places, column, x)
        labelled = [index for index in places.lanes[number] if gaps[index][0] == number]
        widest = max((_label_width(graph.links[index]) for index in labelled), default=0.0)
        x = places.behind(number) + (widest + 2 * _BEND if places.lanes[number] else MARGIN)
    lanes = {gap: _stack(gap, indices, gaps, chains, places) for gap, indices in places.lanes.items()}
    for index, chain in chains.items():
        first = gaps[index][0]
        top, width = lanes[first][index] - _LABEL_HEIGHT / 2, _label_width(graph.links[index])
        layout.labels[index] = Box(places.behind(first) + _BEND, top, width, _LABEL_HEIGHT)
        layout.ways[index] = _way(index, chain, gaps[index], lanes, places, layout.labels[index], layer)
    layout.width = x + MARGIN
    low = [box.y + box.height for box in (*layout.boxes.values(), *layout.labels.values())]
    layout.height = max([layout.height, *low]) + _GAP + _LEGEND_HEIGHT
    return layout


def _place_column(layout: Layout, places: _Columns, column: list[Slot], x: float) -> None:
    width = max((len(shown(slot[0])) for slot in column if len(slot) == 1), default=4) * LETTER + 28
    places.left.append(x)
    places.width.append(width)
    y = MARGIN
    for slot in column:
        height = BOX_HEIGHT if len(slot) == 1 else _FREE_HEIGHT
        places.middle[slot] = y + height / 2
        if len(slot) == 1:
            layout.boxes[slot[0]] = Box(x, y, width, height)
        y += height + _GAP


def _gaps(chain: list[Slot], layer: Mapping[str, int]) -> list[int]:
    """The gaps that an edge passes, by the number of the column before each; one to the service itself has the next."""
    low, high = layer[chain[0][0]], layer[chain[-1][0]]
    return list(range(low, high)) if high > low else list(range(low - 1, high - 1, -1)) or [low]


def _stack(
    gap: int, indices: list[int], gaps: Mapping[int, list[int]], chains: Mapping[int, list[Slot]], places: _Columns
) -> dict[int, float]:
    """The height at which each link passes a gap: as near as can be to where it would, no label over another's lane."""

    def wanted(index: int) -> float:
        step = gaps[index].index(gap)
        one, other = chains[index][step : step + 2]
        return (places.middle[one] + places.middle[other]) / 2

    found, lowest = {}, MARGIN / 2
    for index in sorted(indices, key=lambda each: (wanted(each), each)):
        height = _LABEL_HEIGHT if gaps[index][0] == gap else _FREE_HEIGHT
        found[index] = max(wanted(index), lowest + height / 2)
        lowest = found[index] + height / 2 + 6
    return found


def _way(
    index: int, chain: list[Slot], gaps: list[int], lanes: Mapping[int, Mapping[int, float]], places: _Columns,
    label: Box, layer: Mapping[str, int],
) -> list[tuple[float, float]]:  # fmt: skip
    """From the caller through its lanes in the gaps, and the slots that are kept free between them, to the callee."""
    forward = layer[chain[-1][0]] > layer[chain[0][0]] or chain[0] == chain[-1]
    start, end = _sides(chain[0], places, layer), _sides(chain[-1], places, layer)
    way = [(start[1] if forward else start[0], places.middle[chain[0]])]
    for step, gap in enumerate(gaps):
        y, left = lanes[gap][index], places.behind(gap) + _BEND
        right = places.left[gap + 1] - _BEND if gap + 1 < len(places.left) else label.x + label.width
        way += [(left, y), (right, y)] if forward else [(right, y), (left, y)]
        if step < len(gaps) - 1:
            slot = chain[step + 1]
            x, width = places.left[int(slot[2])], places.width[int(slot[2])]
            y = places.middle[slot]
            way += [(x, y), (x + width, y)] if forward else [(x + width, y), (x, y)]
    if chain[0] == chain[-1]:
        return [*way, (end[1], places.middle[chain[-1]] + BOX_HEIGHT / 4)]
    return [*way, (end[0] if forward else end[1], places.middle[chain[-1]])]


def _sides(slot: Slot, places: _Columns, layer: Mapping[str, int]) -> tuple[float, float]:
    number = layer[slot[0]]
    return places.left[number], places.behind(number)


def label(link: Link) -> tuple[str, str]:
    """The two lines beside an edge."""
    if not link.used:
        return link.protection, link.standing or "never used"
    seen = f"{link.requests} requests" if link.requests else f"{link.connections} connections"
    errors = f", {link.errors} errors" if link.errors else ""
    note = f", {link.standing}" if link.standing else ""
    return link.protection, f"{seen}{errors}, {link.share:.0%}{note}"


def _label_width(link: Link) -> float:
    return max(len(line) for line in label(link)) * SMALL + 8


def printable(name: str) -> str:
    """A name without what XML, or a terminal, would take otherwise."""
    return "".join(each if each.isprintable() else "?" for each in name)


def shown(name: str) -> str:
    """A name as it stands in its box."""
    text = printable(name)
    return text if len(text) <= 40 else f"{text[:37]}..."
