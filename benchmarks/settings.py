"""What a run measures on, and how often."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """``tree`` is the tree most rows are about, ``library`` a second, larger one.

    ``files`` are the sizes of the corpora that growth is measured over, smallest first, and
    ``records`` how many records the batch has that the viewing commands are measured on.
    ``rows`` names what is wanted. ``large`` and ``typescript`` are trees of some rows, ``before`` a
    checkout of the commit that some rows are held against; None where these rows are not wanted.
    """

    tree: Path
    library: Path
    scratch: Path
    repeat: int
    files: tuple[int, ...]
    records: int
    rows: frozenset[str]
    large: Path | None = None
    typescript: Path | None = None
    before: Path | None = None

    def wants(self, *names: str) -> bool:
        """Whether one of the rows is wanted."""
        return not self.rows.isdisjoint(names)

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder on the measured file system, for a block; it goes with the scratch."""
        yield Path(tempfile.mkdtemp(dir=self.scratch))
