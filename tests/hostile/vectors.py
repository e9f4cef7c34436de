"""Tests of the vectors of `maintenance.self_test`; each module beside this one is about one kind.

By default every fifth vector is tried, in the process of each command, and the slow tests try
the others, and a sample of all with worker threads, worker processes and a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from codebatch.maintenance.self_test import Laboratory, Vector

_OFTEN = 5
_RUNNING = ("scan", "run", "resume")


def trials_of(vectors: Sequence[Vector]) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return the test of vectors in the process of each command, and the one elsewhere."""
    assert len({str(vector) for vector in vectors}) == len(vectors)

    @pytest.mark.parametrize("vector", _with_slow_ones(vectors))
    def test_is_held_off(vector: Vector, laboratory: Laboratory) -> None:
        assert laboratory.run(vector).problems == ()

    running = [vector for vector in vectors if _runs(vector)]

    @pytest.mark.slow
    @pytest.mark.sample(9)
    @pytest.mark.parametrize("vector", running, ids=str)
    def test_is_held_off_elsewhere(vector: Vector, laboratory_elsewhere: Laboratory) -> None:
        assert laboratory_elsewhere.run(vector).problems == ()

    return test_is_held_off, test_is_held_off_elsewhere


def _with_slow_ones(vectors: Sequence[Vector]) -> list[Any]:
    slow = [[], [pytest.mark.slow]]
    return [
        pytest.param(vector, id=str(vector), marks=slow[number % _OFTEN > 0])
        for number, vector in enumerate(vectors)
    ]


def _runs(vector: Vector) -> bool:
    """True if a command of the vector runs a batch, so that the scheduler matters."""
    return any(command.words.startswith(_RUNNING) for command in vector.commands)
