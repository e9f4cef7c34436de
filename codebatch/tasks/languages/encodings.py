"""The encoding that Python source declares (PEP 263)."""

from __future__ import annotations

import io
import re
import tokenize

# A byte order mark, or "coding" in one of the first two lines, which only "\n" ends here.
_MAY_DECLARE = re.compile(rb"\xef\xbb\xbf|[^\n]*(?:\n[^\n]*)?coding")


def declared_encoding(content: bytes) -> str | None:
    """A codec's name, UTF-8 by default; None where what is declared contradicts itself.

    What cannot be decoded is found when it is decoded.
    """
    if not _MAY_DECLARE.match(content):
        return "utf-8"
    try:
        return tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    except SyntaxError:
        return None
