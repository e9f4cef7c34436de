"""Task ``hotspots``: the functions of a whole tree, ranked by complexity and findings.

The score of a function is its cyclomatic complexity, times one more than the findings in its
lines. A finding counts for the innermost function whose lines hold it. Where a function ends is
told by its symbol: one without a name has none, and its findings count for the function around it.

What is passed up the tree is a histogram of the scores, from which the percentiles are exact, and
the best functions, as many as are recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge, nsmallest
from itertools import accumulate, groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple, cast

from codebatch.model.records import Record, path_key
from codebatch.tasks.decorator import task
from codebatch.tasks.functions import symbols_of

_COMPLEXITY = "function_complexity"

Span = tuple[int, int]


@dataclass(frozen=True)
class Hotspot:
    """One function among those with the highest scores.

    ``percentile`` is per mille: how many of a thousand functions of the tree have a lower score.
    """

    path: str
    name: str
    line: int
    score: int
    complexity: int
    findings: int
    percentile: int
    rank: int


class _Function(NamedTuple):
    """A function in the order of the ranking: the smallest comes first."""

    below: int  # the score, negative
    path: bytes
    line: int
    name: str
    complexity: int
    findings: int


@task(
    version=2,
    name="hotspots",
    summary="functions ranked by complexity and findings, with percentiles over the whole tree",
    scope="batch",
    needs=["analyze", "symbols", "lint"],
    records=[Hotspot],
    schema="config.hotspots",
)
class Hotspots:
    """Partial values: the scores, each with how many functions have it, and the best functions."""

    def map(self, records: Iterable[Record], config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scores and the best functions of some files."""
        limit = config["limit"]
        functions = [
            function
            for path, of_file in groupby(records, itemgetter("path"))
            for function in _functions(str(path), list(of_file))
        ]
        scores = Counter(-function.below for function in functions)
        best = nsmallest(limit, functions)
        return {"limit": limit, "scores": _pairs(scores), "best": [*map(list, best)]}

    def combine(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scores and the best functions of both."""
        scores = Counter(dict(a["scores"]))
        scores.update(dict(b["scores"]))
        best = islice(merge(a["best"], b["best"]), a["limit"])
        return {"limit": a["limit"], "scores": _pairs(scores), "best": [*best]}

    def finish(self, total: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Hotspot]:
        """Yield the best functions of all files, the first one first."""
        scores, counts = zip(*total["scores"], strict=True) if total["scores"] else ((), ())
        functions = sum(counts)
        lower = dict(zip(scores, accumulate(counts, initial=0), strict=False))
        for rank, best in enumerate(map(_Function._make, total["best"]), 1):
            score = -best.below
            yield Hotspot(
                path=best.path.decode("utf-8", "surrogateescape"),
                name=best.name,
                line=best.line,
                score=score,
                complexity=best.complexity,
                findings=best.findings,
                percentile=1000 * lower[score] // functions,
                rank=rank,
            )


def _pairs(scores: Mapping[int, int]) -> list[list[int]]:
    """Return each score with the number of functions that have it, in order."""
    return [[score, number] for score, number in sorted(scores.items())]


def _functions(path: str, records: Sequence[Record]) -> Iterator[_Function]:
    """Yield the functions of one file from what other tasks recorded of it."""
    measured = [r for r in records if r["kind"] == "metric" and r["metric"] == _COMPLEXITY]
    if not measured:
        return
    spans = _spans(measured, [r for r in records if r["kind"] == "symbol"])
    found = _findings(spans, [r for r in records if r["kind"] == "diagnostic"])
    for place, record in enumerate(measured):
        complexity, findings = _number(record["value"]), found[place]
        score = complexity * (1 + findings)
        line, name = _number(record["line"]), str(record["name"])
        yield _Function(-score, path_key(path), line, name, complexity, findings)


def _spans(measured: Sequence[Record], symbols: Sequence[Record]) -> list[Span]:
    """Return the lines of each measured function, none where it has no symbol."""
    places = [(str(record["name"]), _number(record["line"])) for record in measured]
    own = symbols_of(places, symbols)
    return [
        (line, line - 1 if symbol is None else _number(symbol["end_line"]))
        for (_, line), symbol in zip(places, own, strict=True)
    ]


def _findings(spans: Sequence[Span], diagnostics: Sequence[Record]) -> Counter[int]:
    """Return the number of findings of each function, by its place among the spans."""
    found: Counter[int] = Counter()
    upcoming = sorted(range(len(spans)), key=lambda place: (-spans[place][0], spans[place][1]))
    around: list[int] = []  # the functions that have begun, the innermost one last
    for line in sorted(_number(record["line"]) for record in diagnostics):
        while upcoming and spans[upcoming[-1]][0] <= line:
            around.append(upcoming.pop())
        while around and spans[around[-1]][1] < line:
            around.pop()
        if around:
            found[around[-1]] += 1
    return found


def _number(value: object) -> int:
    return cast("int", value)
