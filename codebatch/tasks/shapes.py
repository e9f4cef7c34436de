"""Task ``shapes``: a digest of the normalised text of each file, and of each of its functions.

What a parser reads is compared by its tree without positions, as the front ends say. All other
text, and code that does not parse, is compared by its lines: blank ones left out, each run of
white space a single space and none at either end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from codebatch.tasks.base import Config, reason_to_skip
from codebatch.tasks.decorator import task
from codebatch.tasks.file import File
from codebatch.tasks.languages.base import Shape as Found
from codebatch.tasks.records import Skip
from codebatch.tasks.source import SourceFile

_DIGITS = 24


@dataclass(frozen=True)
class Shape:
    """A file (``name`` is None), or a function of it by its qualified name, with the digest that
    equal ones share.
    """

    name: str | None
    line: int
    end_line: int
    digest: str


@task(
    version=1,
    summary="digests of files and functions, for texts that are equal but for their layout",
    records=[Shape, Skip],
    schema="config.shapes",
)
def shapes(file: File, config: Config) -> Iterator[Shape | Skip]:
    """Yield the shapes of a file and its functions, in source order."""
    source = file.source
    reason = reason_to_skip(source, config)
    if reason is not None:
        yield Skip(reason)
        return
    parsed = source.parsed
    found = parsed.shapes() if parsed is not None else []
    for name, line, end_line, digest in found or [_of_lines(source)]:
        if end_line - line + 1 >= config["min_lines"]:
            yield Shape(name, line, end_line, digest[:_DIGITS])


def _of_lines(source: SourceFile) -> Found:
    lines = [" ".join(line.split()) for line in source.lines]
    text = "\n".join(filter(None, lines)).encode("utf-8", "surrogatepass")
    return Found(None, 1, len(lines), sha256(text).hexdigest())
