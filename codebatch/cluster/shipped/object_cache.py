"""The objects that a worker without a store was sent, kept so that none is sent twice.

Only what was found whole is kept: the store of one client may be damaged, and that of the next,
or the same when it is mended, is not.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import StoreDamagedError
from codebatch.store.objects.cas import StoredBytes, open_stored

SHORT_BYTES = 8
_MOST_TOLD = 20_000
_OVERHEAD_BYTES = 500  # of an object, beside its own


class ObjectCache:
    """Stored forms of objects by digest, those that were of use last.

    State: ``_objects`` in the order of use, ``_size`` the bytes that they take.
    """

    def __init__(self) -> None:
        self._objects: OrderedDict[str, StoredBytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def completed(
        self, sent: Iterable[StoredBytes], wanted: Iterable[str], limit: int
    ) -> tuple[StoredBytes, ...]:
        """Return the objects sent and those of the wanted that are here; at most ``limit`` bytes
        stay here.
        """
        given = {one.digest: one for one in sent}
        whole = [one for one in given.values() if len(one.data) <= limit and _is_whole(one)]
        with self._lock:
            for digest in wanted:
                if digest not in given and digest in self._objects:
                    given[digest] = self._objects[digest]
                    self._objects.move_to_end(digest)
            for one in whole:
                self._keep(one)
            self._shrink(limit)
            return tuple(given.values())

    def shorts(self) -> bytes:
        """Return the first `SHORT_BYTES` of the digest of each object that was of use last."""
        with self._lock:
            digests = list(islice(reversed(self._objects), _MOST_TOLD))
        return b"".join(map(short, digests))

    def _keep(self, one: StoredBytes) -> None:
        if one.digest not in self._objects:
            self._objects[one.digest] = one
            self._size += len(one.data) + _OVERHEAD_BYTES
        self._objects.move_to_end(one.digest)

    def _shrink(self, limit: int) -> None:
        while self._size > limit:
            _, oldest = self._objects.popitem(last=False)
            self._size -= len(oldest.data) + _OVERHEAD_BYTES


def short(digest: str) -> bytes:
    """Return the first `SHORT_BYTES` of a digest: enough to believe that two are the same."""
    return bytes.fromhex(digest[len(DIGEST_PREFIX) :][: 2 * SHORT_BYTES])


def _is_whole(stored: StoredBytes) -> bool:
    try:
        open_stored(stored)
    except StoreDamagedError:
        return False
    return True
