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
from typing import Any, NamedTuple

import msgpack

from codebatch.model.records import Record, path_key


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
    """A file or a function as it is packed."""

    name: str | None
    line: int
    end_line: int
    digest: bytes


class Duplicates:
    """files and functions with equal normalised text, as classes"""

    def map(self, records: Iterable[Record], config: Mapping[str, Any]) -> list[bytes]:
        """Return the shapes of each file, packed."""
        shapes = (record for record in records if record["kind"] == "shape")
        return [
            msgpack.packb([path_key(str(path)), [_packed(shape) for shape in of_file]])
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


def _packed(record: Record) -> _Shape:
    digest = bytes.fromhex(str(record["digest"]))
    return _Shape(record["name"], record["line"], record["end_line"], digest)  # type: ignore[arg-type]


def _unpacked(data: bytes) -> tuple[str, list[_Shape]]:
    path, shapes = msgpack.unpackb(data)
    return path.decode("utf-8", "surrogateescape"), [*map(_Shape._make, shapes)]
