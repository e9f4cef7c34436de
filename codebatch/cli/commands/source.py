"""``codebatch tree`` and ``codebatch cat``: one file of a batch, as a syntax tree and as it is."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import click

from codebatch.cli.command import Call, command
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.model.errors import FilterInvalidError, UsageError
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    from codebatch.tasks.languages.tree import SyntaxNode, SyntaxTree
    from codebatch.tasks.source import SourceFile

with lazily():
    from codebatch.query import inspect, syntax

_LINES = re.compile(r"(\d{1,9})?(:)?(\d{1,9})?")
_TAB = 4
_PORTION = 500  # of items that are written at once
_WITHOUT_BYTE_LINES = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


@command(
    click.argument("file", metavar="FILE"),
    batch_option,
    click.option(
        "--depth", type=click.IntRange(min=0), metavar="N", help="Only so many levels deep."
    ),
    click.option(
        "--line",
        type=click.IntRange(min=1),
        metavar="N",
        help="Only what begins at this line; where nothing does, what reaches over it.",
    ),
)
def tree(call: Call, file: str, depth: int | None, line: int | None) -> None:
    """Show the syntax tree of a file, a node on each line.

    Each has its line and column, the field it fills in the node above, its type, and what it
    holds: names, numbers, strings. FILE is as for inspect.
    """
    batch = call.batch()
    found = batch.tree(file)
    tops = [found.root] if line is None else _at_line(found, line)
    if call.as_json:
        nodes = (one for top in tops for one in top if _is_shown(one, top, depth))
        head = {
            "batch_id": batch.id,
            "path": found.path,
            "language": found.language,
            "format": found.format,
            "nodes": len(found),
        }
        _stream_document(head, "tree", (node.as_document() for node in nodes))
    else:
        output.write_many_lines(chain.from_iterable(top.lines(depth) for top in tops))


def _is_shown(node: SyntaxNode, top: SyntaxNode, depth: int | None) -> bool:
    return depth is None or node.depth - top.depth <= depth


def _at_line(found: SyntaxTree, line: int) -> Sequence[SyntaxNode]:
    last = max(found.columns.places[2])
    if line > last:
        raise FilterInvalidError(f"nothing is at line {line} of {found.path}: it ends at {last}")
    return found.at_line(line)


@command(
    click.argument("file", metavar="FILE"),
    batch_option,
    click.option("--lines", "span", metavar="A:B", help="Only these lines: 10:20, 10:, :20 or 10."),
    click.option("-n", "--number", is_flag=True, help="Number the lines."),
)
def cat(call: Call, file: str, span: str | None, number: bool) -> None:
    """Print a file as the batch has it, whatever has become of it since.

    Its very bytes, unless they go to a terminal, lines are numbered, or --json is given: then
    the text as the language decodes it, without what could steer a terminal. FILE is as for
    inspect; the batch need not be run.
    """
    batch = call.batch()
    found, source = syntax.load_source(batch.directory, batch.id, file)
    as_text = call.as_json or number or output.is_terminal()
    if as_text and found.language == inspect.BINARY:
        raise UsageError(
            f"{found.path} is binary: it has no text to show",
            hints=["copy it: codebatch cat FILE > COPY"],
        )
    first, last = _span(span, len(source.lines), found.path) if span or as_text else (1, None)
    if call.as_json:
        head = {
            "batch_id": batch.id,
            "path": found.path,
            "object": found.object,
            "language": found.language,
            "size": found.size,
            "line": first,
        }
        _stream_document(head, "lines", source.lines[first - 1 : last])
    elif as_text:
        output.write_many_lines(_shown(source.lines, first, last, number=number))
    else:
        output.write_bytes(_bytes(source, first, last) if span else source.content)


def _span(text: str | None, count: int, path: str) -> tuple[int, int]:
    """Return the first and the last line that are asked for, of so many."""
    match = _LINES.fullmatch(text or ":")
    if match is None or not any(match.groups()):
        raise UsageError(f"no lines are called {text!r}", hints=["give 10:20, 10:, :20 or 10"])
    first = int(match[1] or 1)
    last = int(match[3] or count) if match[2] else first
    if not 1 <= first <= max(count, 1) or last < first > 1:
        raise FilterInvalidError(f"there are no lines {text} in {path}: it has {count:,} lines")
    return first, min(last, count)


def _shown(lines: Sequence[str], first: int, last: int | None, *, number: bool) -> Iterator[str]:
    digits = len(str(last))
    for at, line in enumerate(lines[first - 1 : last], first):
        text = line.expandtabs(_TAB)
        yield f"{at:>{digits}}  {text}".rstrip() if number else text


def _bytes(source: SourceFile, first: int, last: int | None) -> bytes:
    """Return the bytes of some lines; as UTF-8 where a line end is not a byte."""
    content = source.content
    if content.startswith(_WITHOUT_BYTE_LINES):
        return "".join(f"{line}\n" for line in source.lines[first - 1 : last]).encode()
    return b"".join(content.splitlines(keepends=True)[first - 1 : last])


def _stream_document(head: Mapping[str, object], name: str, items: Iterable[object]) -> None:
    """One JSON object on stdout: ``head``, and under ``name`` an array that is written as it comes,
    an item a line.
    """
    opening = output.document_bytes(head)[:-2] + f', "{name}": ['.encode()
    click.echo(opening, nl=False)
    lines = (output.document_bytes(item)[:-1] for item in items)
    separator = b"\n"
    while portion := b",\n".join(islice(lines, _PORTION)):
        click.echo(separator + portion, nl=False)
        separator = b",\n"
    click.echo(b"]}")
