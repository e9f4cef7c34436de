"""Attributes of files, as far as they change what a checkout writes: the rules of gitattributes.

Patterns are those of ignore files, but that none negates and none is for folders. Macros count in
the topmost file; ``binary`` is one that is always there. Files are read as git does for a checkout,
from its objects: a byte order mark is a part of the first line, and a NUL ends the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import itemgetter

from codebatch.model.globs import GlobTable

ATTRIBUTES_FILE = b".gitattributes"

_WANTED = frozenset((b"text", b"crlf", b"eol", b"ident", b"filter", b"working-tree-encoding"))
_LONGEST_LINE = 2048
_MOST_MACROS = 100
_MACRO = b"[attr]"
_BLANK = b" \t\r\n"
_WORD = re.compile(rb"[^ \t\r\n]+")
_NAME = re.compile(rb"[A-Za-z0-9_.][-A-Za-z0-9_.]*\Z")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\(?:[abfnrtv"\\]|[0-3][0-7]{2}))*)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ESCAPES |= {b"v": b"\v", b"\\": b"\\", b'"': b'"'}

# True and False are set and unset, bytes a value; None is what was never said, or taken back.
Value = bool | bytes | None
_States = tuple[tuple[bytes, Value], ...]


class _Table:
    """The lines of a file that say something of one attribute."""

    def __init__(self) -> None:
        self._names = GlobTable(is_path=False, fold=False)
        self._paths = GlobTable(is_path=True, fold=False)
        self._said: dict[int, tuple[int, Value]] = {}

    def add(self, pattern: bytes, line: int, word: int, value: Value) -> None:
        if line not in self._said:
            is_path = b"/" in pattern
            (self._paths if is_path else self._names).add(pattern.removeprefix(b"/"), line)
        self._said[line] = word, value

    def best(self, path: bytes) -> tuple[int, int, Value] | None:
        line = max(self._names.best(path[path.rfind(b"/") + 1 :]), self._paths.best(path))
        return (line, *self._said[line]) if line >= 0 else None


class AttributeRules:
    """The attribute files that hold in a folder, the topmost first, and the macros of that.

    ``is_beyond`` is true where a file is too large to be read or has too many macros: what a
    checkout writes cannot be known then.
    """

    def __init__(self) -> None:
        self._files: tuple[tuple[bytes, dict[bytes, _Table]], ...] = ()
        self._macros: dict[bytes, _States] = {b"binary": ((b"text", False),)}
        self.is_beyond = False

    def __bool__(self) -> bool:
        return bool(self._files) or self.is_beyond

    def with_file(self, folder: bytes, text: bytes | None) -> AttributeRules:
        """Return the rules with the file of a deeper folder; None for one that is too large."""
        found = AttributeRules()
        lines = list(_lines(text or b""))
        found._macros = dict(self._macros)
        if not folder:
            found._macros |= {name: states for name, states, is_macro in lines if is_macro}
        found.is_beyond = self.is_beyond or text is None or len(found._macros) > _MOST_MACROS
        tables: dict[bytes, _Table] = {}
        for number, (pattern, states, is_macro) in enumerate(lines):
            for word, (name, value) in enumerate(() if is_macro else states):
                if name in _WANTED or name in found._macros:
                    tables.setdefault(name, _Table()).add(pattern, number, word, value)
        found._files = (*self._files, (folder, tables)) if tables else self._files
        return found

    def of(self, path: bytes) -> dict[bytes, Value]:
        """Return the attributes of a file, as far as they change what a checkout writes.

        What decides is what git comes to first: in the deepest file, of the last line, the last
        word; and before it goes on from there, what the macro of that word sets.
        """
        said = (self._said(name, path) for name in _WANTED | self._macros.keys())
        found: dict[bytes, Value] = {}
        for _, state in sorted((one for one in said if one), reverse=True, key=itemgetter(0)):
            self._set((state,), found)
        return {name: value for name, value in found.items() if name in _WANTED}

    def _set(self, states: _States, found: dict[bytes, Value]) -> None:
        for name, value in reversed(states):
            if name not in found:
                found[name] = value
                if value is True:
                    self._set(self._macros.get(name, ()), found)

    def _said(
        self, name: bytes, path: bytes
    ) -> tuple[tuple[int, int, int], tuple[bytes, Value]] | None:
        """Return the state that lines set themselves, behind its rank: depth, line and word."""
        for depth in range(len(self._files) - 1, -1, -1):
            folder, tables = self._files[depth]
            if name in tables:
                said = tables[name].best(path[len(folder) + 1 :] if folder else path)
                if said is not None:
                    line, word, value = said
                    return (depth, line, word), (name, value)
        return None


def _lines(text: bytes) -> Iterator[tuple[bytes, _States, bool]]:
    """Yield pattern and states of each line, or the name of a macro, states, and True."""
    for raw in text.partition(b"\0")[0].split(b"\n"):
        line = raw.lstrip(_BLANK)
        if not line or line.startswith(b"#") or len(raw) >= _LONGEST_LINE:
            continue
        pattern, rest = _pattern(line)
        states = tuple(map(_state, _WORD.findall(rest)))
        names = [name for name, _ in states]
        is_macro = pattern.startswith(_MACRO) and pattern != _MACRO
        if is_macro:
            pattern = b"".join(_WORD.findall(pattern[len(_MACRO) :])[:1])
            names.append(pattern)
        elif pattern.startswith(b"**/") and b"/" not in pattern[3:]:
            pattern = pattern[3:]  # a name at any depth
        is_none = not pattern or pattern.startswith(b"!") or pattern.endswith(b"/")
        if all(map(_NAME.match, names)) and not is_none:  # else git leaves out the whole line
            yield pattern, states, is_macro


def _pattern(line: bytes) -> tuple[bytes, bytes]:
    """Return the pattern that a line begins with, and the rest."""
    if quoted := _QUOTED.match(line):
        return _ESCAPE.sub(_unescaped, quoted[1]).partition(b"\0")[0], line[quoted.end() :]
    end = re.match(_WORD, line).end()  # type: ignore[union-attr]  # the line begins with a word
    return line[:end], line[end:]


def _unescaped(match: re.Match[bytes]) -> bytes:
    spelled = match[1]
    return _ESCAPES.get(spelled) or bytes([int(spelled, 8)])


def _state(word: bytes) -> tuple[bytes, Value]:
    name, equals, value = word.partition(b"=")
    if word[:1] in (b"-", b"!"):
        return name[1:], False if word[:1] == b"-" else None
    return name, value if equals else True
