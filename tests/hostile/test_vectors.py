"""The vectors of `codebatch.self_test`, with every scheduler.

Each module beside this one is about one kind, and tests what a vector cannot say.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clusters import Cluster

from codebatch.self_test import VECTORS, Laboratory, Vector

_RUNNING = ("scan", "run", "resume")


def runs(vector: Vector) -> bool:
    """True if a command of the vector runs a batch, so that the scheduler matters."""
    return any(command.words.startswith(_RUNNING) for command in vector.commands)


def test_there_are_vectors_of_every_kind() -> None:
    names = [str(vector) for vector in VECTORS]
    assert len(set(names)) == len(names)
    kinds = {vector.kind for vector in VECTORS}
    assert kinds == {"programs", "git", "links", "blocking", "sizes", "swaps"}


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_vector_is_held_off(vector: Vector, laboratory: Laboratory) -> None:
    assert laboratory.run(vector).problems == ()


@pytest.fixture(scope="module", params=["threads", "processes", "cluster"])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    """A laboratory whose batches run with another scheduler."""
    folder = str(tmp_path_factory.mktemp("laboratory"))
    if request.param != "cluster":
        with Laboratory(request.param, folder=folder) as opened:
            yield opened
        return
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_workers(2)
        with Laboratory(cluster.address, folder=folder) as opened:
            yield opened


@pytest.mark.slow
@pytest.mark.parametrize("vector", [v for v in VECTORS if runs(v)], ids=str)
def test_vector_is_held_off_elsewhere(vector: Vector, elsewhere: Laboratory) -> None:
    assert elsewhere.run(vector).problems == ()
