"""What an object shows of itself: a description, from which its text and its HTML are both made.

A value in it is a number, a text, a list, None (which is left out), `Counts` or a `Bar`. Texts are
as they come from a tree or a store: whoever renders them escapes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from typing import NamedTuple

from codebatch.display.words import moment
from codebatch.model.records import SEVERITIES

MOST_ROWS = 20
_FEW_FACTS = 12
_MOST_FINDINGS = 10
_FINDING = ("severity", "code", "path", "line", "message")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_SHORT_DIGEST = 19


class Counts(NamedTuple):
    """Numbers by word, such as of findings by severity, perhaps with their sum."""

    numbers: Mapping[str, int]
    with_total: bool = False

    def present(self) -> dict[str, str]:
        """Return what to say by word, as ``2 errors``, but for those of nothing."""
        return {word: _counted(number, word) for word, number in self.numbers.items() if number}


class Bar(NamedTuple):
    """How many of a ``total`` are in which state; what is in none of them is still to come."""

    numbers: Mapping[str, int]
    total: int

    @property
    def words(self) -> str:
        """The same in words: ``12 of 20, 1 failed``."""
        done = self.numbers.get("done", 0)
        others = [f"{n:,} {word}" for word, n in self.numbers.items() if n and word != "done"]
        return ", ".join([f"{done:,} of {self.total:,}", *others])


def _counted(number: int, word: str) -> str:
    plural = "s" if number != 1 and word in ("error", "warning") else ""
    return f"{number:,} {word}{plural}"


def by_severity(numbers: Mapping[str, int]) -> Counts:
    """Return the numbers of findings, the most severe first."""
    return Counts({s: numbers[s] for s in SEVERITIES if numbers.get(s)}, with_total=True)


def state_bar(shards: Mapping[str, int]) -> Bar:
    """Return the bar of shards from how many there are, are done and failed."""
    numbers = {word: shards.get(word, 0) for word in ("done", "failed")}
    return Bar(numbers, shards.get("total", 0))


@dataclass(frozen=True)
class Table:
    """The first of so many rows; ``total`` is None where it is not known, and there may be more."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, object]]
    total: int | None
    title: str = ""

    @property
    def more(self) -> str:
        """Words about the rows that are not shown; empty where all are."""
        if self.total is None:
            return "and perhaps more"
        return f"and {self.total - len(self.rows):,} more" if self.total > len(self.rows) else ""


@dataclass(frozen=True)
class Card:
    """A title (of which thing, which one, in which state), facts, tables, lines of code, notes."""

    title: str
    name: str = ""
    status: str = ""
    facts: Mapping[str, object] | None = None
    tables: Sequence[Table] = ()
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()

    def present(self) -> dict[str, object]:
        """Return the facts that say something."""
        return {name: value for name, value in (self.facts or {}).items() if _says(value)}


def _says(value: object) -> bool:
    if isinstance(value, Counts):
        return value.with_total or bool(value.present())
    return value is not None


def table_of(
    rows: Iterable[Mapping[str, object]],
    total: int | None = None,
    title: str = "",
    *,
    columns: Sequence[str] = (),
    most: int = MOST_ROWS,
) -> Table:
    """Return the table of some rows; without ``columns``, those that have a value in one."""
    first = islice(rows, most)
    shown = [{str(name): _short(value) for name, value in row.items()} for row in first]
    if total is None and isinstance(rows, Sequence):
        total = len(rows)
    names = dict.fromkeys(name for row in shown for name in row)
    filled = [name for name in names if any(row.get(name) is not None for row in shown)]
    return Table(tuple(columns or filled), shown, total, title)


def card_of_fields(instance: object) -> Card:
    """Return the card of a small dataclass: plain fields are facts, tuples of others tables."""
    facts: dict[str, object] = {}
    tables: list[Table] = []
    status = ""
    for name in _field_names(instance):
        value = getattr(instance, name)
        head = name.replace("_", " ")
        rows = [row_of(one) for one in value[:MOST_ROWS]] if isinstance(value, tuple) else []
        if rows and all(rows):
            tables.append(table_of(rows, len(value), head))
        elif name == "status":
            status = str(value)
        elif isinstance(value, Mapping):
            facts[head] = _numbers(value)
        else:
            facts[head] = value
    return Card(title_of(instance), status=status, facts=facts, tables=tables)


def _short(value: object) -> object:
    """Return the value of a cell: of a digest the beginning, of a time no parts of a second, and
    numbers by word as such.
    """
    if isinstance(value, str) and value[:1].isalnum():
        if _DIGEST.match(value):
            return value[:_SHORT_DIGEST]
        return moment(value)
    if isinstance(value, Mapping) and value:
        return state_bar(value) if _is_state(value) else _numbers(value)
    return value


def _is_state(value: Mapping[object, object]) -> bool:
    """Return whether these are the numbers of `state_bar`: in rows of a store, they may be any."""
    numbers = [value.get(name) for name in ("done", "failed", "total")]
    return all(isinstance(number, int) and number >= 0 for number in numbers)


def findings_table(records: Sequence[Mapping[str, object]], title: str) -> Table:
    """Return the table of some findings."""
    return table_of(records, len(records), title, columns=_FINDING, most=_MOST_FINDINGS)


def row_of(instance: object) -> dict[str, object]:
    """Return a row of a table from an object of several fields; an empty one from any other."""
    if isinstance(instance, Mapping):
        return dict(instance)
    names = getattr(instance, "_fields", ()) or _field_names(instance)
    return {name: getattr(instance, name) for name in names}


def title_of(instance: object) -> str:
    """Return the name of the class in words: ``Run report``."""
    name = type(instance).__name__
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words.strip().capitalize()


def _field_names(instance: object) -> list[str]:
    return [one.name for one in fields(instance) if one.repr] if is_dataclass(instance) else []


def _numbers(value: Mapping[object, object]) -> object:
    """Return numbers by word as such, of many the largest; None for no number at all."""
    numbers = {str(word): n for word, n in value.items() if isinstance(n, int)}
    if len(numbers) < len(value):
        return dict(value)
    largest = sorted(numbers.items(), key=lambda entry: -entry[1])[:_FEW_FACTS]
    found = {word: n for word, n in largest if n}
    return Counts(found) if found else None
