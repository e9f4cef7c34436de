"""Try on this machine what a hostile tree or store can do to a command.

A *vector* plants something hostile in a *scene* (a tree, a store, and a folder outside of both,
all temporary) and names the commands that meet it. After them, no planted program may have run,
nothing outside may have been read, changed or removed, and every command must have ended with
one of its exit codes, in bounded time and memory. ``codebatch diagnose --self-test`` runs all
vectors; the tests run the same ones with every scheduler.
"""

from __future__ import annotations

from collections.abc import Iterator

from codebatch.maintenance.self_test.laboratory import Laboratory, Trial
from codebatch.maintenance.self_test.scene import Vector
from codebatch.maintenance.self_test.vectors import VECTORS

__all__ = ["VECTORS", "Laboratory", "Trial", "Vector", "run_vectors"]


def run_vectors() -> Iterator[Trial]:
    """Yield the trial on each vector, run in a temporary folder with worker processes."""
    with Laboratory("processes") as laboratory:
        for vector in VECTORS:
            yield laboratory.run(vector)
