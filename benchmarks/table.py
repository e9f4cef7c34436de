"""The rows of the report, and the table they are printed as."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_HEADS = ("work", "median", "min to max", "runs", "target", "note")


@dataclass(frozen=True)
class Row:
    """What is measured. ``target`` is the most it should be, a ratio, or in ``unit``; None where it
    is stated only. ``needs`` are options without which it is not measured.
    """

    name: str
    work: str
    target: float | None
    unit: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """The values of a row, one a repetition; ``faults`` say what was not as it must be."""

    row: Row
    values: Sequence[float]
    note: str
    faults: Sequence[str] = field(default=())

    def document(self) -> dict[str, Any]:
        """The result as JSON has it."""
        row = self.row
        return {
            "name": row.name,
            "work": row.work,
            "unit": row.unit or "ratio",
            "target": row.target,
            "median": statistics.median(self.values),
            "values": list(self.values),
            "note": self.note,
            "faults": list(self.faults),
        }


def ratio_result(
    row: Row, pairs: Iterable[Sequence[float]], note: str, faults: Sequence[str] = ()
) -> Result:
    """The ratio of the first to the second of each pair of seconds, which the note ends with."""
    pairs = [tuple(pair) for pair in pairs]
    ours, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    seconds = f"{ours:.3g} s / {other:.3g} s"
    return Result(row, [a / b for a, b in pairs], f"{note}; {seconds}" if note else seconds, faults)


def markdown_table(results: Iterable[Result]) -> str:
    """The table in Markdown, padded so that it reads well as it is."""
    lines = [_HEADS, *map(_cells, results)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _cells(result: Result) -> tuple[str, ...]:
    row, values = result.row, result.values
    return (
        row.work,
        _number(statistics.median(values), row.unit),
        f"{_number(min(values), row.unit)} to {_number(max(values), row.unit)}",
        str(len(values)),
        "" if row.target is None else _number(row.target, row.unit),
        result.note,
    )


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit else f"{value:.3g}"
