"""The outputs of one task on one shard, put together from the lines of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from codebatch.digest import digest_bytes
from codebatch.lines import FileLines, fill_path
from codebatch.records import EQUAL, Counts, InputFile, path_key
from codebatch.result import shard_node


@dataclass(frozen=True)
class TaskOutputs:
    """The lines of one task on one shard, ready to be committed.

    In path order, ``per_file`` holds how many records and diagnostics each file has, and
    ``origins`` where each file's lines come from.
    """

    data: bytes
    digest: str
    tree: str
    counts: Counts
    per_file: tuple[tuple[int, int], ...]
    origins: str


class _PlacedFile(NamedTuple):
    """A file's lines with its path in them; ``key`` puts the files of a shard into order."""

    key: bytes
    path: str
    object: str
    lines: bytes
    counts: Counts
    origin: str


class OutputLines:
    """Collects the lines of one task."""

    def __init__(self) -> None:
        self._files: list[_PlacedFile] = []

    def add(self, files: Sequence[InputFile], found: FileLines, origin: str) -> None:
        """Take the lines of equal files; those after the first are equal to it."""
        for file in files:
            path = file.path
            lines = fill_path(found.lines, path)
            place = _PlacedFile(path_key(path), path, file.object, lines, found.counts, origin)
            self._files.append(place)
            origin = EQUAL

    def finish(self, width: int) -> TaskOutputs:
        """The outputs, for a shard whose id has ``width`` digits."""
        files = sorted(self._files)  # by path, which no two share
        data = b"".join([file.lines for file in files])
        digests = [(file.path, file.object, digest_bytes(file.lines)) for file in files]
        return TaskOutputs(
            data=data,
            digest=digest_bytes(data),
            tree=shard_node(digests, width),
            counts=Counts.total(file.counts for file in files),
            per_file=tuple([(f.counts.records, f.counts.diagnostics) for f in files]),
            origins="".join([file.origin for file in files]),
        )
