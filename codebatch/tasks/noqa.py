"""Inline suppression: ``noqa`` in a comment, alone or with codes (``# noqa: L003, E501``).

A bare ``noqa`` suppresses every finding of its line, codes only those named. Beside our own
codes, those that Python linters use for the same rule are understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_NOQA = re.compile(
    r"(?:#|//|/\*|--|;|<!--|\.\.)\s*noqa(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)?\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"[A-Z]+[0-9]+", re.IGNORECASE)
_ALIASES = {
    "W291": "L001",
    "W293": "L001",
    "E101": "L002",
    "W191": "L002",
    "E501": "L003",
    "W292": "L004",
    "E303": "L005",
    "F401": "L101",
    "F841": "L102",
}


def is_suppressed(lines: Sequence[str], line: int, code: str) -> bool:
    """Return true if a comment on the line (1-based) suppresses findings of the code."""
    codes = _suppressed(lines[line - 1]) if 1 <= line <= len(lines) else None
    return codes is not None and (not codes or code in codes)


@lru_cache(maxsize=1)
def _suppressed(line: str) -> frozenset[str] | None:
    """The codes that a comment names, none for all; None without a comment. A file may be one
    line, and have thousands of findings there.
    """
    match = _NOQA.search(line) if "noqa" in line.lower() else None
    if match is None:
        return None
    codes = {found.upper() for found in _CODE.findall(match["codes"] or "")}
    return frozenset(codes | {_ALIASES[code] for code in codes & _ALIASES.keys()})
