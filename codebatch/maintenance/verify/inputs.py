"""The inputs of a batch: each shard's range against the plan, all of them against the snapshot.

One shard is held at a time. That the inputs are the files of the manifest, in another order, is
found by a sum over the digests of both, which does not depend on the order.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator

from codebatch.maintenance.verify.documents import stray_form
from codebatch.maintenance.verify.findings import Findings
from codebatch.model.digest import DIGEST_PREFIX, canonical_json
from codebatch.model.errors import CodeBatchError, StoreError
from codebatch.model.records import InputFile, Plan, PlannedShard, path_key
from codebatch.store.path_kinds import INPUTS, Place

_SUM = 2**256


class InputsCheck:
    """State: ``_wrong`` is the first thing that is wrong, ``_end`` where the shards so far end,
    ``_sum`` the sum over their files, ``_languages`` how many files each language has.
    """

    def __init__(self, findings: Findings, batch_id: str, plan: Plan) -> None:
        self._findings = findings
        self._batch_id = batch_id
        self._plan = plan
        self._path = findings.store.layout.inputs(batch_id)
        self._wrong: str | None = None
        self._end = 0
        self._sum = 0
        self._languages: Counter[str] = Counter()

    def shards(self) -> Iterator[tuple[PlannedShard, list[InputFile] | None]]:
        """Each planned shard with its files in path order; None where these are damaged."""
        stray = stray_form(self._findings.store, self._path)
        if stray is not None:
            self._note(f"a {stray} stands in its place")
        width = {len(shard.shard_id) for shard in self._plan.shards}
        ids = [shard.shard_id for shard in self._plan.shards]
        if len(width) > 1 or ids != sorted(set(ids)):
            self._note("the shards of the plan are not in order")
        for shard in self._plan.shards:
            files = self._files_of(shard)
            yield shard, files
        if sum(shard.files for shard in self._plan.shards) != self._plan.files:
            self._note("the shards of the plan have another number of files")

    def _files_of(self, shard: PlannedShard) -> list[InputFile] | None:
        if stray_form(self._findings.store, self._path) is not None:
            return None
        try:
            data = self._findings.store.batches.read_shard_inputs(self._batch_id, shard)
        except StoreError as error:
            self._note(error.message)
            return None
        files = _parsed(data)
        if files is None or not _are_of(shard, files) or shard.offset != self._end:
            self._note(f"shard {shard.shard_id} is not what the plan says")
            return None
        self._end += shard.length
        for file in files:
            self._sum = (self._sum + number_of(file.path, file.object, file.size)) % _SUM
            self._languages[file.language] += 1
        return sorted(files, key=lambda file: path_key(file.path))

    def finish(self) -> None:
        """After all shards: nothing may be left over; note what is wrong."""
        if not self._findings.is_there(self._path):
            self._note("it is missing")
        if self._wrong is None:
            self._check_whole()
        if self._wrong is not None:
            self._findings.add(
                "INPUTS_DAMAGED",
                f"the inputs of {self._batch_id}: {self._wrong}",
                self._path,
                Place(INPUTS, self._batch_id),
                batches=(self._batch_id,),
            )

    def _check_whole(self) -> None:
        status = self._findings.store.layout.door.status(self._path)
        size = 0 if status is None else status.st_size
        if size != self._end:
            self._note(f"{abs(size - self._end)} bytes belong to no shard")
        if dict(self._languages) != dict(self._plan.languages):
            self._note("their languages are not those of the plan")
        try:
            files = self._findings.store.snapshots.load_manifest(self._plan.snapshot_id)
        except CodeBatchError:
            return  # the snapshot is damaged, which is said of the snapshot
        if sum(number_of(f.path, f.object, f.size) for f in files) % _SUM != self._sum:
            self._note("they are not the files of the snapshot")

    def _note(self, wrong: str) -> None:
        self._wrong = self._wrong or wrong


def number_of(path: str, digest: str, size: int) -> int:
    """A number for a file, to be summed."""
    return int(hashlib.sha256(canonical_json([path, digest, size])).hexdigest(), 16)


def _parsed(data: bytes) -> list[InputFile] | None:
    try:
        return [InputFile.from_document(json.loads(line)) for line in data.splitlines()]
    except (KeyError, TypeError, ValueError, RecursionError, CodeBatchError):
        return None


def _are_of(shard: PlannedShard, files: list[InputFile]) -> bool:
    order = [(file.object, path_key(file.path)) for file in files]
    return (
        len(files) == shard.files
        and sum(file.size for file in files) == shard.bytes
        and all(f.object.startswith(DIGEST_PREFIX + shard.shard_id) for f in files)
        and order == sorted(order)
    )
