"""A pipeline drawn, perhaps with how far a batch of it is: as text for a terminal, and as SVG.

Both are the same for the same pipeline, whatever the machine. In the text, each task has a line and
a column, in which its results go down for as long as something needs them; what meets the line of
a task on its left is what it needs. In the SVG tasks stand in layers, each below all that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from codebatch.display.card import Bar
from codebatch.display.words import printable
from codebatch.model.records import FILE_SCOPE

_TASK = "●"
_ASCII = str.maketrans("●├└┼┴─│", "*+`++-|")


class Node(NamedTuple):
    """A task to be drawn: its id, a note beside it, and the ids of what it needs; of a batch the
    bar of its shards, and words about what it has given.
    """

    id: str
    note: str
    needs: tuple[str, ...]
    bar: Bar | None = None
    words: str = ""


def scope_note(task_id: str, name: str, scope: str) -> str:
    """Return what a drawing says of a task beside its id."""
    kind = "" if task_id == name else f" ({name})"
    return kind if scope == FILE_SCOPE else f"{kind} ({scope})"


def draw_text(nodes: Sequence[Node], *, ascii_only: bool = False) -> Iterator[str]:
    """Yield the lines of a drawing; nodes come after what they need."""
    last = {need: index for index, node in enumerate(nodes) for need in node.needs}
    columns: list[str | None] = []
    for index, node in enumerate(nodes):
        needed = {c for c, one in enumerate(columns) if one in node.needs}
        ending = {c for c in needed if last[str(columns[c])] == index}
        place = _place(columns, needed)
        columns += [None] * (place + 1 - len(columns))
        words = printable(f"{node.id}{node.note}{'  ' if node.words else ''}{node.words}")
        line = f"{_row(columns, place, needed, ending)}  {words}"
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


_TITLE, _WORDS = 8, 7  # how wide a letter of each is
_FLAT, _TALL, _BETWEEN = 36, 66, 48
_GAP, _EDGE, _ROOM = 24, 16, 20
_SVG = "http://www.w3.org/2000/svg"
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"
_INK, _PAPER, _BATCH_PAPER, _LINE = "#1f2328", "#f6f8fa", "#ddf4ff", "#848d97"
_STATES = {"done": "#2da44e", "failed": "#cf222e"}
# Attributes say all that is needed where style is stripped; a viewer in the dark has darker boxes.
_DARK = (
    ".codebatch-drawing text{fill:#e6edf3}.codebatch-drawing .cb-box{fill:#21262d}"
    ".codebatch-drawing .cb-batch .cb-box{fill:#12324e}"
)
_STYLE = f"@media (prefers-color-scheme:dark){{{_DARK}}}"


class _Box(NamedTuple):
    """Where a task is drawn: the middle of its upper side, and its size."""

    x: int
    y: int
    width: int
    height: int


def draw_svg(name: str, nodes: Sequence[Node]) -> str:
    """Return an SVG document: a box for each task, and an arrow from each to what needs it.

    It says nothing about the page around it, and is as readable on a dark one.
    """
    boxes, width, height = _laid_out(nodes)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    look = f'style="max-width:100%;height:auto" font-family="{_FONT}" text-anchor="middle"'
    parts = [
        f'<svg xmlns="{_SVG}" class="codebatch-drawing" {size} role="img" {look}>',
        f"<title>{_escaped(name)}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for node in nodes:
        parts += (_arrow(boxes[need], boxes[node.id]) for need in node.needs)
    parts += (_drawn(node, boxes[node.id]) for node in nodes)
    return "\n".join([*parts, "</svg>", ""])


def _escaped(text: str) -> str:
    from html import escape  # noqa: PLC0415 - 1.3 ms, for a drawing alone

    return escape(printable(text))


def _drawn(node: Node, box: _Box) -> str:
    """Return the box of a task, with its bar and words where there is a state."""
    is_batch = "batch" in node.note
    paper = _BATCH_PAPER if is_batch else _PAPER
    place = _area(box.x - box.width // 2, box.y, box.width, box.height)
    parts = [
        '<g class="cb-batch">' if is_batch else "<g>",
        f'<rect class="cb-box" {place} rx="6" fill="{paper}" stroke="{_LINE}"/>',
        _text(box.x, box.y + 23, 13, node.id + node.note),
    ]
    if node.bar is not None:
        parts += _bar(node.bar, box)
        parts.append(_text(box.x, box.y + 56, 11, node.words))
    return "".join([*parts, "</g>"])


def _text(x: int, y: int, size: int, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{_INK}">{_escaped(text)}</text>'


def _bar(bar: Bar, box: _Box) -> Iterator[str]:
    """Yield the parts of a bar, and below them the whole."""
    width = box.width - 2 * _ROOM
    left, y = box.x - box.width // 2 + _ROOM, box.y + 33
    yield f'<rect {_area(left, y, width, 6)} rx="3" fill="{_LINE}" opacity=".4"/>'
    for state, number in bar.numbers.items():
        part = round(width * number / bar.total) if bar.total else 0
        if part:
            color = _STATES.get(state, _LINE)
            yield f'<rect {_area(left, y, part, 6)} rx="3" fill="{color}"/>'
        left += part


def _area(x: int, y: int, width: int, height: int) -> str:
    return f'x="{x}" y="{y}" width="{width}" height="{height}"'


def _laid_out(nodes: Sequence[Node]) -> tuple[dict[str, _Box], int, int]:
    """Return where each task is drawn, layer by layer in the middle, and the size of all."""
    depths: dict[str, int] = {}
    layers: dict[int, list[Node]] = {}
    for node in nodes:
        depths[node.id] = max((depths[need] + 1 for need in node.needs), default=0)
        layers.setdefault(depths[node.id], []).append(node)

    def box_width(node: Node) -> int:
        letters = max(_TITLE * len(node.id + node.note), _WORDS * len(node.words))
        return letters + 2 * _ROOM

    widths = {
        d: sum(map(box_width, layer)) + _GAP * (len(layer) - 1) for d, layer in layers.items()
    }
    height = _FLAT if all(node.bar is None for node in nodes) else _TALL
    width = max(widths.values(), default=0) + 2 * _EDGE
    boxes = {}
    for depth, layer in layers.items():
        left = (width - widths[depth]) // 2
        for node in layer:
            own = box_width(node)
            y = _EDGE + depth * (height + _BETWEEN)
            boxes[node.id] = _Box(left + own // 2, y, own, height)
            left += own + _GAP
    return boxes, width, 2 * _EDGE + (height + _BETWEEN) * max(len(layers) - 1, 0) + height


def _arrow(start: _Box, end: _Box) -> str:
    top, bottom = start.y + start.height, end.y
    middle = (top + bottom) // 2
    curve = f"M{start.x} {top}C{start.x} {middle} {end.x} {middle} {end.x} {bottom - 6}"
    head = f"M{end.x - 4} {bottom - 7}L{end.x + 4} {bottom - 7}L{end.x} {bottom}z"
    return (
        f'<path d="{curve}" fill="none" stroke="{_LINE}" stroke-width="1.2"/>'
        f'<path class="head" d="{head}" fill="{_LINE}"/>'
    )
