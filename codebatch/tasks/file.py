"""One file as a task receives it.

What a `File` gives belongs to one task alone: text and bytes cannot be changed, and lines, trees
and records are made anew for each task. Nothing that one task does to them reaches another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from codebatch.model.record_lines import decode_lines
from codebatch.model.records import Record
from codebatch.tasks.languages import read_tree
from codebatch.tasks.languages.detect import PATH
from codebatch.tasks.source import SourceFile

Lines = Mapping[str, bytes]


class File:
    """A file: its ``bytes``, ``text``, ``lines``, ``language`` and ``size``, its syntax ``tree``,
    the ``records`` of the tasks that this one needs, and, where it depends on it, its ``path``.

    ``source`` and ``prepared`` are for the tasks of this package: the file with what all tasks
    share of it, and what `Task.prepare` has found out about it, None where it did not look at it.
    """

    def __init__(
        self,
        source: SourceFile,
        upstream: Lines,
        *,
        path: str | None = None,
        prepared: object = None,
    ) -> None:
        self.source = source
        self.prepared = prepared
        self.records: Mapping[str, list[Record]] = _Records(upstream)
        self._path = path

    def __repr__(self) -> str:
        where = "" if self._path is None else f" {self._path!r}"
        return f"<codebatch.File{where} {self.language}, {self.size:,} bytes>"

    @property
    def bytes(self) -> bytes:
        """All bytes of the file."""
        return self.source.content

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.source.size

    @property
    def language(self) -> str:
        """The name of the language, as ``python``; also ``text``, ``binary`` and ``symlink``."""
        return self.source.language

    @property
    def text(self) -> str:
        """The text as the language decodes it, without a byte order mark; what does not decode is
        U+FFFD.
        """
        return self.source.text

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text, without their ends."""
        return list(self.source.lines)

    @cached_property
    def tree(self) -> object:
        """The syntax tree: an `ast.Module` of a Python file, the root node of the tree that
        tree-sitter makes of UTF-8 of a file in JavaScript or TypeScript; None for others, and for
        Python with a syntax error.
        """
        source = self.source
        if not source.is_parsable:
            return None
        source.tree_was_read = True
        return read_tree(source)

    @property
    def path(self) -> str:
        """The path in the snapshot, for a task that says it depends on it; LookupError for others:
        their results are those of all files of equal content.
        """
        if self._path is None:
            raise LookupError(f"the task does not declare that it depends on the path: {PATH!r}")
        return self._path


class _Records(Mapping[str, "list[Record]"]):
    """The records of needed tasks by task id, each decoded when it is first asked for."""

    def __init__(self, upstream: Lines) -> None:
        self._upstream = upstream
        self._decoded: dict[str, list[Record]] = {}

    def __getitem__(self, need: str) -> list[Record]:
        if need not in self._decoded:
            if need not in self._upstream:
                raise LookupError(f"the task does not declare that it needs {need!r}")
            self._decoded[need] = decode_lines(self._upstream[need])
        return self._decoded[need]

    def __iter__(self) -> Iterator[str]:
        return iter(self._upstream)

    def __len__(self) -> int:
        return len(self._upstream)
