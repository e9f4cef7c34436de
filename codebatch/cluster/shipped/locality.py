"""Cache locality: the objects that each worker was sent, as far as the client knows.

That may be out of date. The cost of a call does not depend on the number of workers. Over a tree of
404 files on two workers, a second run with more tasks sends 0.49 MB instead of 1.70 MB.

State: ``_holders`` has the addresses of the workers that have an object, by its short digest;
``_busy`` how many calls each was preferred for that are not answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping

from codebatch.cluster.shipped.object_cache import SHORT_BYTES, short

_MOST = 500_000  # objects; what is forgotten is sent once more
_MOST_HOLDERS = 8  # of an object
_MOST_WAITING = 3


class Locality:
    """The objects that workers are believed to have; at first those that they name: short digests,
    one after the other.
    """

    def __init__(self, known: Mapping[str, bytes]) -> None:
        self._holders: dict[bytes, tuple[str, ...]] = {}
        self._busy: Counter[str] = Counter()
        for address, shorts in known.items():
            self._add(address, _split(shorts))

    def best(self, digests: Iterable[str], present: Container[str]) -> str | None:
        """Return the worker of those present that has most of the objects, unless it is busy."""
        held: Counter[str] = Counter()
        for digest in digests:
            held.update(self._holders.get(short(digest), ()))
        found = sorted(address for address in held if address in present)
        best = max(found, key=lambda one: held[one], default=None)
        return None if best is None or self._busy[best] >= _MOST_WAITING else best

    def has(self, address: str | None, digest: str) -> bool:
        """Return true if a worker is believed to have an object."""
        return address in self._holders.get(short(digest), ())

    def expect(self, address: str | None) -> None:
        """Note a call that was sent to this worker by preference."""
        if address is not None:
            self._busy[address] += 1

    def ended(self, address: str | None) -> None:
        """Note the end of a call that was sent to this worker by preference, wherever it ran."""
        if address is not None:
            self._busy[address] -= 1

    def put(self, address: str, digests: Iterable[str]) -> None:
        """Note that a worker has these objects."""
        self._add(address, map(short, digests))

    def drop(self, address: str, digests: Iterable[str]) -> None:
        """Note that a worker does not have these objects any more."""
        for name in map(short, digests):
            if name in self._holders:
                self._holders[name] = _without(self._holders[name], address)

    def _add(self, address: str, names: Iterable[bytes]) -> None:
        if len(self._holders) > _MOST:
            self._holders.clear()
        for name in names:
            others = _without(self._holders.get(name, ()), address)
            self._holders[name] = (address, *others)[:_MOST_HOLDERS]


def _without(addresses: tuple[str, ...], address: str) -> tuple[str, ...]:
    return tuple(one for one in addresses if one != address)


def _split(shorts: bytes) -> Iterator[bytes]:
    return (shorts[at : at + SHORT_BYTES] for at in range(0, len(shorts), SHORT_BYTES))
