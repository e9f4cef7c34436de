"""``codebatch report``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from codebatch.cli.command import Call, command
from codebatch.cli.commands.export import STDOUT, writing_to
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.cli.render.output import counted, printable

if TYPE_CHECKING:
    from codebatch.report import WrittenReport


def _names(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


@command(
    batch_option,
    click.option(
        "-o",
        "--output",
        "target",
        required=True,
        metavar="FILE",
        help="The page, as report.html: all or nothing; '-' is standard output.",
    ),
    click.option(
        "--base", metavar="ID", help="Compare with this batch: show what is new and what is fixed."
    ),
    click.option(
        "--history",
        multiple=True,
        metavar="NAMES",
        callback=_names,
        help="Show how the numbers went since these batches, the oldest first. Several with "
        "commas; may be given again.",
    ),
    click.option("--title", metavar="TEXT", help="What is at the top. Default: CodeBatch report."),
)
def report(
    call: Call, target: str, base: str | None, history: list[str], title: str | None
) -> None:
    """Write a page of HTML about a batch: one file, to be looked at offline.

    It has totals and languages, a map of the tree, the findings with their lines of source, the
    most complex functions, what was skipped, records of your own tasks, and where all of it comes
    from. It is below 5 MB: what there is no room for is counted in it, the least severe findings
    first. The same batch gives the same bytes.
    """
    if call.as_json and target == STDOUT:
        raise click.UsageError("--json describes a page that --output FILE writes")
    if target == STDOUT and output.is_terminal():
        raise click.UsageError("a page is not for a terminal: name a file by --output")
    opened = call.open()
    batch = opened.find_batch(call.batch_id)
    if target != STDOUT:
        call.name_trees(batch)
    batch.on_unfinished = lambda _: None  # which the page has among its notes
    with writing_to(target) as stream:
        written = batch.report(stream, base=base, history=history, title=title)
    for note in written.notes:
        output.write_note(f"note: {note}")
    document = {"output": target, **written.as_document()}
    call.write(document, () if target == STDOUT else _lines(target, written))


def _lines(target: str, written: WrittenReport) -> Iterator[str]:
    numbers = (counted(written.written[name], name[:-1]) for name in ("files", "findings"))
    yield f"{printable(target)}  {', '.join(numbers)}"
    yield "  open it in a browser"
