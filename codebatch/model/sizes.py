"""Numbers of bytes as people write them: one spelling for every option, variable and argument."""

from __future__ import annotations

import re

from codebatch.model.errors import UsageError

NONE = "none"

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_POWERS = " kmgt"


def parse_size(value: int | str) -> int | None:
    """A number of bytes, as a number or as text: ``2GiB``, ``512M``, ``1.5g``; units are powers of
    1024. None for ``none``.
    """
    text = str(value).strip()
    if text.lower() == NONE:
        return None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"not a size: {value}", hints=["give bytes, or a unit: 512MiB, 2GiB; or none"]
        )
    return int(float(found[1]) * 1024 ** _POWERS.index(found[2].lower() or " "))
