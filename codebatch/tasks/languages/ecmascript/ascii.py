"""The text that the grammars read, in ASCII.

Every other character is replaced by one that means the same to them (a letter by ``_``, white space
by a space, anything else by one they reject outside of strings and comments), so that byte offsets
are code point offsets and no byte that does not decode can be a fault by itself. NUL is replaced
because tree-sitter takes it for the end of the file, and U+2028 and U+2029 by spaces: they would
end lines of code, but are found in strings.
"""

from __future__ import annotations

import re

_LONE_RETURN = re.compile(r"\r(?!\n)")
_FOREIGN = re.compile(r"[^\x01-\x7f]+")


class _StandIns(dict[int, str]):
    """For each character the ASCII one that means the same to a grammar."""

    def __init__(self) -> None:
        super().__init__({code: chr(code) for code in range(1, 128)})
        self[0] = "\x01"

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if ("_" + char).isidentifier():
            stand_in = "_"
        elif char.isspace() or char == "\ufeff":
            stand_in = " "
        else:
            stand_in = "\x01"
        self[code] = stand_in
        return stand_in


_STAND_INS = _StandIns()


def ascii_of(text: str) -> str:
    """Return a text of the same length that the grammars read the same, in ASCII."""
    if "\r" in text:
        text = _LONE_RETURN.sub("\n", text)
    if text.isascii() and "\0" not in text:
        return text
    return _FOREIGN.sub(lambda run: run[0].translate(_STAND_INS), text)
