"""Findings in lines of text, by a regular expression with named groups.

A description may be a stranger's, so what an expression can cost is bounded: it sees so much of a
line, and may not repeat what is itself a repetition, on which `re` can take exponential time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from codebatch.tasks.tools.outputs.said import Said, decoded, place, said

_MOST_CHARACTERS = 10_000
_LINE_END = re.compile(r"\n|(?<!\\)\\n")
_GROUPS = frozenset(("path", "line", "column", "code", "severity", "message"))
# A character with what it is escaped by, a class of characters, a quantifier, or any other.
_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<many>[*+]|\{[0-9]*,[0-9]*\}|\{[0-9]+\})[?+]?|.", re.DOTALL
)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def read_lines(output: Mapping[str, Any], data: bytes) -> Iterator[Said]:
    """Yield the findings in lines that the pattern is found in; the others are passed by. A pattern
    with ends of lines in it is looked for in as many lines at once.
    """
    pattern = output["pattern"]
    search, height = _compiled(pattern).search, len(_LINE_END.findall(pattern)) + 1
    bases = output.get("line_base", 1), output.get("column_base", 1)
    lines = [line[:_MOST_CHARACTERS].rstrip("\r") for line in decoded(data).split("\n")]
    for start in range(len(lines) + 1 - height):
        match = search("\n".join(lines[start : start + height]))
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
        groups = _compiled(pattern).groupindex.keys()
    except (re.error, OverflowError, RecursionError) as error:
        yield f"pattern: no regular expression: {error}"
        return
    for name in sorted(groups - _GROUPS):
        yield f"pattern: group {name!r} is none of {', '.join(sorted(_GROUPS))}"
    if "message" not in groups:
        yield "pattern: the group 'message' is missing"
    if _repeats_repetition(pattern):
        yield "pattern: a group with '*', '+' or '{}' in it is repeated itself, which may take ages"


def _repeats_repetition(pattern: str) -> bool:
    """Return true if something is repeated that has a repetition within."""
    open_groups, last_has = [False], False
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text == "(":
            open_groups.append(False)
            last_has = False
        elif text == ")" and len(open_groups) > 1:
            last_has = open_groups.pop()
            open_groups[-1] |= last_has
        elif token["many"]:
            if last_has:
                return True
            open_groups[-1] |= "{" not in text or "," in text  # a fixed number is no choice
        else:
            last_has = False
    return False
