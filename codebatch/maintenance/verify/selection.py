"""Which objects a check reads."""

from __future__ import annotations

import re
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import UsageError

_PART = re.compile(r"([0-9]{1,6})/([0-9]{1,6})\Z")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%\Z")
_DIGITS = 8
_WHOLE = 16**_DIGITS
_SCALE = 10**6


class Selection(NamedTuple):
    """Objects whose last digits, as a number modulo ``period``, are from ``first`` up to before
    ``end``; the same ones every time.
    """

    period: int
    first: int
    end: int

    def takes(self, digest: str) -> bool:
        """Return True if an object is to be read."""
        number = int(digest[len(DIGEST_PREFIX) :][-_DIGITS:], 16)
        return self.first <= number % self.period < self.end


ALL = Selection(1, 0, 1)
NONE = Selection(1, 0, 0)


def parse_subset(text: str) -> Selection:
    """``10%``, or ``2/5`` for the second of five parts that together are all objects."""
    if match := _PART.match(text):
        part, parts = int(match[1]), int(match[2])
        if 1 <= part <= parts:
            return Selection(parts, part - 1, part)
    if match := _PERCENT.match(text):
        share = round(float(match[1]) * _SCALE)
        if 0 < share <= 100 * _SCALE:
            return Selection(_WHOLE, 0, -(-_WHOLE * share // (100 * _SCALE)))
    raise UsageError(
        f"not a part of the objects: {text!r}",
        hints=["give a share as 10%, or the second of five parts as 2/5"],
    )
