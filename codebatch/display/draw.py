"""A pipeline drawn: as text for a terminal, and as SVG.

Both are the same for the same pipeline, whatever the machine. In the text, each task has a line and
a column, in which its results go down for as long as something needs them; what meets the line of
a task on its left is what it needs. In the SVG tasks stand in layers, each below all that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_TASK = "●"
_ASCII = str.maketrans("●├└┼┴─│", "*+`++-|")


class Node(NamedTuple):
    """A task to be drawn: its id, a note beside it, and the ids of what it needs."""

    id: str
    note: str
    needs: tuple[str, ...]


def draw_text(nodes: Sequence[Node], *, ascii_only: bool = False) -> Iterator[str]:
    """Yield the lines of a drawing; nodes come after what they need."""
    last = {need: index for index, node in enumerate(nodes) for need in node.needs}
    columns: list[str | None] = []
    for index, node in enumerate(nodes):
        needed = {c for c, one in enumerate(columns) if one in node.needs}
        ending = {c for c in needed if last[str(columns[c])] == index}
        place = _place(columns, needed)
        columns += [None] * (place + 1 - len(columns))
        line = f"{_row(columns, place, needed, ending)}  {node.id}{node.note}"
        yield line.translate(_ASCII) if ascii_only else line
        columns[place] = node.id if node.id in last else None
        for column in ending:
            columns[column] = None


def _place(columns: Sequence[str | None], needed: set[int]) -> int:
    """Return the first free column to the right of all that is needed."""
    start = max(needed, default=-1) + 1
    free = (c for c in range(start, len(columns)) if columns[c] is None)
    return next(free, max(start, len(columns)))


def _row(columns: Sequence[str | None], place: int, needed: set[int], ending: set[int]) -> str:
    """Return the line of a task up to its own sign, and the lines that pass it."""
    first = min(needed, default=place)
    cells = []
    for column, owner in enumerate(columns):
        if column == place:
            cell = _TASK
        elif column in needed:
            signs = "└├" if column == first else "┴┼"
            cell = signs[column not in ending]
        elif owner is not None:
            cell = "│"
        else:
            cell = "─" if first < column < place else " "
        cells.append(cell + ("─" if first <= column < place else " "))
    return "".join(cells).rstrip()


_BOX_HEIGHT, _LAYER, _GAP, _EDGE = 36, 84, 24, 16
_CHARACTER = 8
_STYLE = (
    "text{font:13px ui-monospace,Menlo,Consolas,monospace;text-anchor:middle;fill:#1b1f24}"
    "rect{fill:#f6f8fa;stroke:#57606a}path{fill:none;stroke:#57606a;stroke-width:1.2}"
    ".batch rect{fill:#ddf4ff}.head{fill:#57606a;stroke:none}"
)


class _Box(NamedTuple):
    """Where a task is drawn: the middle of its upper side, and its width."""

    x: int
    y: int
    width: int


def draw_svg(name: str, nodes: Sequence[Node]) -> str:
    """Return an SVG document: a box for each task, and an arrow from each to what needs it."""
    from html import escape  # noqa: PLC0415 - 1.3 ms, for a drawing alone

    boxes, width, height = _laid_out(nodes)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(name)}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for node in nodes:
        parts += (_arrow(boxes[need], boxes[node.id]) for need in node.needs)
    for node in nodes:
        x, y, box = boxes[node.id]
        kind = ' class="batch"' if "batch" in node.note else ""
        parts.append(
            f'<g{kind}><rect x="{x - box // 2}" y="{y}" width="{box}" height="{_BOX_HEIGHT}" '
            f'rx="6"/><text x="{x}" y="{y + 23}">{escape(node.id + node.note)}</text></g>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _laid_out(nodes: Sequence[Node]) -> tuple[dict[str, _Box], int, int]:
    """Return where each task is drawn, layer by layer in the middle, and the size of all."""
    depths: dict[str, int] = {}
    layers: dict[int, list[Node]] = {}
    for node in nodes:
        depths[node.id] = max((depths[need] + 1 for need in node.needs), default=0)
        layers.setdefault(depths[node.id], []).append(node)

    def box_width(node: Node) -> int:
        return _CHARACTER * len(node.id + node.note) + 2 * _GAP

    widths = {
        d: sum(map(box_width, layer)) + _GAP * (len(layer) - 1) for d, layer in layers.items()
    }
    width = max(widths.values(), default=0) + 2 * _EDGE
    boxes = {}
    for depth, layer in layers.items():
        left = (width - widths[depth]) // 2
        for node in layer:
            own = box_width(node)
            boxes[node.id] = _Box(left + own // 2, _EDGE + depth * _LAYER, own)
            left += own + _GAP
    return boxes, width, 2 * _EDGE + _LAYER * max(len(layers) - 1, 0) + _BOX_HEIGHT


def _arrow(start: _Box, end: _Box) -> str:
    top, bottom = start.y + _BOX_HEIGHT, end.y
    middle = (top + bottom) // 2
    curve = f"M{start.x} {top}C{start.x} {middle} {end.x} {middle} {end.x} {bottom - 6}"
    head = f"M{end.x - 4} {bottom - 7}L{end.x + 4} {bottom - 7}L{end.x} {bottom}z"
    return f'<path d="{curve}"/><path class="head" d="{head}"/>'
