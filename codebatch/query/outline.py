"""The outline of one file, from its records: what is defined where, nested as it is written.

Parameters belong to the line of their function; imports, exports and local variables are left
out. A function that is measured but has no name of its own in the symbols (``a.b = function``)
is listed too, unless it is anonymous and straight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from codebatch.model.digest import Document
from codebatch.model.records import Record

TOP = "module"
FUNCTIONS = frozenset({"function", "method"})
CONTAINERS = FUNCTIONS | {"class", "interface", "enum", "namespace"}

_INHERITING = frozenset({"class", "interface"})
_MEASURES = {
    "function_complexity": "complexity",
    "function_cognitive": "cognitive_complexity",
    "function_nesting": "nesting",
}
_ANONYMOUS = "<anonymous>"
_LEFT_OUT = frozenset({"parameter", "import", "export"})

_Place = tuple[str, int]


def outline(records: Sequence[Record]) -> list[Document]:
    """Entries by line: ``line, end_line, depth, symbol_type, name, scope``; of functions also
    ``parameters, complexity, cognitive_complexity, nesting``, of classes ``bases``, as far as
    they are known. ``end_line`` is None where it is not recorded.
    """
    symbols = [record for record in records if record["kind"] == "symbol"]
    measures = _measures(records)
    functions = {qualified(symbol) for symbol in symbols if symbol["symbol_type"] in FUNCTIONS} | {
        name for name, _ in measures
    }
    listed = [
        _entry(symbol, measures)
        for symbol in symbols
        if symbol["symbol_type"] not in _LEFT_OUT
        and not (symbol["symbol_type"] == "variable" and symbol["scope"] in functions)
    ]
    listed += _unnamed(measures, listed)
    listed.sort(key=lambda entry: (_number(entry["line"]), -_number(entry["end_line"])))
    _add_parameters(listed, symbols)
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


def qualified(symbol: Record) -> str:
    """The name of a definition with its scope: ``Cart.add``."""
    scope, name = str(symbol["scope"]), str(symbol["name"])
    return name if scope == TOP else f"{scope}.{name}"


def _measures(records: Iterable[Record]) -> dict[_Place, Document]:
    found: dict[_Place, Document] = {}
    for record in records:
        measure = _MEASURES.get(str(record.get("metric")))
        if record["kind"] == "metric" and measure is not None:
            place = (str(record["name"]), _number(record["line"]))
            found.setdefault(place, {})[measure] = record["value"]
    return found


def _entry(symbol: Record, measures: dict[_Place, Document]) -> Document:
    names = ("line", "end_line", "symbol_type", "name", "scope")
    measured = (
        measures.get((qualified(symbol), _number(symbol["line"])), {})
        if symbol["symbol_type"] in FUNCTIONS
        else {}
    )
    return {**{name: symbol[name] for name in names}, **measured}


def _unnamed(measures: dict[_Place, Document], listed: Iterable[Document]) -> list[Document]:
    """Measured functions that no symbol stands for; where they end is not recorded."""
    known = {(qualified(entry), _number(entry["line"])) for entry in listed}
    found: list[Document] = []
    for (name, line), measured in measures.items():
        scope, _, last = name.rpartition(".")
        straight = last == _ANONYMOUS and measured.get("complexity") == 1
        if (name, line) not in known and not straight:
            place = {"line": line, "end_line": None, "symbol_type": "function"}
            found.append({**place, "name": last, "scope": scope or TOP, **measured})
    return found


def _add_parameters(listed: Iterable[Document], symbols: Iterable[Record]) -> None:
    """Parameters come after their function, and a redefinition has its own."""
    by_scope: dict[str, list[Record]] = {}
    for symbol in symbols:
        if symbol["symbol_type"] == "parameter":
            by_scope.setdefault(str(symbol["scope"]), []).append(symbol)
    for entry in listed:
        if entry["symbol_type"] in FUNCTIONS:
            first, last = _number(entry["line"]), _number(entry["end_line"])
            entry["parameters"] = [
                parameter["name"]
                for parameter in by_scope.get(qualified(entry), ())
                if first <= _number(parameter["line"]) <= last
            ]


def _add_bases(listed: Iterable[Document], records: Iterable[Record]) -> None:
    """An edge says at which line a base is named: it is of the last type begun before that."""
    types = [entry for entry in listed if entry["symbol_type"] in _INHERITING]
    for record in records:
        if record["kind"] == "edge" and record["edge_type"] == "inherits":
            line = _number(record["line"])
            around = [
                entry
                for entry in types
                if _number(entry["line"]) <= line <= _number(entry["end_line"])
            ]
            if around:
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


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
