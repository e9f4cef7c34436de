"""The page about one file, section by section; what there is nothing to say about is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codebatch import api
from codebatch.cli.render import output
from codebatch.cli.render.excerpt import page_width, with_caret
from codebatch.model.errors import StoreDamagedError
from codebatch.model.records import DONE, FAILED

_Row = Mapping[str, Any]

_LINK = "symlink"
# Metrics in the order and the words of the page.
_SIZES = (
    ("lines", "line", "lines"),
    ("sloc", "of code", "of code"),
    ("comment_lines", "of comment", "of comment"),
    ("functions", "function", "functions"),
    ("classes", "class", "classes"),
    ("imports", "import", "imports"),
)
_COMPLEXITIES = (
    ("complexity", "cyclomatic", "cyclomatic"),
    ("max_complexity", "in one function at most", "in one function at most"),
    ("cognitive_complexity", "cognitive", "cognitive"),
    ("max_nesting", "level of nesting", "levels of nesting"),
)
_WIDEST_OUTLINE = 72


def write_page(document: _Row, batch: api.Batch) -> None:
    """All sections, each from the records of its kind."""
    kinds: dict[str, list[_Row]] = {}
    for record in document["records"]:
        kinds.setdefault(record["kind"], []).append(record)
    lines = _source(document, kinds.get("diagnostic", ()), batch)
    _write_head(document, kinds.get("metric", ()), lines)
    _write_outline(document["outline"])
    edges = kinds.get("edge", ())
    write_section("imports", _imports(edge for edge in edges if edge["edge_type"] == "imports"))
    write_section("exports", _exports(kinds.get("symbol", ()), edges))
    _write_findings(kinds.get("diagnostic", ()), lines)
    reasons = Counter(record["reason"] for record in kinds.get("skip", ()))
    tasks = {
        reason: ", ".join(r["task_id"] for r in kinds["skip"] if r["reason"] == reason)
        for reason in reasons
    }
    write_section("not looked at", [f"{tasks[reason]}: {reason}" for reason in reasons])


def write_section(title: str, lines: Sequence[str]) -> None:
    """A titled section, unless it is empty; the caller has made the lines printable."""
    if lines:
        output.write_line(f"\n{title}")
        for line in lines:
            output.write_line(f"  {line}")


def write_unfinished(document: _Row, store: str | None) -> None:
    """Which tasks have not run on the file, or could not, and what to do about it."""
    open_tasks = [task for task in document["tasks"] if task["status"] != DONE]
    if not open_tasks:
        return
    words = (
        f"{task['task_id']}: {output.status(task['status'])}"
        + (f", {output.printable(task['error']['message'])}" if task["status"] == FAILED else "")
        for task in open_tasks
    )
    write_section("not finished", list(words))
    output.write_next(f"codebatch resume --batch {document['batch_id']}", store=store)


def finding_words(record: _Row) -> str:
    """``warning L101 message``."""
    message = output.printable(record["message"])
    return f"{output.severity(record['severity'])} {record['code']} {message}"


def entry_words(entry: _Row) -> str:
    """``method add(self, item)``, with the measures it has."""
    measures = (("complexity", "cyclomatic"), ("cognitive_complexity", "cognitive"))
    words = ", ".join(f"{word} {entry[name]}" for name, word in measures if name in entry)
    return _entry_name(entry) + (f"  {words}" if words else "")


def find_entry(outline: Iterable[_Row], symbol: _Row) -> _Row:
    """The entry of the outline for a symbol; the symbol itself where it has none."""
    same = ("line", "name", "scope", "symbol_type")
    found = (entry for entry in outline if all(entry[key] == symbol[key] for key in same))
    return next(found, symbol)


def _source(document: _Row, findings: Sequence[_Row], batch: api.Batch) -> list[str]:
    """The lines of the file where any are shown; none, and a note, where they are damaged."""
    if not findings and document["language"] != _LINK:
        return []
    try:
        return batch.lines(document["path"])
    except StoreDamagedError as error:
        output.write_note(f"the source cannot be shown: {error.message}")
        return []


def _write_head(document: _Row, metrics: Sequence[_Row], lines: Sequence[str]) -> None:
    path, language = output.printable(document["path"]), document["language"]
    output.write_line(f"{path}  {'symbolic link' if language == _LINK else language}")
    if language == _LINK and lines:
        output.write_line(f"  target   {output.printable(lines[0])}")
    values = {record["metric"]: record["value"] for record in metrics if "name" not in record}
    sizes = [output.size(document["size"]), *_words(values, _SIZES)]
    output.write_line(f"  size     {', '.join(sizes)}")
    complexities = _words(values, _COMPLEXITIES)
    if complexities:
        output.write_line(f"  complex  {', '.join(complexities)}")
    output.write_line(f"  object   {document['object']}")
    output.write_line(f"  batch    {document['batch_id']}, shard {document['shard_id']}")


def _words(values: Mapping[str, Any], names: Sequence[tuple[str, str, str]]) -> list[str]:
    """``1 function``, ``2 functions`` for each of the named metrics there is."""
    found = ((values[name], one, many) for name, one, many in names if name in values)
    return [f"{value:,} {one if value == 1 else many}" for value, one, many in found]


def _write_outline(entries: Sequence[_Row]) -> None:
    if not entries:
        return
    digits = max(len("line"), *(len(str(entry["line"])) for entry in entries))
    names = ["  " * entry["depth"] + _entry_name(entry) for entry in entries]
    measured = any("complexity" in entry for entry in entries)
    room = min(_WIDEST_OUTLINE, page_width() - digits - 28, max(map(len, names)))
    heads = "  cyclomatic  cognitive" if measured else ""
    output.write_line(f"\n  {'line':>{digits}}  {'outline':<{room}}{heads}".rstrip())
    for entry, name in zip(entries, names, strict=True):
        short = name if len(name) <= room else name[: room - 1] + "…"
        cyclomatic = entry.get("complexity", "")
        cognitive = entry.get("cognitive_complexity", "")
        numbers = f"{cyclomatic:>10}  {cognitive:>9}"
        output.write_line(f"  {entry['line']:>{digits}}  {short:<{room}}  {numbers}".rstrip())


def _entry_name(entry: _Row) -> str:
    name = output.printable(entry["name"])
    if "bases" in entry:
        name += f"({', '.join(map(output.printable, entry['bases']))})"
    if "parameters" in entry:
        name += f"({', '.join(map(output.printable, entry['parameters']))})"
    return f"{entry['symbol_type']} {name}"


def _imports(edges: Iterable[_Row]) -> list[str]:
    """One line a module, with what is taken from it, in the order of first mention."""
    taken: dict[str, list[str]] = {}
    for edge in edges:
        names = taken.setdefault(output.printable(edge["target"]), [])
        word = output.printable(edge.get("name", ""))
        if "alias" in edge:
            word = f"{word} as {output.printable(edge['alias'])}".strip()
        if word and word not in names:
            names.append(word)
    return [f"{module}: {', '.join(names)}" if names else module for module, names in taken.items()]


def _exports(symbols: Iterable[_Row], edges: Iterable[_Row]) -> list[str]:
    """The exported names on one line, and what is passed on from other modules."""
    exported = (symbol["name"] for symbol in symbols if symbol["symbol_type"] == "export")
    names = list(dict.fromkeys(map(output.printable, exported)))
    passed = _imports(edge for edge in edges if edge["edge_type"] == "exports")
    return [*([", ".join(names)] if names else []), *(f"from {line}" for line in passed)]


def _write_findings(findings: Sequence[_Row], lines: Sequence[str]) -> None:
    ordered = sorted(findings, key=lambda record: (record["line"], record["column"]))
    if not ordered:
        return
    output.write_line("\nfindings")
    digits = len(str(ordered[-1]["line"]))
    for record in ordered:
        number, column = record["line"], record["column"]
        output.write_line(f"  {number}:{column} {finding_words(record)}")
        if number <= len(lines):
            for line in with_caret(number, lines[number - 1], column, digits, "    "):
                output.write_line(line)
