"""Which worker was sent which objects, as far as the client knows: a belief that may be wrong.

State: ``_shelves`` has the objects of each worker by its address, as numbers made of the first
digits of digests; ``_busy`` how many calls each was preferred for that are not answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from codebatch.digest import DIGEST_PREFIX

_DIGITS = 16
_MOST = 50_000  # of a worker; what is forgotten is sent once more
_MOST_WAITING = 3


class Shelves:
    """What workers are believed to have."""

    def __init__(self, known: Mapping[str, Iterable[str]]) -> None:
        self._shelves = {address: set(map(_number, digests)) for address, digests in known.items()}
        self._busy: Counter[str] = Counter()

    def best(self, digests: Iterable[str], present: Iterable[str]) -> str | None:
        """The worker of those present that has most of the objects, unless it has enough to do."""
        numbers = set(map(_number, digests))
        held = {one: len(numbers & self._shelves[one]) for one in present if one in self._shelves}
        best = max(sorted(held), key=lambda one: held[one], default=None)
        if best is None or not held[best] or self._busy[best] >= _MOST_WAITING:
            return None
        return best

    def has(self, address: str | None, digest: str) -> bool:
        """Whether a worker is believed to have an object."""
        return address is not None and _number(digest) in self._shelves.get(address, ())

    def expect(self, address: str | None) -> None:
        """A call was sent to this worker by preference."""
        if address is not None:
            self._busy[address] += 1

    def ended(self, address: str | None) -> None:
        """A call that was sent to this worker by preference has ended, wherever it ran."""
        if address is not None:
            self._busy[address] -= 1

    def put(self, address: str, digests: Iterable[str]) -> None:
        """A worker has seen these objects."""
        shelf = self._shelves.setdefault(address, set())
        if len(shelf) > _MOST:
            shelf.clear()
        shelf.update(map(_number, digests))

    def drop(self, address: str, digests: Iterable[str]) -> None:
        """A worker does not have these objects any more."""
        self._shelves.get(address, set()).difference_update(map(_number, digests))


def _number(digest: str) -> int:
    return int(digest[len(DIGEST_PREFIX) :][:_DIGITS], 16)
