"""What callers may give: an object wherever its id is taken, and a path of any kind.

Conversion is here, and once: what is below the API gets texts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from codebatch.model.errors import UsageError

PathLike = str | os.PathLike[str]


class HasId(Protocol):
    """A snapshot or a batch, or what taking one or making one gave."""

    @property
    def id(self) -> str:
        """The complete id."""


IdLike = str | HasId  # an id, a prefix of one, ``latest``, a name; or the object


def id_of(value: IdLike) -> str:
    """Return the text that stands for a snapshot or a batch; `TypeError` for what is neither."""
    found = value if isinstance(value, str) else getattr(value, "id", None)
    if not isinstance(found, str):
        raise TypeError(f"an id or what has one is wanted, not {type(value).__name__}")
    return found


def text_of(path: PathLike | None) -> str | None:
    """Return a path, or what may be one, as text."""
    return None if path is None else os.fspath(path)


def named_path(path: PathLike, error: type[UsageError] = UsageError) -> Path:
    """The path, unless it is empty: an unset variable must not mean the current folder."""
    if not os.fspath(path):
        raise error("an empty name names no directory", hints=["is a variable not set?"])
    return Path(path)
