"""How deep Python source nests: linters recurse over it, and some take a level's time squared."""

from __future__ import annotations

# Far above what people and generators write: the longest chains of operators and of ``elif`` that
# are met have some thousand links.
DEEPEST = 20_000

_MARKS = b"([{.:+-*/%@&|^~<>!"
_WORDS = (b"not", b"await", b"if", b"for", b"yield")


def may_nest_deeply(content: bytes) -> bool:
    """Return whether a source has enough of what nests to be deeper than `DEEPEST`."""
    if len(content) <= DEEPEST:
        return False
    marks = len(content) - len(content.translate(None, _MARKS))
    return marks + sum(map(content.count, _WORDS)) > DEEPEST
