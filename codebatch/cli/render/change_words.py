"""The changes of one file in words.

What belongs together is one line: the measures of a function, what is inside of a function or a
class that is new or gone, an import and the name it defines. Of a file that is new or gone, all but
its findings is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from codebatch.cli.render import output
from codebatch.cli.render.output import cell, counted, fields_in_words, printable
from codebatch.compare.changes import CHANGED, Change, name_of
from codebatch.compare.diff import ADDED
from codebatch.model.records import Record
from codebatch.tasks.vocabulary import FILE_METRICS

_OPEN_NO_SCOPE = frozenset({"variable", "parameter", "import", "export"})
_MANY = {"class": "classes"}
_TELLING = ("language", "lines", "complexity", "cognitive_complexity", "max_nesting")
_COUNTED_METRICS = ("lines", "complexity")
_NODES = "nodes"
# What follows from other measures, or from the symbols and imports that are new or gone.
_LESS_TELLING = frozenset({_NODES, *FILE_METRICS} - {*_TELLING})

Said = tuple[str, str]  # what has changed, and in words


class _Parts(NamedTuple):
    """The changes of a file apart: of symbols, measures, edges, and of other kinds."""

    symbols: list[Change]
    of_functions: list[Change]
    of_file: list[Change]
    edges: list[Change]
    others: list[Change]


def finding_words(changes: Iterable[Change], *, broken: bool) -> Iterator[Said]:
    """Yield the words for each finding; in a ``broken`` file they were not looked for again."""
    for change in changes:
        if change.kind != "diagnostic":
            continue
        record = change.record
        severity, what = record["severity"], f"{record['code']} at {record['line']}"
        words = f"{severity} {what}"
        if change.change == CHANGED:
            words = _changed_finding(change, words)
        else:
            gone = "not looked for:" if broken else "gone"
            words = f"{'new' if change.change == ADDED else gone} {words}"
        yield change.change, printable(f"{words}: {record['message']}")


def contents(changes: Iterable[Change]) -> Iterator[Said]:
    """Yield one line that counts what is in a file that is new or gone, but for findings."""
    changes = [change for change in changes if change.kind != "diagnostic"]
    if not changes:
        return
    records = [change.record for change in changes]
    symbols = Counter(str(r["symbol_type"]) for r in records if r["kind"] == "symbol")
    measures = {r["metric"]: r["value"] for r in records if r["kind"] == "metric"}
    words = [_number_of(symbols, name) for name in symbols]
    words += [f"{name} {cell(measures[name])}" for name in _COUNTED_METRICS if name in measures]
    yield changes[0].change, ", ".join(words) or counted(len(changes), "record")


def words_of_file(changes: Iterable[Change]) -> Iterator[Said]:
    """Yield the words for what has changed in a file, but for findings."""
    parts = _parts(changes)
    yield from _definitions(parts)
    yield from (
        (change.change, f"{_edge(change.record)} {change.change}") for change in parts.edges
    )
    yield from _measures_of_file(parts.of_file)
    yield from ((change.change, _other(change)) for change in parts.others)


def _changed_finding(change: Change, words: str) -> str:
    old, new = change.old or {}, change.new or {}
    if old["severity"] != new["severity"]:
        return f"{words}, {old['severity']} before"
    return f"{words} says otherwise"


def _parts(changes: Iterable[Change]) -> _Parts:
    parts = _Parts([], [], [], [], [])
    for change in changes:
        record, kind = change.record, change.kind
        if kind == "metric":
            (parts.of_functions if "name" in record else parts.of_file).append(change)
        elif kind == "ast":
            parts.of_file.append(change)
        elif kind != "diagnostic":
            {"symbol": parts.symbols, "edge": parts.edges}.get(kind, parts.others).append(change)
    return parts


def _definitions(parts: _Parts) -> Iterator[Said]:
    """Yield a line for each symbol that is not inside of another, and for each function that is
    measured otherwise.
    """
    scopes = {
        (change.change, str(name_of(change.record)))
        for change in parts.symbols
        if change.record["symbol_type"] not in _OPEN_NO_SCOPE
    }
    imported = {(edge.change, edge.record["line"]) for edge in parts.edges}
    inside: dict[Said, Counter[str]] = defaultdict(Counter)
    shown: list[Change] = []
    for change in parts.symbols:
        symbol_type = str(change.record["symbol_type"])
        outer = _outermost(change.change, str(change.record["scope"]), scopes)
        if outer is not None:
            inside[outer][symbol_type] += 1
        elif symbol_type != "import" or (change.change, change.record["line"]) not in imported:
            shown.append(change)
    measured = _measures_of_functions(parts.of_functions, scopes)
    for change in shown:
        named = (change.change, str(name_of(change.record)))
        opens = change.record["symbol_type"] not in _OPEN_NO_SCOPE
        more = [*measured.pop(named, ())] if opens else []
        more += [_number_of(inside[named], name) for name in inside[named]] if opens else []
        yield change.change, _symbol(change) + (f": {', '.join(more)}" if more else "")
    for (what, name), words in measured.items():
        yield what, f"function {printable(name)}: {', '.join(words)}"


def _outermost(what: str, scope: str, scopes: set[Said]) -> Said | None:
    """Return the outermost of the symbols with the same fate that are or hold the scope, if any."""
    names = scope.split(".")
    outer = ((what, ".".join(names[:end])) for end in range(1, len(names) + 1))
    return next((one for one in outer if one in scopes), None)


def _measures_of_functions(changes: Iterable[Change], scopes: set[Said]) -> dict[Said, list[str]]:
    """Return ``complexity 3 → 5`` and the like by function, but for those inside of a new one."""
    found: dict[Said, list[str]] = {}
    for change in changes:
        name = str(change.record["name"])
        outer = name.split(".")[:-1]
        if not any(
            (change.change, ".".join(outer[:end])) in scopes for end in range(1, len(outer) + 1)
        ):
            words = _measure(change).removeprefix("function ")
            found.setdefault((change.change, name), []).append(words)
    return found


def _measure(change: Change) -> str:
    """Return ``complexity 3 → 5``, or ``complexity 3`` of what is new or gone."""
    field = _NODES if change.kind == "ast" else "value"
    name = _metric_of(change).replace("_", " ")
    values = [cell(record[field]) for record in (change.old, change.new) if record is not None]
    return f"{printable(name)} {f' {output.arrow()} '.join(dict.fromkeys(values))}"


def _measures_of_file(changes: Sequence[Change]) -> Iterator[Said]:
    """Yield a line with the measures that say most, or with all where none of these differs."""
    by_change: dict[str, list[Change]] = {}
    for change in changes:
        by_change.setdefault(change.change, []).append(change)
    for what, of_file in by_change.items():
        telling = [change for change in of_file if _metric_of(change) not in _LESS_TELLING]
        yield what, f"file: {', '.join(map(_measure, telling or of_file))}"


def _metric_of(change: Change) -> str:
    return _NODES if change.kind == "ast" else str(change.record["metric"])


def _symbol(change: Change) -> str:
    record = change.record
    scope = str(record["scope"])
    where = "" if scope == "module" else f" of {scope}"
    words = f"{record['symbol_type']} {record['name']}{where}"
    if record["symbol_type"] not in _OPEN_NO_SCOPE:
        words = f"{record['symbol_type']} {name_of(record)}"
    return printable(f"{words} {change.change} at {record['line']}")


def _edge(record: Record) -> str:
    """Return ``import path from os as p``, ``export x``, ``class A inherits B``."""
    target, name, alias = (record.get(key) for key in ("target", "name", "alias"))
    if record["edge_type"] == "inherits":
        return printable(f"{name or 'class'} inherits {target}")
    word = str(record["edge_type"]).removesuffix("s")
    words = f"{word} {name} from {target}" if name else f"{word} {target}"
    return printable(f"{words} as {alias}" if alias else words)


def _other(change: Change) -> str:
    record, kind = change.record, printable(change.kind)
    if change.kind == "skip":
        again = "" if change.change == ADDED else " no longer"
        return printable(f"{record['task_id']}{again} leaves it out: {record['reason']}")
    if change.kind == "patch":
        said = (one for one in (change.old, change.new) if one is not None)
        numbers = (f"+{cell(one['added'])} -{cell(one['removed'])}" for one in said)
        words = f" {output.arrow()} ".join(numbers)
        return printable(f"patch of {record['task_id']} {change.change}: {words}")
    if change.old is not None and change.new is not None:
        both = (fields_in_words(change.old), fields_in_words(change.new))
        return f"{kind} {f' {output.arrow()} '.join(both)}"
    at = f" at {record['line']}" if record.get("line") is not None else ""
    return f"{kind}{at} {change.change}: {fields_in_words(record)}"


def _number_of(numbers: Mapping[str, int], name: str) -> str:
    return counted(numbers[name], name, _MANY.get(name, ""))
