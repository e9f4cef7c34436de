"""Findings in lines of text, by a regular expression with named groups.

A description may be a stranger's, and so is what a tool prints: an expression sees so much of a
line, the less the more it may cost, and one that may cost too much is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from codebatch.tasks.tools.outputs.expressions import Cost
from codebatch.tasks.tools.outputs.said import Said, decoded, place, said

_MOST_CHARACTERS, _MOST_OF_DEAR = 10_000, 1_000
_CHEAP = 2  # the degree up to which a whole line is seen
_LINE_END = re.compile(r"\n|(?<!\\)\\n")
_GROUPS = frozenset(("path", "line", "column", "code", "severity", "message"))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[re.Pattern[str], Cost]:
    return re.compile(pattern), Cost(pattern)


def read_lines(output: Mapping[str, Any], data: bytes) -> Iterator[Said]:
    """Yield the findings in lines that the pattern is found in; the others are passed by. A pattern
    with ends of lines in it is looked for in as many lines at once.
    """
    pattern = output["pattern"]
    expression, cost = _compiled(pattern)
    height = len(_LINE_END.findall(pattern)) + 1
    find = expression.match if cost.takes_any_start and height == 1 else expression.search
    most = _MOST_CHARACTERS if cost.degree <= _CHEAP else _MOST_OF_DEAR
    bases = output.get("line_base", 1), output.get("column_base", 1)
    lines = [line[:most].rstrip("\r") for line in decoded(data).split("\n")]
    for start in range(len(lines) + 1 - height):
        match = find("\n".join(lines[start : start + height]))
        if match is not None:
            found = {name: text or "" for name, text in match.groupdict().items()}
            yield said(
                found.get("path", ""),
                place(found.get("line"), bases[0]),
                place(found.get("column"), bases[1]),
                found.get("code", ""),
                found["message"],
                found.get("severity", ""),
            )


def lines_problems(output: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with ``pattern``."""
    pattern = output.get("pattern")
    if pattern is None:
        yield "pattern: lines are read by one"
        return
    try:
        expression, cost = _compiled(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield f"pattern: no regular expression: {error}"
        return
    groups = expression.groupindex.keys()
    for name in sorted(groups - _GROUPS):
        yield f"pattern: group {name!r} is none of {', '.join(sorted(_GROUPS))}"
    if "message" not in groups:
        yield "pattern: the group 'message' is missing"
    if cost.problem:
        yield f"pattern: {cost.problem}"
