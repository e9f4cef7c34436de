"""Quarantined results: a task on a file that ends the process which runs it.

Such a result is one diagnostic that says why (`E0003` to `E0005`), whatever the machine, the
time it took or the memory it used. It is remembered under the key of the task on the file, in
`store.indexes.quarantine`: it is not tried again until the file, the task or its tools are others,
or a run is told to.
"""

from __future__ import annotations

from functools import lru_cache

from codebatch.model.digest import Document
from codebatch.model.record_lines import FileLines, encode_lines
from codebatch.model.records import Counts
from codebatch.store import StoreDirectory
from codebatch.store.indexes.quarantine import QuarantineIndex
from codebatch.tasks.findings import failure_record
from codebatch.tasks.rules import TASK_CRASHED, TASK_OUT_OF_MEMORY, TASK_TIMED_OUT

_MESSAGES = {
    TASK_CRASHED: "quarantined: the task crashes on this file",
    TASK_TIMED_OUT: "quarantined: the task exceeds the time limit on this file",
    TASK_OUT_OF_MEMORY: "quarantined: the task exceeds the memory limit on this file",
}


class Quarantine:
    """The quarantined results of a store."""

    def __init__(self, store: StoreDirectory) -> None:
        self._index = QuarantineIndex(store.layout)

    def __bool__(self) -> bool:
        return bool(self._index)

    def lookup(self, key: str) -> FileLines | None:
        """Return the lines of a result that is quarantined; None for any other."""
        code = self._index.code(key)
        return quarantined_lines(code) if code in _MESSAGES else None

    def add(self, key: str, code: str, facts: Document) -> FileLines:
        """Quarantine a result, and return its lines."""
        self._index.add(key, code, facts)
        return quarantined_lines(code)

    def remove(self, key: str) -> None:
        """Note that a result could be computed after all."""
        self._index.remove(key)


@lru_cache(maxsize=len(_MESSAGES))
def quarantined_lines(code: str) -> FileLines:
    """Return the lines in place of the records of a task on a file that is quarantined."""
    record = failure_record(code, _MESSAGES[code])
    return FileLines(encode_lines([record]), Counts.of([record]))
