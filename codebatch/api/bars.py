"""Progress as bars of tqdm: in a notebook, and elsewhere where it is asked for.

In a notebook with ipywidgets each task has a bar. Without them there is text, of which a notebook
can only draw the last line anew: there is one bar for all of a run. tqdm is imported when there is
something to show.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.runtime.interrupts import deferred

if TYPE_CHECKING:
    from codebatch.snapshot.take import Progress as OnFiles
    from codebatch.status.progress import RunProgress, TaskProgress

    OnProgress = Callable[[RunProgress], None]
    RunShown = OnProgress | bool | None  # a function, bars or nothing, or what suits the place
    FilesShown = OnFiles | bool | None

_DRAW_SECONDS = 0.1
_FIRST_SECONDS = 0.5  # files that are read by then have no bar


class _Row(NamedTuple):
    """How much of something is done, of how much where that is known, and numbers beside that."""

    label: str
    done: int
    total: int | None
    numbers: Mapping[str, int]


class _Bars:
    """Bars of the rows that were shown last: none in the ``first`` seconds, and none in the end
    unless they shall be left. State: ``_bars`` once there are any, ``_rows`` what they stand for,
    ``_due`` when they are to be drawn again.
    """

    def __init__(self, *, first: float = 0, leave: bool = True) -> None:
        self._leave = leave
        self._bars: list[Any] = []
        self._rows: Sequence[_Row] = ()
        self._due = time.monotonic() + first

    def show(self, rows: Sequence[_Row]) -> None:
        """Show these rows, which are as many as ever, if it is time."""
        self._rows = rows
        if time.monotonic() >= self._due:
            self._draw()
            self._due = time.monotonic() + _DRAW_SECONDS

    def close(self) -> None:
        """Show how it has ended, and let go of the bars."""
        with deferred():
            if self._leave:
                self._draw()
            for bar in self._bars:
                bar.close()

    def _draw(self) -> None:
        with deferred():  # an interrupt within could leave a lock of tqdm held
            if not self._bars:
                self._bars = [_bar(row, leave=self._leave) for row in self._rows]
            for bar, row in zip(self._bars, self._rows, strict=True):
                bar.n = row.done
                bar.set_postfix(row.numbers, refresh=True)


def in_notebook() -> bool:
    """Return whether this is the kernel of a notebook. IPython is not imported for that."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return getattr(get_shell and get_shell(), "kernel", None) is not None


@contextlib.contextmanager
def run_shown(progress: RunShown) -> Iterator[OnProgress | None]:
    """Yield what shows the progress of a run for a block: the function that is given, or bars; None
    where nothing is shown. Bars are shown in a notebook unless ``progress`` is false.
    """
    if callable(progress):
        yield progress
    elif not _is_wanted(progress):
        yield None
    else:
        bars, rows = _Bars(), _task_rows if _can_draw_several() else _run_row
        with contextlib.closing(bars):
            yield lambda found: bars.show(rows(found))


@contextlib.contextmanager
def files_shown(progress: FilesShown) -> Iterator[OnFiles | None]:
    """Do the same for a function that is called with the files and bytes that a snapshot has read;
    how many there are is not known. The bar is gone when all are read.
    """
    if callable(progress):
        yield progress
    elif not _is_wanted(progress):
        yield None
    else:
        bars = _Bars(first=_FIRST_SECONDS, leave=False)
        with contextlib.closing(bars):
            yield lambda files, _: bars.show([_Row("snapshot", files, None, {})])


def load(progress: object) -> None:
    """Import what `run_shown` needs for this, where that is done in another thread."""
    if not callable(progress) and _is_wanted(progress):
        _tqdm()


def _is_wanted(progress: object) -> bool:
    return in_notebook() if progress is None else bool(progress)


def _tqdm() -> Any:
    """Return the bar of tqdm for where this runs: of widgets, or of text where there are none."""
    if "tqdm.auto" not in sys.modules:  # `load` was before the thread of a run
        with warnings.catch_warnings():  # for all threads: what others do to filters is lost
            warnings.simplefilter("ignore")  # that widgets are missing: text is as good here
            importlib.import_module("tqdm.auto")
    from tqdm.auto import tqdm  # noqa: PLC0415 - most runs have none

    return tqdm


def _can_draw_several() -> bool:
    """Return whether several bars can be drawn: by widgets, or on a terminal."""
    bar, notebook = _tqdm(), sys.modules.get("tqdm.notebook")
    has_widgets = notebook is not None and issubclass(bar, notebook.tqdm_notebook)
    return has_widgets or not in_notebook()


def _bar(row: _Row, *, leave: bool) -> Any:
    return _tqdm()(
        desc=row.label,
        leave=leave,
        initial=row.done,  # of which the speed says nothing
        total=row.total,
        unit=" files",
        dynamic_ncols=True,
        postfix=row.numbers or None,
    )


def _task_rows(progress: RunProgress) -> list[_Row]:
    return [
        _Row(task.task_id, task.files_done, task.files_total, _trouble(task.failed, [task]))
        for task in progress.tasks
    ]


def _run_row(progress: RunProgress) -> list[_Row]:
    failed = max((task.failed for task in progress.tasks), default=0)
    trouble = _trouble(failed, progress.tasks)
    return [_Row("run", progress.files_done, progress.files_total, trouble)]


def _trouble(failed: int, tasks: Sequence[TaskProgress]) -> dict[str, int]:
    numbers = {"failed": failed, "quarantined": sum(task.quarantined for task in tasks)}
    return {name: number for name, number in numbers.items() if number}
