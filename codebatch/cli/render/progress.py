"""Progress on stderr: rows that rich draws at the end of a terminal, and elsewhere a line now and
then.

Nothing of it stays on a terminal: what a command came to is said when it has ended, on stdout. A
terminal is one that a person looks at: with ``CI`` set, or where it can do nothing (``TERM=dumb``),
there are lines as on a pipe. rich is imported when something takes so long that it is drawn.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from codebatch.cli.render.output import counted, is_terminal, printable, size
from codebatch.runtime.interrupts import deferred
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    from types import TracebackType

    from codebatch.status.progress import RunProgress, TaskProgress

with lazily():
    from rich import cells, console, live, progress_bar, table, text

FIRST_SECONDS = 0.3  # what is done by then is not drawn
_TERMINAL_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_LEAST_BAR, _WIDEST_BAR = 8, 40
_GAP = 2
KEPT_FREE = 3  # at the end of a line, where a terminal shows ^C
_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


class Word(NamedTuple):
    """Something to say of a row, in a style of rich."""

    text: str
    style: str = ""


class Row(NamedTuple):
    """One thing that goes on: how much of it is ``done``, of how much where that is known, and
    words, of which the last are left out first where there is no room.
    """

    label: str
    done: int = 0
    total: int | None = None
    words: tuple[Word, ...] = ()


class Display:
    """Rows that show how far a command is, while the block lasts. With ``quiet``, there are none.

    What is written to the standard streams meanwhile comes above them. State: ``_live`` is what
    rich draws, once it does; ``_due`` is when to show something next; ``_label`` is of the row
    that was shown, ``_latest`` what is to be said, ``_told`` what was said last.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._is_quiet = quiet
        self._is_drawn = is_watched()
        self._live: live.Live | None = None
        self._due = time.monotonic() + (FIRST_SECONDS if self._is_drawn else _PLAIN_SECONDS)
        self._label = self._latest = self._told = ""

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._live is not None:
            with deferred():
                self._live.stop()
        elif kind is None and self._told and self._told != self._latest:
            self._tell()

    def __call__(self, progress: RunProgress) -> None:
        """Show how far a run is."""
        self.show(*run_rows(progress))

    def is_due(self, label: str) -> bool:
        """Return whether `show` of a row with that label would be seen."""
        is_new = self._live is not None and label != self._label
        return not self._is_quiet and (is_new or time.monotonic() >= self._due)

    def show(self, *rows: Row) -> None:
        """Show these rows and no others, if it is time."""
        is_due = self.is_due(rows[0].label)
        self._latest = "; ".join(map(plain_line, rows))
        if not is_due:
            return
        self._label = rows[0].label
        if self._is_drawn:
            self._due = time.monotonic() + _TERMINAL_SECONDS
            with deferred():  # an interrupt within would leave half of a row
                self._draw(rows)
        else:
            self._due = time.monotonic() + _PLAIN_SECONDS
            self._tell()

    def _tell(self) -> None:
        self._told = self._latest
        click.echo(self._told, err=True)

    def _draw(self, rows: Sequence[Row]) -> None:
        if self._live is None:
            self._live = live.Live(
                console=_console(), auto_refresh=False, transient=True, vertical_overflow="crop"
            )
            self._live.start()
            self._live.console.show_cursor()  # it would stay hidden where a signal ends us
        self._live.update(drawn(rows, self._live.console.width - KEPT_FREE), refresh=True)


def is_watched() -> bool:
    """Return whether stderr is a terminal that a person looks at."""
    is_dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
    return is_terminal(sys.stderr) and "CI" not in os.environ and not is_dumb


def count_row(
    label: str, unit: str, done: int, total_bytes: int, before: tuple[int, int] | None = None
) -> Row:
    """Return the row of what was counted so far; ``before`` are number and bytes of an earlier
    time, which are shown as the total until they are exceeded.
    """
    if before is None or done > before[0] or total_bytes > before[1]:
        return Row(label, words=(Word(counted(done, unit)), Word(size(total_bytes), "dim")))
    number, all_bytes = before
    words = (
        Word(f"{done:,}/{counted(number, unit)}"),
        Word(f"{size(total_bytes)}/{size(all_bytes)}", "dim"),
    )
    return Row(label, done, number, words)


def run_rows(progress: RunProgress) -> Iterator[Row]:
    """Yield the row of a run, and one for each task that is not done where another is."""
    done, total = progress.files_done, progress.files_total
    trouble = (
        (max((task.failed for task in progress.tasks), default=0), "shard", "failed", "red"),
        (sum(task.quarantined for task in progress.tasks), "result", "quarantined", "yellow"),
    )
    is_over = progress.done == progress.total
    words = [Word(f"{done:,}/{counted(total, 'file')}")]
    words += [
        Word(f"{counted(number, unit)} {what}", style)
        for number, unit, what, style in trouble
        if number
    ]
    if progress.seconds_left and not is_over:
        words.append(Word(f"{duration(progress.seconds_left)} left", "cyan"))
    if progress.rate is not None and done < total:
        words.append(Word(f"{speed(progress.rate)} files/s", "dim"))
    yield Row("run", done, total, tuple(words))
    if any(map(_is_done, progress.tasks)):
        yield from map(_task_row, (task for task in progress.tasks if not _is_done(task)))


def _is_done(task: TaskProgress) -> bool:
    return task.shards_done == task.shards_total


def _task_row(task: TaskProgress) -> Row:
    done, total = task.shards_done, task.shards_total
    words = (Word(f"{done:,}/{counted(total, 'shard')}"),)
    return Row(f"  {printable(task.task_id)}", done, total, words)


def plain_line(row: Row) -> str:
    """Return all that there is to say of a row."""
    return ": ".join(filter(None, (row.label.strip(), ", ".join(word.text for word in row.words))))


def duration(seconds: float) -> str:
    """A length of time for people: ``8 s``, ``2 min 5 s``, ``3 h 20 min``."""
    rounded = max(1, round(seconds))
    for length, unit, smaller, rest in _UNITS:
        if rounded >= length:
            more = rounded % length // smaller
            return f"{rounded // length:,} {unit}" + (f" {more} {rest}" if more else "")
    return f"{rounded} s"


def speed(number: float) -> str:
    """Return a number per second for people."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _console() -> console.Console:
    context = click.get_current_context(silent=True)
    is_plain = context is not None and context.color is False
    return console.Console(
        stderr=True,
        force_terminal=True,
        color_system=None if is_plain else "auto",
        highlight=False,
        emoji=False,
    )


def drawn(rows: Sequence[Row], width: int) -> table.Table:
    """Return the rows as rich draws them: labels, bars, words, of which as many as there is room
    for in ``width`` columns.
    """
    labels = max(cells.cell_len(row.label) for row in rows)
    room = width - labels - _LEAST_BAR - 2 * _GAP
    words = [_fitting(row.words, room) for row in rows]
    widest = max(line.cell_len for line in words)
    bar = max(0, min(width - labels - widest - 2 * _GAP, _WIDEST_BAR))
    grid = table.Table.grid(padding=(0, _GAP, 0, 0))
    for row, line in zip(rows, words, strict=True):
        label = text.Text(row.label, "bold", no_wrap=True)
        grid.add_row(label, *([_bar(row, bar)] if bar else []), line)
    return grid


def _fitting(words: Sequence[Word], room: int) -> text.Text:
    """Return the first of the words, and those after it for which there is room."""
    line = text.Text(no_wrap=True)
    for word in words:
        gap = " " * _GAP if line else ""
        if line and line.cell_len + len(gap) + cells.cell_len(word.text) > room:
            break
        line.append(gap).append(*word)
    return line


def _bar(row: Row, width: int) -> progress_bar.ProgressBar:
    is_known = bool(row.total)
    return progress_bar.ProgressBar(
        total=row.total if is_known else None,
        completed=row.done,
        width=width,
        pulse=not is_known,
        complete_style="green",
        finished_style="green",
        pulse_style="cyan",
    )
