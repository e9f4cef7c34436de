"""Progress on stderr: lines that are drawn again in place on a terminal, and elsewhere a new one
now and then.

Nothing of it stays: what a command came to is said when it has ended, on stdout. A terminal is one
that a person looks at: with ``CI`` set, or where it can do nothing (``TERM=dumb``), there is none.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from codebatch.cli.render.output import counted, is_terminal, printable, size
from codebatch.runtime.interrupts import deferred

if TYPE_CHECKING:
    from codebatch.status.progress import RunProgress, TaskProgress

_PLAIN_SECONDS = 5.0
_LONGEST_PAUSE = 60.0
_TERMINAL_SECONDS = 0.1
_DEFAULT_SIZE = os.terminal_size((80, 24))
_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_GAP = "  "
# The columns of the lines are the task, shards, files, rate, time left and trouble.
_RANKS = (0, 1, 5, 4, 3, 2)
_LEFT = (0, 5)


class Region:
    """Lines at the end of what a terminal shows, drawn again in place; the cursor is below them.

    State: ``lines`` are those that are there. No line is as wide as the terminal, and there are
    fewer than it has rows, so that the way back up is known.
    """

    def __init__(self) -> None:
        self.is_live = (
            is_terminal(sys.stderr)
            and "CI" not in os.environ
            and os.environ.get("TERM", "") != "dumb"
        )
        self.lines: list[str] = []

    def draw(self, lines: Iterable[str]) -> None:
        """Have these lines there, and nothing else."""
        drawn = list(lines)
        text = "".join(f"{line}\x1b[K\n" for line in drawn)
        with deferred():  # an interrupt within would leave the number of lines unknown
            top = f"\r\x1b[{len(self.lines)}A" if self.lines else ""
            click.echo(f"{top}{text}\x1b[J", err=True, nl=False, color=True)
            self.lines = drawn

    def erase(self) -> None:
        """Have nothing there."""
        if self.lines:
            self.draw([])

    def above(self, message: str) -> None:
        """Write a line that stays, above those that are drawn."""
        drawn = self.lines
        self.erase()
        click.echo(printable(message), err=True)
        if drawn:
            self.draw(drawn)


class _Throttled:
    """A region that is drawn now and then. State: ``_last`` is when it was, ``_pause`` how long to
    wait until the next time.
    """

    def __init__(self) -> None:
        self._region = Region()
        is_live = self._region.is_live
        self._pause = _TERMINAL_SECONDS if is_live else _PLAIN_SECONDS
        self._last = 0.0 if is_live else time.monotonic()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._region.erase()

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._pause:
            return False
        self._last = now
        return True


class Progress(_Throttled):
    """One line with what was counted so far, of an unknown total."""

    def __init__(self, label: str, unit: str) -> None:
        super().__init__()
        self._label = label
        self._unit = unit

    def count(self, files: int, total_bytes: int) -> None:
        """So many files, of so many bytes."""
        if not self._is_due():
            return
        text = f"{self._label}: {files} {self._unit}, {size(total_bytes)}"
        if self._region.is_live:
            self._region.draw([text[: screen_size().columns - 1]])
        else:
            click.echo(text, err=True)


class TaskLines(_Throttled):
    """A line for each task of a run.

    Elsewhere than on a terminal, the lines of tasks that got on come after five seconds, and then
    after ever longer pauses, up to a minute. State: ``_told`` is what was said of each task last.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, str] = {}

    def __call__(self, progress: RunProgress) -> None:
        """Show how far the run is."""
        if not self._is_due():
            return
        if self._region.is_live:
            self._region.draw(task_lines(progress, screen_size()))
            return
        self._pause = min(1.5 * self._pause, _LONGEST_PAUSE)
        for task in progress.tasks:
            text = plain_line(task)
            if self._told.get(task.task_id) != text:
                click.echo(text, err=True)
            self._told[task.task_id] = text

    def note(self, message: str) -> None:
        """Say something that stays."""
        self._region.above(message)


def task_lines(progress: RunProgress, screen: os.terminal_size) -> list[str]:
    """One line for each task, all as wide as the screen allows; where it has too few rows, those
    of the first tasks that are not done.
    """
    room = max(screen.lines - 2, 1)
    tasks: Sequence[TaskProgress] = progress.tasks
    if len(tasks) > room:
        tasks = sorted(tasks, key=lambda task: task.shards_done == task.shards_total)
    rows = [(printable(task.task_id), *_cells(task)) for task in tasks[:room]]
    lines = list(_aligned(rows, screen.columns - 1))
    left_out = len(tasks) - room
    if left_out > 0:
        lines.append(f"and {counted(left_out, 'task')} more"[: screen.columns - 1])
    return lines


def plain_line(task: TaskProgress) -> str:
    """Return all that there is to say of a task, in one line."""
    return f"{printable(task.task_id)}: {', '.join(filter(None, _cells(task)))}"


def duration(seconds: float) -> str:
    """A length of time for people: ``8 s``, ``2 min 5 s``, ``3 h 20 min``."""
    rounded = max(1, round(seconds))
    for length, unit, smaller, rest in _UNITS:
        if rounded >= length:
            more = rounded % length // smaller
            return f"{rounded // length:,} {unit}" + (f" {more} {rest}" if more else "")
    return f"{rounded} s"


def screen_size() -> os.terminal_size:
    """The size of the terminal that stderr is; where it has none, of an ordinary one."""
    try:
        found = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return _DEFAULT_SIZE
    return found if found.columns > 0 and found.lines > 0 else _DEFAULT_SIZE


def _cells(task: TaskProgress) -> tuple[str, str, str, str, str]:
    """Shards, files, rate, time left, and what went wrong."""
    is_done = task.shards_done == task.shards_total
    rate = "" if task.rate is None or is_done else f"{speed(task.rate)} files/s"
    left = "" if task.seconds_left is None else f"{duration(task.seconds_left)} left"
    failed = f"{task.failed:,} failed" if task.failed else ""
    given_up = f"{task.quarantined:,} quarantined" if task.quarantined else ""
    return (
        f"{task.shards_done:,}/{task.shards_total:,} shards",
        f"{task.files_done:,}/{task.files_total:,} files",
        rate,
        "done" if is_done else left,
        ", ".join(part for part in (failed, given_up) if part),
    )


def _aligned(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lines of the columns for which there is room; where there is none, the one of the highest
    rank goes first.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = [index for index, wide in enumerate(widths) if wide]
    while sum(widths[i] + len(_GAP) for i in shown) - len(_GAP) > width and len(shown) > 1:
        shown.remove(max(shown, key=_RANKS.__getitem__))
    for row in rows:
        cells = (row[i].ljust(widths[i]) if i in _LEFT else row[i].rjust(widths[i]) for i in shown)
        yield _GAP.join(cells).rstrip()[: max(width, 0)]


def speed(number: float) -> str:
    """Return a number per second for people."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"
