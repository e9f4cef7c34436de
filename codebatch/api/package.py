"""What needs no store: the machine, trials with hostile input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from codebatch.api.given import PathLike, text_of
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    from codebatch.api.store import Store

with lazily():
    from codebatch.maintenance import diagnose as diagnoses
    from codebatch.maintenance import self_test


def diagnose(store: Store | None = None, scheduler: PathLike | None = None) -> diagnoses.Diagnosis:
    """Return what there is to work with, and what stands in the way: versions, the file system of a
    store and what is in it, and whether a Dask cluster can run its batches.
    """
    return diagnoses.diagnose(None if store is None else store.directory, text_of(scheduler))


def try_vectors() -> Iterator[self_test.Trial]:
    """Yield the trial on each hostile vector of `maintenance.self_test`."""
    return self_test.run_vectors()
