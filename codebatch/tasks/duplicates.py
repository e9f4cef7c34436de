"""Task ``duplicates``: files and functions with equal normalised text, as classes.

Two are of one class where ``shapes`` recorded the same digest of them. All digests have to meet
before one can be told to occur once, so what is passed up the tree is packed: a string of bytes
for each file, from which one file at a time is unpacked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from os.path import commonprefix
from typing import Any, NamedTuple, cast

import msgpack

from codebatch.model.records import Record, path_key
from codebatch.tasks.decorator import task


@dataclass(frozen=True)
class Duplicate:
    """A file (``name`` is None), or a function of it, that is not the only one of its class.

    ``class_size`` is how many there are in the whole tree, this one included.
    """

    path: str
    name: str | None
    line: int
    end_line: int
    lines: int
    class_id: str
    class_size: int


class _Shape(NamedTuple):
    """A file or a function as it is unpacked."""

    name: str | None
    line: int
    end_line: int
    digest: bytes


@task(
    version=1,
    name="duplicates",
    summary="files and functions with equal normalised text, as classes",
    scope="batch",
    needs=["shapes"],
    records=[Duplicate],
    schema="config.duplicates",
)
class Duplicates:
    """Partial values: for each file its path and its shapes, packed."""

    def map(self, records: Iterable[Record], config: Mapping[str, Any]) -> list[bytes]:
        """Return the shapes of each file, packed."""
        shapes = (record for record in records if record["kind"] == "shape")
        return [
            msgpack.packb([path_key(str(path)), [*_packed(of_file)]])
            for path, of_file in groupby(shapes, itemgetter("path"))
        ]

    def combine(self, a: list[bytes], b: list[bytes]) -> list[bytes]:
        """Return the files of both."""
        return a + b

    def finish(self, total: list[bytes], config: Mapping[str, Any]) -> Iterator[Duplicate]:
        """Yield what is not the only one of its class, file by file."""
        sizes = _repeated(total)
        for path, shapes in map(_unpacked, total):
            for name, line, end_line, digest in shapes:
                if digest in sizes:
                    yield Duplicate(
                        path=path,
                        name=name,
                        line=line,
                        end_line=end_line,
                        lines=end_line - line + 1,
                        class_id=digest.hex(),
                        class_size=sizes[digest],
                    )


def _repeated(packed: Iterable[bytes]) -> dict[bytes, int]:
    """Return how often each digest occurs, of those that occur more than once.

    Digests are counted in parts by their first byte: in one dictionary a million of them would
    take a hundred megabytes.
    """
    parts = [bytearray() for _ in range(256)]
    width = 1
    for _, shapes in map(_unpacked, packed):
        for shape in shapes:
            width = len(shape.digest)
            parts[shape.digest[0]] += shape.digest
    sizes: dict[bytes, int] = {}
    for part in parts:
        counts = Counter(bytes(part[at : at + width]) for at in range(0, len(part), width))
        sizes.update((digest, number) for digest, number in counts.items() if number > 1)
    return sizes


def _packed(records: Iterable[Record]) -> Iterator[tuple[object, ...]]:
    """Yield the shapes of a file, each as what differs from the one before: most functions begin
    as the one before does, and a few lines below.
    """
    name, line = "", 0
    for record in records:
        before, name = name, str(record["name"] or "")
        begins = len(commonprefix([before, name]))  # noqa: RUF071 - names are no paths
        rest = None if record["name"] is None else name[begins:]
        first, last = _number(record["line"]), _number(record["end_line"])
        yield begins, rest, first - line, last - first, bytes.fromhex(str(record["digest"]))
        line = first


def _unpacked(data: bytes) -> tuple[str, list[_Shape]]:
    path, entries = msgpack.unpackb(data)
    shapes, name, line = list[_Shape](), "", 0
    for begins, rest, below, more, digest in entries:
        name, line = name[:begins] + (rest or ""), line + below
        shapes.append(_Shape(None if rest is None else name, line, line + more, digest))
    return path.decode("utf-8", "surrogateescape"), shapes


def _number(value: object) -> int:
    return cast("int", value)
