"""The lines of the files of a batch, for those who show many of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from codebatch.model.records import InputFile, Plan
from codebatch.query.inspect import source_lines
from codebatch.store import StoreDirectory


class Sources:
    """The lines of files of one batch; the inputs of each shard are read once, and only the last
    file is kept.
    """

    def __init__(self, store: StoreDirectory, batch_id: str, plan: Plan) -> None:
        self._store = store
        self._batch_id = batch_id
        self._plan = plan
        self._files = functools.cache(self._read_files)
        self._last: tuple[str, list[str]] = ("", [])

    def lines(self, path: str, shard_id: str) -> list[str]:
        """Return the lines of a file, as its language decodes them; none of what has none."""
        if self._last[0] != path:
            file = self._files(shard_id)[path]
            self._last = (path, source_lines(self._store, file))
        return self._last[1]

    def _read_files(self, shard_id: str) -> Mapping[str, InputFile]:
        inputs = self._store.batches.load_inputs(self._batch_id, self._plan.shard(shard_id))
        return {file.path: file for file in inputs}
