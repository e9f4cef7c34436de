"""``codebatch export``."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import click

from codebatch.cli.command import Call, command
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.export import BINARY_FORMATS, FORMATS
from codebatch.export.links import checked_base
from codebatch.export.text import log_text
from codebatch.store.destination import writing_file

STDOUT = "-"
_LONE_RETURN = re.compile(r"\r(?!\n)")


link_base_option = click.option(
    "--link-base",
    metavar="URL",
    callback=lambda _, __, url: url and _link_base(url),
    help="md: link places below this URL, as https://host/repository/blob/COMMIT. Default: what "
    "the build says.",
)


def _link_base(url: str) -> str:
    found = checked_base(url)
    if found is None:
        raise click.BadParameter(f"{url!r} is no http: or https: URL")
    return found


@command(
    batch_option,
    click.option(
        "--format", "name", required=True, type=click.Choice(FORMATS), help="What to write."
    ),
    click.option(
        "--output",
        "target",
        default=STDOUT,
        metavar="FILE",
        help="Where to write it, all or nothing. Default: '-', standard output.",
    ),
    click.option(
        "--base",
        metavar="ID",
        help="Of findings: compare with this batch. sarif states what is new, unchanged, updated "
        "or absent; the other formats list what is new or more severe.",
    ),
    click.option(
        "--no-limit", is_flag=True, help="sarif, github, md: write more than GitHub takes."
    ),
    link_base_option,
    select=("task", "kind", "severity", "code", "path", "language"),
)
def export(
    call: Call,
    name: str,
    target: str,
    base: str | None,
    no_limit: bool,
    link_base: str | None,
) -> None:
    """Write records or findings of a batch in a format for other programs.

    \b
    jsonl    one record a line, of all kinds
    csv      a table of one kind of records
    parquet  the same, typed; needs pip install 'codebatch[parquet]'
    sarif    findings as SARIF 2.1.0, for code scanning and editors
    github   findings as annotations of a GitHub Actions step
    gitlab   findings for GitLab's Code Quality
    junit    findings as failed test cases, in JUnit's XML
    md       findings as Markdown, for a comment or a summary
    patch    changes that tasks propose, as one diff for git apply and patch -p1

    GitHub takes 25,000 results and 10 MB (gzip) of a SARIF run and shows 5,000 of them; of a step
    it shows 10 annotations of each severity; a comment holds 65,536 characters. What goes beyond
    is left out, the least severe first, and a note on stderr says how much; --no-limit writes all.

    With --json, a document about the export is printed; the export itself then needs --output.
    """  # noqa: D301 - click's mark for a paragraph that it leaves as it is
    if call.as_json and target == STDOUT:
        raise click.UsageError("--json describes an export that --output FILE writes")
    if name in BINARY_FORMATS and target == STDOUT and output.is_terminal():
        raise click.UsageError(f"{name} is binary and not for a terminal: name a file by --output")
    opened = call.open()
    batch = opened.find_batch(call.batch_id)
    if target != STDOUT:
        call.name_trees(batch)
    batch.on_unfinished = lambda _: None  # which the report has among its notes
    against = None if base is None else opened.find_batch(base)
    options: dict[str, Any] = {"base": against, "limited": not no_limit, "link_base": link_base}
    with writing_to(target) as stream:
        report = batch.export(name, stream, **options, **call.filters)
    for note in report.notes:
        output.write_note(f"note: {note}")
    left_out = {"total": sum(report.left_out.values()), "by_severity": {**report.left_out}}
    document = {
        "batch_id": batch.id,
        "base": None if against is None else against.id,
        "format": name,
        "output": target,
        "written": report.written,
        "left_out": left_out,
        "notes": list(report.notes),
    }
    call.write(document, ())


class _Terminal(io.RawIOBase):
    """Standard output where it is a terminal, which nothing that is written may steer."""

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, data: Any) -> int:
        """Write whole characters, control characters escaped."""
        text = log_text(bytes(data).decode("utf-8", "surrogateescape"))
        click.echo(_LONE_RETURN.sub(r"\\r", text), nl=False)
        return len(data)


@contextlib.contextmanager
def writing_to(name: str | None) -> Iterator[BinaryIO]:
    """Standard output, a device as it is, or a file that appears when all of it is written."""
    if name in (None, STDOUT):
        sys.stdout.flush()
        yield cast("BinaryIO", _Terminal()) if output.is_terminal() else sys.stdout.buffer
        return
    with writing_file(name) as stream:
        yield stream
