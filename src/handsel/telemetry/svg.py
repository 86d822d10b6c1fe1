"""The graph of the mesh as a drawing: SVG that needs nothing beside itself, for light and dark pages."""

from __future__ import annotations

from itertools import pairwise
from xml.sax.saxutils import escape

from handsel.telemetry.graph import Encryption, Graph, Link
from handsel.telemetry.layout import MARGIN, SMALL, Box, label, lay_out, printable, shown

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


def draw(graph: Graph) -> str:
    """The drawing, as a document of its own."""
    layout = lay_out(graph)
    width, height = f"{max(layout.width, _legend_width()):.0f}", f"{layout.height:.0f}"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="who talks to whom in the mesh">',
        f"<style>{_STYLE}</style>",
    ]
    parts += [_draw_edge(link, layout.ways[index]) for index, link in enumerate(graph.links)]
    parts += [_draw_label(link, layout.labels[index]) for index, link in enumerate(graph.links)]
    outside = {link.callee for link in graph.links if link.external}
    parts += [_draw_box(name, box, outside=name in outside) for name, box in layout.boxes.items()]
    parts.append(_legend(layout.height))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw_edge(link: Link, way: list[tuple[float, float]]) -> str:
    path = f"M{way[0][0]:.1f} {way[0][1]:.1f}"
    for (x, y), (to_x, to_y) in pairwise(way):
        if y == to_y:
            path += f"L{to_x:.1f} {to_y:.1f}"
            continue
        middle = (x + to_x) / 2
        path += f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    (before, _), (x, y) = way[-2:]
    back = -8 if x > before else 8
    tip = f'<path class="t-{_class(link)}" d="M{x:.1f} {y:.1f}l{back} -4v8z"/>'
    return f'<path class="edge {_class(link)}" d="{path}"/>{tip}'


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
        f'<g><title>{escape(printable(name))}</title><rect class="{style}" x="{box.x:.1f}" y="{box.y:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="6"/>'
        f'<text class="name" x="{box.x + 14:.1f}" y="{box.y + 23:.1f}">'
        f"{escape(shown(name))}</text></g>"
    )


_LEGEND = (("mutual", "mutual TLS"), ("simple", "TLS, callee shown only"), ("plain", "plaintext"), ("unused", "unused"))


def _legend(height: float) -> str:
    parts, x, y = [], MARGIN, height - 14
    for style, words in _LEGEND:
        parts.append(f'<path class="edge {style}" d="M{x:.1f} {y - 4:.1f}H{x + 26:.1f}"/>')
        parts.append(f'<text class="label" x="{x + 32:.1f}" y="{y:.1f}">{words}</text>')
        x += 32 + len(words) * SMALL + 20
    return "".join(parts)


def _legend_width() -> float:
    return 2 * MARGIN + sum(52 + len(words) * SMALL for _, words in _LEGEND)


def _class(link: Link) -> str:
    return _CLASSES[link.encryption] if link.used or not link.declared else "unused"
