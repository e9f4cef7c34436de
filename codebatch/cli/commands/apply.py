"""``codebatch apply``."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebatch.cli.command import Call, command
from codebatch.cli.options import batch_option
from codebatch.cli.render.output import counted, printable

if TYPE_CHECKING:
    from codebatch.api import Batch
    from codebatch.model.records import Counts
    from codebatch.patches.apply import ApplyReport, PatchedFile

KIND = "patch"
_MOST_MARKS = 40


@command(
    click.argument("directory", metavar="DIR", type=click.Path()),
    batch_option,
    click.option("--task", metavar="TASK", help="Only the changes of this task."),
    click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing."),
)
def apply(call: Call, directory: str, task: str | None, dry_run: bool) -> None:
    """Make the changes that tasks of a batch propose in the files of a folder.

    All of them are made, or none: each file must have the very bytes that it has in the batch, or
    those that the change makes of it, which is then done already. No link is followed, and
    permissions are kept. Killed in the midst of it, it leaves each file old or new, and the same
    command again completes it.

    DIR is the folder whose files the batch is over. Where several tasks would change one file,
    --task chooses. As a patch: codebatch export --format patch.
    """
    batch = call.batch()
    report = batch.apply(directory, task=task, dry_run=dry_run)
    changed = report.changed
    document = {
        "batch_id": report.batch_id,
        "dry_run": report.dry_run,
        "changed": len(changed),
        "added": sum(file.added for file in changed),
        "removed": sum(file.removed for file in changed),
        "files": [file._asdict() for file in report.files],
    }
    call.write(document, _lines(report))


def commands_to_apply(batch: Batch, counts: Counts) -> Iterator[str]:
    """Yield the command that shows what the patches of a batch change, if it has any."""
    folder = batch.source_folder
    if KIND in counts.by_kind and folder is not None:
        with contextlib.suppress(OSError):  # the current folder is gone
            folder = Path(os.path.relpath(folder))
        yield f"codebatch apply {shlex.quote(str(folder))} --dry-run --batch {batch.id}"


def _lines(report: ApplyReport) -> Iterator[str]:
    changed = report.changed
    names = {file.path: printable(file.path) for file in changed}
    width = max(map(len, names.values()), default=0)
    most = max((file.added + file.removed for file in changed), default=0)
    for file in changed:
        number = file.added + file.removed
        yield f" {names[file.path]:<{width}} | {number:>{len(str(most))}} {_marks(file, most)}"
    words = [
        f"{counted(len(changed), 'file')} {'would change' if report.dry_run else 'changed'}",
        counted(sum(file.added for file in changed), "insertion") + "(+)",
        counted(sum(file.removed for file in changed), "deletion") + "(-)",
    ]
    yield " " + ", ".join(words if changed else words[:1])
    done = len(report.files) - len(changed)
    if done:
        yield f" {counted(done, 'file')} had the change already"


def _marks(file: PatchedFile, most: int) -> str:
    """Return a bar of ``+`` and ``-``, of one mark a line where there is room for the longest."""
    scale = min(1.0, _MOST_MARKS / most)
    return "".join(
        mark * max(1, round(number * scale)) if number else ""
        for mark, number in (("+", file.added), ("-", file.removed))
    )
