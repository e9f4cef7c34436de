"""Inline suppression: ``noqa`` in a comment, alone or with codes (``# noqa: L003, E501``).

A bare ``noqa`` suppresses every finding of its line, codes only those named. Beside our own
codes, those that Python linters use for the same rule are understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
    """Whether a comment on the line (1-based) suppresses findings of the code."""
    if not 1 <= line <= len(lines) or "noqa" not in lines[line - 1].lower():
        return False
    match = _NOQA.search(lines[line - 1])
    if match is None:
        return False
    codes = [found.upper() for found in _CODE.findall(match["codes"] or "")]
    return not codes or code in codes or any(_ALIASES.get(c) == code for c in codes)
