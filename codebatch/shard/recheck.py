"""Computing committed results again, to prove that they are what the inputs give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import BatchUnfinishedError, StoreDamagedError
from codebatch.model.record_lines import FileLines, fill_path
from codebatch.model.records import DONE, InputFile, Plan, ShardState, path_key
from codebatch.shard.compute import Computation, Surroundings, compute_files
from codebatch.shard.quarantine import quarantined_lines
from codebatch.store import StoreDirectory
from codebatch.tasks.rules import QUARANTINED

WHOLE = 1_000_000
_SAMPLE_DIGITS = 8

Place = tuple[str, str]


def in_sample(digest: str, part: int) -> bool:
    """Whether an object is in a sample of ``part`` in a million: the same ones every time."""
    number = int(digest[len(DIGEST_PREFIX) :][-_SAMPLE_DIGITS:], 16)
    return number * WHOLE < part << 4 * _SAMPLE_DIGITS


def computed_again(
    store: StoreDirectory,
    plan: Plan,
    inputs: Sequence[InputFile],
    change: Callable[[Surroundings], Surroundings],
) -> dict[Place, str]:
    """The digest of the lines that each task now gives for each file, by (task id, path)."""
    around = change(Surroundings(store.objects.read, digest_bytes, _given_up))
    return {
        (outcome.task_id, file.path): digest_bytes(fill_path(outcome.found.lines, file.path))
        for outcome in compute_files(plan.tasks, inputs, around, {})
        for file in outcome.files
    }


def _given_up(_: Computation, code: str) -> FileLines:
    return quarantined_lines(code)


def committed(
    store: StoreDirectory, plan: Plan, batch_id: str, shard_id: str, inputs: Sequence[InputFile]
) -> dict[Place, str]:
    """The digest of the committed lines of each task for each file of a shard."""
    found: dict[Place, str] = {}
    for task in plan.tasks:
        state = store.load_state(batch_id, task.id, shard_id)
        if state is None or state.status != DONE:
            raise BatchUnfinishedError(f"shard {shard_id} of {batch_id} is not done")
        outputs = store.read_outputs(batch_id, task.id, shard_id, state)
        for path, lines in lines_by_path(outputs, state, inputs).items():
            found[task.id, path] = digest_bytes(lines)
    return found


def quarantined_objects(there: Mapping[Place, str], inputs: Sequence[InputFile]) -> frozenset[str]:
    """The objects of files of which a task's committed lines say that they are quarantined."""
    objects = {file.path: file.object for file in inputs}
    given_up = [quarantined_lines(code).lines for code in sorted(QUARANTINED)]
    return frozenset(
        objects[path]
        for (_, path), digest in there.items()
        if digest in {digest_bytes(fill_path(lines, path)) for lines in given_up}
    )


def lines_by_path(
    outputs: bytes, state: ShardState, inputs: Sequence[InputFile]
) -> dict[str, bytes]:
    """The lines of each file in the outputs of a shard."""
    paths = sorted((file.path for file in inputs), key=path_key)
    if len(paths) != len(state.per_file):
        raise StoreDamagedError("a state has other files than its shard")
    lines = iter(outputs.splitlines(keepends=True))
    return {
        path: b"".join(islice(lines, records))
        for path, (records, _) in zip(paths, state.per_file, strict=True)
    }
