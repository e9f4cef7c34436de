r"""Tables in the data of a page: column by column, each text once, no larger than they may be.

A text in a table is the number of one of ``strings``, and a path that of a pair of these, its
folder and its name. Characters that are not seen, and bytes that are no text, are spelled as
escapes (``\u202e``), so that no name can pass for another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NamedTuple

from codebatch.export.text import log_text
from codebatch.model.digest import Document, canonical_json

PATH, TEXT, CODE, NUMBER = "path", "text", "code", "number"
_LONGEST_TEXT = 2_000
_LARGEST_NUMBER = 2**53
# What ends a script, begins a comment of HTML, or is a line end to a script of old.
_ACTIVE = re.compile("[<>&\u2028\u2029]")
_LINE_ENDS = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t"})


def script_json(value: object) -> str:
    """Return a value as JSON that may stand in an element ``script``, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _active_spelled(text)


def _active_spelled(text: str) -> str:
    return _ACTIVE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shown(value: object) -> str:
    """Return a value as text on one line, cut where it is too long to be read."""
    return _shown(value if isinstance(value, str) else canonical_json(value).decode())


@lru_cache(maxsize=4096)
def _shown(text: str) -> str:
    cut = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} …"
    return log_text(cut).translate(_LINE_ENDS)


class Column(NamedTuple):
    """A column: ``type`` is one of `PATH`, `TEXT`, `CODE` (text of several lines), `NUMBER`."""

    name: str
    type: str


class Budget:
    """How many bytes may still be written."""

    def __init__(self, size: int) -> None:
        self.left = size

    def part(self, size: int) -> Budget:
        """Return a part of it, of at most this size; `give_back` what is not used."""
        part = Budget(min(size, self.left))
        self.left -= part.left
        return part

    def give_back(self, part: Budget) -> None:
        """Take back what is left of a part."""
        self.left += part.left
        part.left = 0


class Strings:
    """Every text of the data once, and every path as a pair of texts."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._pairs: list[tuple[int, int]] = []

    def text(self, text: str) -> tuple[int, int]:
        """Return the number of a text, and how many bytes it adds."""
        known = self._texts.get(text)
        if known is not None:
            return known, 0
        number = self._texts[text] = len(self._texts)
        return number, len(_active_spelled(encode_basestring(text)).encode()) + 1

    def path(self, path: str) -> tuple[int, int]:
        """Return the number of a path, and how many bytes it adds."""
        known = self._paths.get(path)
        if known is not None:
            return known, 0
        folder, _, name = path.rpartition("/")
        (in_folder, size), (as_name, more) = self.text(shown(folder)), self.text(shown(name))
        number = self._paths[path] = len(self._pairs)
        self._pairs.append((in_folder, as_name))
        return number, size + more + len(f"{in_folder},{as_name},")

    def document(self) -> dict[str, object]:
        """Return what the page looks texts and paths up in."""
        folders, names = ([pair[which] for pair in self._pairs] for which in (0, 1))
        return {"strings": list(self._texts), "paths": {"folder": folders, "name": names}}


class Table:
    """Rows, as long as there is room for them. ``total`` is how many there were."""

    def __init__(self, columns: Sequence[Column], strings: Strings, budget: Budget) -> None:
        self.columns = columns
        self.rows = 0
        self.total = 0
        self._values: list[list[object]] = [[] for _ in columns]
        self._strings = strings
        self._budget = budget
        self._is_full = False

    def add(self, row: Mapping[str, object]) -> bool:
        """Take a row in if there is room; once one was left out, all that follow are."""
        self.total += 1
        if self._is_full or self._budget.left <= 0:
            self._is_full = True
            return False
        for column, values in zip(self.columns, self._values, strict=True):
            value, size = self._cell(column.type, row.get(column.name))
            values.append(value)
            self._budget.left -= size
        self.rows += 1
        return True

    def extend(self, rows: Iterable[Mapping[str, object]]) -> Table:
        """Add rows; return the table."""
        for row in rows:
            self.add(row)
        return self

    @property
    def left_out(self) -> int:
        """How many rows there was no room for."""
        return self.total - self.rows

    def document(self) -> Document:
        """Return the table as the page has it."""
        each = zip(self.columns, self._values, strict=True)
        return {
            "total": self.total,
            "rows": self.rows,
            "columns": [
                {"name": shown(column.name), "type": column.type, "values": values}
                for column, values in each
            ],
        }

    def _cell(self, of_type: str, value: object) -> tuple[object, int]:
        if value is None:
            return None, len("null,")
        if of_type == NUMBER and isinstance(value, int | float) and not isinstance(value, bool):
            # A script would round what is larger.
            kept = value if abs(value) < _LARGEST_NUMBER else str(value)
            return kept, len(repr(kept)) + 1
        if of_type == PATH:
            number, size = self._strings.path(str(value))
        elif of_type == CODE:
            number, size = self._strings.text(str(value))
        else:
            number, size = self._strings.text(shown(value))
        return number, size + len(str(number)) + 1
