"""``codebatch skipped``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from codebatch.cli.command import ROWS, Call, command
from codebatch.cli.options import batch_option
from codebatch.cli.render import output
from codebatch.cli.render.formats import Row
from codebatch.query.skipped import FIELDS, reason_counts

_SHOWN = ("reason", "where", "tasks", "path")


@command(
    batch_option,
    click.option(
        "--reason", metavar="GLOB", help="Only what was left out for this reason, as 'ignored'."
    ),
    select=("limit",),
    form=ROWS,
)
def skipped(call: Call, reason: str | None) -> None:
    """List what a batch says nothing of, and why: how much for each reason, then the paths.

    A snapshot leaves out what is ignored, excluded or cannot be read; a directory is listed once.
    Tasks skip files that they have no use for.
    """
    batch, _ = call.batch_to_read()
    rows = batch.skipped(reason)

    def lines(shown: Sequence[Row]) -> Iterator[str]:
        if not rows:
            yield "nothing was left out"
            return
        yield from output.terminal_table(("count", "reason", "where"), reason_counts(rows))
        if shown:
            yield ""
            yield from output.terminal_table(_SHOWN, shown)
        if len(shown) < len(rows):
            output.write_note(f"{len(shown):,} of {len(rows):,} shown (more: --limit N)")

    call.write_rows(rows[: call.limit], _SHOWN, FIELDS, lines)
