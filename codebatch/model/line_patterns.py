r"""Patterns of lines of records: lines that match need not be parsed to be known as right.

A pattern takes less than a tenth of the time of parsing a line and checking its record
(`model.checks`), and what matches is what `check_record` passes: exactly the fields of the kind,
each once, in order and of its type. Lines that do not match may be right all the same: numbers of
more than 18 digits, say, or fields of later versions; parsing them tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from codebatch.model.checks import OPTIONAL, REQUIRED
from codebatch.model.records import OBJECT_KINDS, SEVERITIES, SUPPRESSED_BY

# Most text has no escape: to choose by the next byte is sooner than to begin a repetition.
_PLAIN = r'[^"\\\0-\x1f]*'
_TEXT = rf'"{_PLAIN}(?:"|(?:\\(?:["\\/bfnrt]|u[0-9a-f]{{4}}){_PLAIN})+")'
_COUNT = r"(?:0|[1-9][0-9]{0,17})"
_NAME = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"  # one of those that may be in a path
_DIGEST = '"sha256:[0-9a-f]{64}"'
_OF_TYPE = {str: _TEXT, int: _COUNT, bool: "(?:true|false)"}
# Of one match. `re` keeps notes on each repetition, and takes ever longer over very many.
_MOST_LINES = 256
_FINDINGS = ("diagnostic", "suppression")
# Values that have a form beyond their type. The path is that of the first line.
_OF_FIELD = {
    ("", "path"): r"\1",
    **dict.fromkeys([*((kind, "object") for kind in OBJECT_KINDS), ("patch", "result")], _DIGEST),
    ("artifact", "name"): rf'"{_NAME}(?:/{_NAME})*"',
    **dict.fromkeys([(kind, "code") for kind in _FINDINGS], '"[A-Za-z][A-Za-z0-9_.-]{0,63}"'),
    **dict.fromkeys([(kind, "severity") for kind in _FINDINGS], f'"(?:{"|".join(SEVERITIES)})"'),
    ("suppression", "how"): f'"(?:{"|".join(SUPPRESSED_BY)})"',
    ("metric", "value"): rf"(?:-?{_COUNT}(?:\.[0-9]{{1,17}})?|{_TEXT})",
}


def lines_pattern(kinds: Iterable[str]) -> re.Pattern[bytes] | None:
    """Return the pattern of lines of built-in kinds that follow one another with one path, which is
    group 1 as it is written; there may be more such lines behind them. None where a kind is not
    built in.
    """
    return _compiled(tuple(sorted({*kinds})))


@lru_cache(maxsize=64)
def _compiled(kinds: tuple[str, ...]) -> re.Pattern[bytes] | None:
    if not REQUIRED.keys() >= {*kinds}:
        return None
    path = rf'(?=[^\n]*?"path":({_TEXT}))'
    return re.compile(f"{path}(?:{'|'.join(map(_line, kinds))}){{1,{_MOST_LINES}}}".encode())


def _line(kind: str) -> str:
    """The pattern of a line of a kind. No kind has an optional field last, so that each field is
    written with the comma behind it.
    """
    optional = dict(OPTIONAL.get(kind, ()))
    types = {**dict(REQUIRED[kind]), **optional, "kind": str, "path": str}
    if kind == "metric":
        types["value"] = object
    names = sorted(types)
    fields = [f'"{name}":{_value(kind, name, types[name])}' for name in names]
    parts = [
        f"(?:{field},)?" if name in optional else field + ("," if name != names[-1] else "")
        for name, field in zip(names, fields, strict=True)
    ]
    return rf"\{{{''.join(parts)}\}}\n"


def _value(kind: str, name: str, of_type: type) -> str:
    if name == "kind":
        return f'"{kind}"'
    return _OF_FIELD.get(("" if name == "path" else kind, name)) or _OF_TYPE[of_type]
