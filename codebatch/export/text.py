r"""How names and messages from untrusted trees are spelled in formats of others.

A byte of a file name that is not UTF-8 is a lone surrogate inside CodeBatch (PEP 383). Formats
that hold valid Unicode only get it as the six characters ``\udcXX``, as in its JSON.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from codebatch.model.records import path_key
from codebatch.model.unseen import UNSEEN

# All but line ends and tabs: what could steer the terminal a log is shown on.
_CONTROL = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{UNSEEN}\ud800-\udfff]")
_LONGEST_MESSAGE = 500
_LINE_ENDS = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t"})


def unicode_text(value: object) -> str:
    """The text with every lone surrogate spelled as its escape."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def log_text(value: object) -> str:
    """The text with control characters, direction marks and lone surrogates escaped."""
    return _CONTROL.sub(_escape, str(value))


def line_text(value: object) -> str:
    """The text as `log_text`, on one line, and with nothing in it that the log of a build takes
    for a command of its own wherever it stands.
    """
    return log_text(value).translate(_LINE_ENDS).replace("##[", r"##\x5b")


def short_text(value: object) -> str:
    """The text as `log_text`, and cut where it is too long for people."""
    text = log_text(value)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."


def path_uri(path: str) -> str:
    """The path as a relative URI reference: its raw bytes, percent-encoded."""
    return quote(path_key(path), safe="/")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
