"""What a worker that sees no store keeps of the objects it was sent, so that none is sent twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from codebatch.store.cas import StoredBytes


class ObjectCache:
    """Stored forms of objects by digest, those that were of use last; whoever reads one checks it.

    State: ``_objects`` in the order of use, ``_size`` the bytes of them all.
    """

    def __init__(self) -> None:
        self._objects: OrderedDict[str, StoredBytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def completed(
        self, sent: Iterable[StoredBytes], wanted: Iterable[str], limit: int
    ) -> tuple[StoredBytes, ...]:
        """What was sent, and what is here of the wanted; at most ``limit`` bytes stay here."""
        with self._lock:
            given = {one.digest: one for one in sent}
            for digest in wanted:
                if digest not in given and digest in self._objects:
                    given[digest] = self._objects[digest]
            for one in given.values():
                self._keep(one)
            self._shrink(limit)
            return tuple(given.values())

    def digests(self) -> list[str]:
        """What is here, sorted."""
        with self._lock:
            return sorted(self._objects)

    def _keep(self, one: StoredBytes) -> None:
        if one.digest not in self._objects:
            self._objects[one.digest] = one
            self._size += len(one.data)
        self._objects.move_to_end(one.digest)

    def _shrink(self, limit: int) -> None:
        while self._size > limit:
            _, oldest = self._objects.popitem(last=False)
            self._size -= len(oldest.data)
