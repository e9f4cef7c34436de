"""``codebatch inspect``: the page about one file of a batch, section by section, or one line of it.

What there is nothing to say about is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import click

from codebatch import api
from codebatch.cli.command import Call, command
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.cli.render.output import fields_in_words
from codebatch.cli.render.output import printable as shown
from codebatch.cli.render.source import diff_lines, numbered, page_width, with_caret
from codebatch.model.errors import StoreDamagedError, StoreError
from codebatch.model.records import DONE, FAILED, KINDS

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


@command(
    click.argument("file", metavar="FILE"),
    click.option(
        "--at", type=click.IntRange(min=1), metavar="LINE", help="Only what is at this line."
    ),
    batch_option,
)
def inspect(call: Call, file: str, at: int | None) -> None:
    """Show everything a batch says about one file: metrics, outline, imports, findings.

    FILE is a path in the snapshot, a path on this machine, or the end of a path that only one
    file has, such as its name.
    """
    batch = call.batch()
    document = cast("dict[str, Any]", batch.inspect(file, at=at))
    call.write(document, _all_lines(call, document, batch))


def _all_lines(call: Call, document: _Row, batch: api.Batch) -> Iterator[str]:
    yield from _page(document, batch) if document.get("at") is None else _at_line(document)
    open_tasks = [task for task in document["tasks"] if task["status"] != DONE]
    if open_tasks:
        words = (
            f"{task['task_id']}: {output.status(task['status'])}"
            + (f", {shown(task['error']['message'])}" if task["status"] == FAILED else "")
            for task in open_tasks
        )
        yield from _section("not finished", words)
        yield from call.next(f"codebatch resume --batch {document['batch_id']}")


def _page(document: _Row, batch: api.Batch) -> Iterator[str]:
    """All sections, each from the records of its kind."""
    kinds: dict[str, list[_Row]] = {}
    for record in document["records"]:
        kinds.setdefault(record["kind"], []).append(record)
    findings, edges = kinds.get("diagnostic", ()), kinds.get("edge", ())
    lines = _source(document, findings, batch)
    yield from _head(document, kinds.get("metric", ()), lines)
    yield from _outline(document["outline"])
    yield from _section("imports", _imports(e for e in edges if e["edge_type"] == "imports"))
    yield from _section("exports", _exports(kinds.get("symbol", ()), edges))
    yield from _findings(findings, lines)
    yield from _section("rules", _rules(document["rules"]))
    for kind in sorted(kinds.keys() - {*KINDS}):
        yield from _section(shown(kind), map(_own_record, kinds[kind]))
    for record in kinds.get("patch", ()):
        yield from _section(f"patch of {record['task_id']}", _diff(record, batch))
    yield from _section("artifacts", map(_artifact, kinds.get("artifact", ())))
    skipped: dict[str, list[str]] = {}
    for record in kinds.get("skip", ()):
        skipped.setdefault(record["reason"], []).append(record["task_id"])
    reasons = (f"{', '.join(tasks)}: {reason}" for reason, tasks in skipped.items())
    yield from _section("not looked at", reasons)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A titled section, unless it is empty."""
    for index, line in enumerate(lines):
        if index == 0:
            yield f"\n{title}"
        yield f"  {line}"


def _source(document: _Row, findings: Sequence[_Row], batch: api.Batch) -> list[str]:
    """The lines of the file where any are shown; none, and a note, where they are damaged."""
    if not findings and document["language"] != _LINK:
        return []
    try:
        return batch.lines(document["path"])
    except StoreDamagedError as error:
        output.write_note(f"the source cannot be shown: {error.message}")
        return []


def _head(document: _Row, metrics: Sequence[_Row], lines: Sequence[str]) -> Iterator[str]:
    language = document["language"]
    yield f"{shown(document['path'])}  {'symbolic link' if language == _LINK else language}"
    if language == _LINK and lines:
        yield f"  target   {shown(lines[0])}"
    values = {record["metric"]: record["value"] for record in metrics if "name" not in record}
    yield f"  size     {', '.join([output.size(document['size']), *_words(values, _SIZES)])}"
    if complexities := _words(values, _COMPLEXITIES):
        yield f"  complex  {', '.join(complexities)}"
    yield f"  object   {document['object']}"
    yield f"  batch    {document['batch_id']}, shard {document['shard_id']}"


def _words(values: Mapping[str, Any], names: Sequence[tuple[str, str, str]]) -> list[str]:
    """``1 function``, ``2 functions`` for each of the named metrics there is."""
    found = ((values[name], one, many) for name, one, many in names if name in values)
    return [f"{value:,} {one if value == 1 else many}" for value, one, many in found]


def _outline(entries: Sequence[_Row]) -> Iterator[str]:
    if not entries:
        return
    digits = max(len("line"), *(len(str(entry["line"])) for entry in entries))
    names = ["  " * entry["depth"] + _entry_name(entry) for entry in entries]
    measured = any("complexity" in entry for entry in entries)
    room = min(_WIDEST_OUTLINE, page_width() - digits - 28, max(map(len, names)))
    heads = "  cyclomatic  cognitive" if measured else ""
    yield f"\n  {'line':>{digits}}  {'outline':<{room}}{heads}".rstrip()
    for entry, name in zip(entries, names, strict=True):
        short = name if len(name) <= room else name[: room - 1] + "…"
        cyclomatic = entry.get("complexity", "")
        cognitive = entry.get("cognitive_complexity", "")
        numbers = f"{cyclomatic:>10}  {cognitive:>9}"
        yield f"  {entry['line']:>{digits}}  {short:<{room}}  {numbers}".rstrip()


def _entry_name(entry: _Row) -> str:
    name = shown(entry["name"])
    if "bases" in entry:
        name += f"({', '.join(map(shown, entry['bases']))})"
    if "parameters" in entry:
        name += f"({', '.join(map(shown, entry['parameters']))})"
    return f"{entry['symbol_type']} {name}"


def _imports(edges: Iterable[_Row]) -> list[str]:
    """One line a module, with what is taken from it, in the order of first mention."""
    taken: dict[str, list[str]] = {}
    for edge in edges:
        names = taken.setdefault(shown(edge["target"]), [])
        word = shown(edge.get("name", ""))
        if "alias" in edge:
            word = f"{word} as {shown(edge['alias'])}".strip()
        if word and word not in names:
            names.append(word)
    return [f"{module}: {', '.join(names)}" if names else module for module, names in taken.items()]


def _exports(symbols: Iterable[_Row], edges: Iterable[_Row]) -> list[str]:
    """The exported names on one line, and what is passed on from other modules."""
    exported = (symbol["name"] for symbol in symbols if symbol["symbol_type"] == "export")
    names = list(dict.fromkeys(map(shown, exported)))
    passed = _imports(edge for edge in edges if edge["edge_type"] == "exports")
    return [*([", ".join(names)] if names else []), *(f"from {line}" for line in passed)]


def _findings(findings: Iterable[_Row], lines: Sequence[str]) -> Iterator[str]:
    ordered = sorted(findings, key=lambda record: (record["line"], record["column"]))
    if ordered:
        yield "\nfindings"
    for record in ordered:
        number, column = record["line"], record["column"]
        yield f"  {number}:{column} {_finding(record)}"
        if number <= len(lines):
            digits = len(str(ordered[-1]["line"]))
            yield from with_caret(number, lines[number - 1], column, digits, "    ")


def _rules(rules: Iterable[_Row]) -> Iterator[str]:
    """``L101 Unused import: …``, and where to read more."""
    for rule in rules:
        parts = filter(None, (f"{rule['code']} {rule['title']}", rule["help"]))
        yield shown(": ".join(parts))
        if rule["link"] is not None:
            yield f"     {shown(rule['link'])}"


def _own_record(record: _Row) -> str:
    """``3  owner=ann text=…``, the line first where there is one."""
    line = f"{shown(record['line'])}  " if record.get("line") is not None else ""
    return line + fields_in_words(record)


def _diff(record: _Row, batch: api.Batch) -> Iterator[str]:
    """The lines of a diff; none, and a note, where it is damaged."""
    try:
        data = batch.value(dict(record))
    except StoreError as error:
        output.write_note(f"the patch cannot be shown: {error.message}")
        return
    yield from diff_lines(data)


def _artifact(record: _Row) -> str:
    """``page.html  text/html  3 KiB  sha256:…``."""
    words = (record["name"], record["media_type"], output.size(record["size"]), record["object"])
    return "  ".join(map(shown, words))


def _finding(record: _Row) -> str:
    """``warning L101 message``."""
    return f"{output.severity(record['severity'])} {record['code']} {shown(record['message'])}"


def _at_line(document: _Row) -> Iterator[str]:
    """The lines around, each finding of the line below it with a caret."""
    at = document["at"]
    yield f"{shown(document['path'])}:{at['line']}"
    for depth, symbol in enumerate(at["enclosing"]):
        until = f"lines {symbol['line']:,}-{symbol['end_line']:,}"
        yield f"  {'  ' * depth}in {_measured(symbol, document['outline'])}  {until}"
    yield ""
    digits = len(str(at["source"][-1]["line"]))
    for row in at["source"]:
        here = row["line"] == at["line"]
        yield numbered(row["line"], row["text"], digits, ">" if here else " ")
        for record in at["diagnostics"] if here else ():
            _, caret = with_caret(row["line"], row["text"], record["column"], digits, "  ")
            yield f"{caret} {_finding(record)}"
    yield from _section("defined here", map(_defined, at["symbols"]))


def _measured(symbol: _Row, outline: Iterable[_Row]) -> str:
    """``method add(self, item)``, with the measures that its entry of the outline has, if any."""
    same = ("line", "column", "name", "scope", "symbol_type")
    found = (entry for entry in outline if all(entry[key] == symbol[key] for key in same))
    entry = next(found, symbol)
    measures = (("complexity", "cyclomatic"), ("cognitive_complexity", "cognitive"))
    words = ", ".join(f"{word} {entry[name]}" for name, word in measures if name in entry)
    return _entry_name(entry) + (f"  {words}" if words else "")


def _defined(symbol: _Row) -> str:
    inside = "" if symbol["scope"] == "module" else f" in {shown(symbol['scope'])}"
    place = f"{symbol['line']}:{symbol['column']}"
    return f"{place:>8}  {symbol['symbol_type']} {shown(symbol['name'])}{inside}"
