"""Which symbol a measured function has: metrics and symbols are recorded apart.

Both name a function by its qualified name, which several of a file may share: overloads, accessors,
branches, classes of one name. They are told apart by their lines, and on one line by their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from codebatch.tasks.languages.base import MODULE_SCOPE

Recorded = Mapping[str, object]

FUNCTIONS = frozenset(("function", "method"))


def qualified(definition: Recorded) -> str:
    """Return the name of a definition with its scope: ``Cart.add``."""
    scope, name = str(definition["scope"]), str(definition["name"])
    return name if scope == MODULE_SCOPE else f"{scope}.{name}"


def symbols_of(
    measured: Sequence[tuple[str, int]], symbols: Sequence[Recorded]
) -> list[Recorded | None]:
    """Return the symbol of each function that is measured, by its qualified name and its line; of
    all in source order. None for one without a name.

    Of signatures without a body, which are not measured, a symbol nearer to the line is taken, and
    of several on one line the last: they come before the function that they are of.
    """
    possible: dict[str, list[Recorded]] = {}
    for symbol in symbols:
        if symbol["symbol_type"] in FUNCTIONS:
            possible.setdefault(qualified(symbol), []).append(symbol)
    found: list[Recorded | None] = []
    for name, line in reversed(measured):
        own = possible.get(name, [])
        while len(own) > 1 and _distance(own[-2], line) < _distance(own[-1], line):
            own.pop()
        found.append(own.pop() if own and _number(own[-1]["end_line"]) >= line else None)
    return found[::-1]


def _distance(symbol: Recorded, line: int) -> int:
    return abs(_number(symbol["line"]) - line)


def _number(value: object) -> int:
    return cast("int", value)
