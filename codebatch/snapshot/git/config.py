"""Git's configuration files: what is set in one, by lower-case name."""

from __future__ import annotations

import re
from collections.abc import Iterator

LARGEST_CONFIG = 2**20

_SECTION = re.compile(rb'\[\s*([\w.-]+)(?:\s+"((?:[^"\\\n]|\\.)*)")?\s*\]')
_NAME = re.compile(rb"([A-Za-z][\w-]*)[ \t]*(=?)")
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"b": b"\b", b'"': b'"', b"\\": b"\\"}
_FALSE = (b"false", b"no", b"off", b"0", b"")


def read_settings(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names, as ``section.subsection.name``, and values in the order of the file; a name
    without a value has ``true``. ``ValueError`` where git would refuse the file.
    """
    section, at = b"", 0
    text = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    while at < len(text):
        char = text[at : at + 1]
        if char.isspace():
            at += 1
        elif char in b"#;":
            at = _line_end(text, at)
        elif char == b"[":
            found = _SECTION.match(text, at)
            if found is None:
                raise ValueError("a section that does not end")
            subsection = re.sub(rb"\\(.)", rb"\1", found[2]) if found[2] is not None else None
            section = found[1].lower() + (b"" if subsection is None else b"." + subsection)
            at = found.end()
        else:
            found = _NAME.match(text, at)
            if found is None or not section:
                raise ValueError("neither a section nor a name")
            value, at = _value(text, found.end()) if found[2] else (b"true", found.end())
            yield section + b"." + found[1].lower(), value


def is_true(value: bytes | None) -> bool:
    """Return the value as a boolean; one that is not set is false."""
    return value is not None and value.lower() not in _FALSE


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return len(text) if end < 0 else end


def _value(text: bytes, at: int) -> tuple[bytes, int]:
    """Return the value that begins here, without quotes and outer spaces, and its end."""
    value = bytearray()
    kept, quoted = 0, False
    while at < len(text) and text[at : at + 1] != b"\n":
        char = text[at : at + 1]
        at += 1
        if char == b"\\":
            follows = text[at : at + 1]
            at += 1
            if follows == b"\n":
                continue
            if follows not in _ESCAPES:
                raise ValueError("an escape that is not known")
            value += _ESCAPES[follows]
        elif char == b'"':
            quoted = not quoted
        elif char in b"#;" and not quoted:
            at = _line_end(text, at)
            break
        elif char.isspace() and not quoted:
            value += char if value else b""
            continue
        else:
            value += char
        kept = len(value)
    if quoted:
        raise ValueError("a quote that does not end")
    return bytes(value[:kept]), at
