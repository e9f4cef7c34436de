"""The outline of one file, from its records: what is defined where, nested as it is written.

Parameters belong to the line of their function; imports, exports and local variables are left
out. A function that is measured but has no name of its own in the symbols (``a.b = function``)
is listed too, unless it is anonymous and straight.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from codebatch.model.digest import Document
from codebatch.model.records import Record
from codebatch.tasks.functions import FUNCTIONS, qualified, symbols_of
from codebatch.tasks.languages.base import MODULE_SCOPE

CONTAINERS = FUNCTIONS | {"class", "interface", "enum", "namespace"}

_INHERITING = frozenset({"class", "interface"})
_MEASURES = {
    "function_complexity": "complexity",
    "function_cognitive": "cognitive_complexity",
    "function_nesting": "nesting",
}
_ANONYMOUS = "<anonymous>"
_SHOWN = ("line", "column", "end_line", "symbol_type", "name", "scope")
_LEFT_OUT = frozenset({"parameter", "import", "export"})

# The qualified name of a function, and where it is named: line and column.
_Place = tuple[str, int, int]


def outline(records: Sequence[Record]) -> list[Document]:
    """Entries by line: ``line, column, end_line, depth, symbol_type, name, scope``; of functions
    also ``parameters, complexity, cognitive_complexity, nesting``, of classes ``bases``, as far as
    they are known. ``column`` and ``end_line`` are None where they are not recorded.
    """
    symbols = [record for record in records if record["kind"] == "symbol"]
    measured, measures = _measured(records)
    known = {*map(qualified, measured)}
    known |= {qualified(symbol) for symbol in symbols if symbol["symbol_type"] in FUNCTIONS}
    listed = [
        {name: symbol[name] for name in _SHOWN}
        for symbol in symbols
        if symbol["symbol_type"] not in _LEFT_OUT
        and not (symbol["symbol_type"] == "variable" and symbol["scope"] in known)
    ]
    by_place = {_place(entry): entry for entry in listed if entry["symbol_type"] in FUNCTIONS}
    own = symbols_of([(qualified(m), _number(m["line"])) for m in measured], symbols)
    for function, symbol, values in zip(measured, own, measures, strict=True):
        if symbol is not None:
            by_place[_place(symbol)].update(values)
        elif function["name"] != _ANONYMOUS or values.get("complexity") != 1:
            listed.append({**function, **values})
    listed.sort(key=lambda entry: (_number(entry["line"]), -_number(entry["end_line"])))
    _add_parameters(by_place, symbols)
    _add_bases(listed, records)
    return _nested(listed)


def enclosing(records: Iterable[Record], line: int) -> list[Record]:
    """The definitions around a line, the outermost first."""
    found = [
        record
        for record in records
        if record["kind"] == "symbol"
        and record["symbol_type"] in CONTAINERS
        and _number(record["line"]) <= line <= _number(record["end_line"])
    ]
    return sorted(found, key=lambda symbol: (_number(symbol["line"]), -_number(symbol["end_line"])))


def _measured(records: Iterable[Record]) -> tuple[list[Document], list[Document]]:
    """Return the functions that are measured, each as an entry, and what was measured of each."""
    functions: list[Document] = []
    measures: list[Document] = []
    for record in records:
        measure = _MEASURES.get(str(record.get("metric")))
        if record["kind"] != "metric" or measure is None:
            continue
        scope, _, name = str(record["name"]).rpartition(".")
        place = {"line": record["line"], "column": None, "end_line": None}
        function = {
            **place,
            "symbol_type": "function",
            "name": name,
            "scope": scope or MODULE_SCOPE,
        }
        # The measures of a function follow one another.
        if not functions or functions[-1] != function or measure in measures[-1]:
            functions.append(function)
            measures.append({})
        measures[-1][measure] = record["value"]
    return functions, measures


def _add_parameters(functions: dict[_Place, Document], symbols: Iterable[Record]) -> None:
    """A parameter is of the last function of its scope's name that begins before it: there may be
    several, as overloads, accessors or branches define them.
    """
    places = sorted(functions)
    for function in functions.values():
        function["parameters"] = []
    for symbol in symbols:
        if symbol["symbol_type"] == "parameter":
            scope, line = str(symbol["scope"]), _number(symbol["line"])
            index = bisect_right(places, (scope, line, _number(symbol["column"]))) - 1
            if index >= 0 and places[index][0] == scope:
                function = functions[places[index]]
                if line <= _number(function["end_line"]):
                    cast("list[object]", function["parameters"]).append(symbol["name"])


def _add_bases(listed: Iterable[Document], records: Iterable[Record]) -> None:
    """An edge says at which line a base is named: it is of the last type begun before that, and
    of none where two begin on one line, as nothing says which.
    """
    types = [entry for entry in listed if entry["symbol_type"] in _INHERITING]
    begun = Counter(entry["line"] for entry in types)
    for record in records:
        if record["kind"] == "edge" and record["edge_type"] == "inherits":
            line = _number(record["line"])
            around = [
                entry
                for entry in types
                if _number(entry["line"]) <= line <= _number(entry["end_line"])
            ]
            if around and begun[around[-1]["line"]] == 1:
                cast("list[object]", around[-1].setdefault("bases", [])).append(record["target"])


def _nested(listed: Iterable[Document]) -> list[Document]:
    """The entries with ``depth``: how many entries they are inside of."""
    around: list[Document] = []
    found: list[Document] = []
    for entry in listed:
        while around and not _is_inside(entry, around[-1]):
            around.pop()
        found.append({**entry, "depth": len(around)})
        if entry["symbol_type"] in CONTAINERS:
            around.append(entry)
    return found


def _is_inside(entry: Document, outer: Document) -> bool:
    """By scope and by line: ``Box.prototype.grow`` may be written outside of ``Box``."""
    name, scope, end = qualified(outer), str(entry["scope"]), outer["end_line"]
    named = scope == name or scope.startswith(f"{name}.")
    return named and (end is None or _number(entry["line"]) <= _number(end))


def _place(function: Mapping[str, object]) -> _Place:
    return qualified(function), _number(function["line"]), _number(function["column"])


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
