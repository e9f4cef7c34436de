"""Series of numbers as small lines in an SVG image, one below the other, each to its own scale."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

_LABEL, _LINE, _VALUE, _HEIGHT, _GAP = 220, 420, 110, 28, 8
_MOST_LABEL = 34
_STYLE = "font-family='sans-serif' font-size='12' fill='#333'"

Numbers = Sequence[int | float | None]


def sparklines(series: Mapping[str, Numbers], title: str) -> str:
    """Return the image: of each series its name, its line, its least, largest and last number."""
    width = _LABEL + _LINE + _VALUE
    height = len(series) * (_HEIGHT + _GAP) + _GAP
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
    lines = [
        head + f"viewBox='0 0 {width} {height}' role='img' {_STYLE}>",
        f"<title>{_text(title)}</title>",
    ]
    for place, (name, numbers) in enumerate(series.items()):
        lines += _row(name, numbers, _GAP + place * (_HEIGHT + _GAP))
    return "\n".join([*lines, "</svg>", ""])


def _row(name: str, numbers: Numbers, top: int) -> list[str]:
    middle = top + _HEIGHT // 2 + 4
    known = [number for number in numbers if number is not None]
    short = name if len(name) <= _MOST_LABEL else f"{name[: _MOST_LABEL - 1]}…"
    lines = [f"<text x='{_GAP}' y='{middle}'>{_text(short)}</text>"]
    if not known:
        return lines
    least, most = min(known), max(known)
    said = f"{_text(name)}: {_number(least)} to {_number(most)}"
    lines += (
        f"<polyline points='{points}' fill='none' stroke='#1f6feb' stroke-width='1.5' "
        f"stroke-linecap='square'><title>{said}</title></polyline>"
        for points in points_of(numbers, _LINE, _HEIGHT, _LABEL, top)
    )
    at = _LABEL + _LINE + _GAP
    lines.append(f"<text x='{at}' y='{middle}'>{_number(known[-1])}</text>")
    return lines


def points_of(numbers: Numbers, width: int, height: int, left: int = 0, top: int = 0) -> list[str]:
    """Return the points of lines through the numbers, within a box and to their own scale; one line
    for each run of numbers of which none is missing.
    """
    known = [number for number in numbers if number is not None]
    least, most = min(known, default=0), max(known, default=0)
    return [
        " ".join(
            f"{left + _part(index, len(numbers) - 1) * width:.1f},"
            f"{top + height - 2 - _part(number - least, most - least) * (height - 4):.1f}"
            for index, number in run
        )
        for run in _runs(numbers)
    ]


def _runs(numbers: Numbers) -> list[list[tuple[int, int | float]]]:
    """Return the numbers with their places, cut where one is missing."""
    runs: list[list[tuple[int, int | float]]] = [[]]
    for index, number in enumerate(numbers):
        if number is None:
            runs.append([])
        else:
            runs[-1].append((index, number))
    return [run for run in runs if run]


def _part(number: float, whole: float) -> float:
    return number / whole if whole else 0.5


def _number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"


def _text(text: str) -> str:
    """Return text as XML has it: without control characters, and bytes that are no text spelled."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return html.escape(
        "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in plain)
    )
