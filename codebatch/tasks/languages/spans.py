"""Digests of a syntax tree and of parts of it, positions left out.

A tree is given as one text for each of its rows in preorder, which says what the row is and how
many children it has, so that equal texts in a row are equal trees. A row that does not count has
an empty text.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

Span = tuple[int, int]


def span_digests(texts: Sequence[str], spans: Sequence[Span]) -> list[str]:
    """Return the digest, in hex, of the rows of each span; spans are nested or apart, and given in
    the order of their starts, outer ones first.

    In the digest of a span stand those of the spans directly in it, so that each row is read
    once however deep they nest. No text of a row starts like that of a digest.
    """
    digests: list[str] = []
    within: list[tuple[int, int, str]] = []  # spans done, the first one last
    for start, stop in reversed(spans):
        parts, here = list[str](), start
        while within and within[-1][0] < stop:
            inner_start, inner_stop, digest = within.pop()
            parts += texts[here:inner_start]
            parts.append(f"={digest}")
            here = inner_stop
        parts += texts[here:stop]
        digests.append(sha256("\n".join(filter(None, parts)).encode()).hexdigest())
        within.append((start, stop, digests[-1]))
    return digests[::-1]
