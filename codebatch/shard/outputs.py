"""The outputs of one task on one shard, put together from the lines of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from codebatch.model.digest import digest_bytes
from codebatch.model.record_lines import FileLines, fill_path
from codebatch.model.records import EQUAL, Counts, InputFile, path_key
from codebatch.model.result_tree import shard_node


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


class FileOutput(NamedTuple):
    """A file's lines as they stand in outputs, and how many records and diagnostics they are.

    ``key`` puts the files of a shard into order.
    """

    key: bytes
    path: str
    object: str
    lines: bytes
    records: int
    diagnostics: int
    origin: str


@dataclass(frozen=True)
class Kept:
    """Files of a shard whose outputs are taken over: their paths, and by task id their lines and
    what the lines come to.
    """

    paths: frozenset[str]
    outputs: Mapping[str, tuple[Sequence[FileOutput], Counts]]


NOTHING_KEPT = Kept(frozenset(), {})


class OutputLines:
    """Collects the lines of one task. State: ``_files`` in any order, ``_counts`` adding up."""

    def __init__(self) -> None:
        self._files: list[FileOutput] = []
        self._counts: list[Counts] = []

    def add(self, files: Sequence[InputFile], found: FileLines, origin: str) -> None:
        """Take the lines of equal files; those after the first are equal to it."""
        counts = found.counts
        numbers = counts.records, counts.diagnostics
        for file in files:
            path = file.path
            lines = fill_path(found.lines, path)
            output = FileOutput(path_key(path), path, file.object, lines, *numbers, origin)
            self._files.append(output)
            self._counts.append(counts)
            origin = EQUAL

    def add_outputs(self, files: Sequence[FileOutput], counts: Counts) -> None:
        """Take lines that have their paths; ``counts`` is what they come to."""
        self._files += files
        self._counts.append(counts)

    def finish(self, width: int) -> TaskOutputs:
        """The outputs, for a shard whose id has ``width`` digits."""
        files = sorted(self._files)  # by path, which no two share
        data = b"".join([file.lines for file in files])
        digests = [(file.path, file.object, digest_bytes(file.lines)) for file in files]
        return TaskOutputs(
            data=data,
            digest=digest_bytes(data),
            tree=shard_node(digests, width),
            counts=Counts.total(self._counts),
            per_file=tuple([(file.records, file.diagnostics) for file in files]),
            origins="".join([file.origin for file in files]),
        )
