"""Compute the tree of a batch task again, apart from all that is kept, and compare its records."""

from __future__ import annotations

from collections.abc import Sequence

from codebatch.model.digest import digest_document
from codebatch.model.errors import BatchUnfinishedError
from codebatch.model.records import DONE, InputFile, PlannedTask, ShardState
from codebatch.shard.outputs import lines_by_file
from codebatch.store import StoreDirectory


def place_of_recheck(task: PlannedTask, attempt: str) -> str:
    """Return what names the place of the values of a recheck, as a fingerprint does of others."""
    return digest_document("reduction-recheck", [task.fingerprint, attempt])


def differing(
    store: StoreDirectory,
    place: tuple[str, str, str],
    inputs: Sequence[InputFile],
    again: tuple[bytes, ShardState],
) -> list[str]:
    """Return the files of a shard of a batch task whose records are not those committed, in order.

    ``place`` is the batch, the task and the shard.
    """
    state, outputs = store.shards.load_verified_outputs(*place)
    if state is None or state.status != DONE:
        raise BatchUnfinishedError(f"shard {place[2]} of {place[0]} is not done")
    data, new = again
    if new.digest == state.digest:
        return []
    there = {path: lines for path, lines, _ in lines_by_file(outputs, state, inputs)}
    here = lines_by_file(data, new, inputs)
    return [path for path, lines, _ in here if there[path] != lines]
