"""Say when a cluster gives no answer for long: what is known, now and then, and nothing more.

Nothing is ended for it: a shard may take that long, and a lost worker is noticed elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from codebatch.graph.keys import Key

_MOST_NAMED = 5


class Patience(NamedTuple):
    """For how many seconds there may be no answer before it is said, and said again."""

    first: float = 60.0
    again: float = 300.0


PATIENCE = Patience()


@dataclass(frozen=True)
class Stall:
    """So many calls have had no answer for so long; ``workers`` are those that the scheduler has
    given some, by name, and what.
    """

    seconds: float
    calls: int
    workers: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        named = [
            f"{name} is at {', '.join(places[:2])}{' and more' if len(places) > 2 else ''}"
            for name, places in list(self.workers.items())[:_MOST_NAMED]
        ]
        more = len(self.workers) - len(named)
        known = "; ".join(named) if named else "no worker has any of them"
        rest = f"; {more} more workers" if more > 0 else ""
        waited = f"{self.seconds:.0f} s"
        return f"no answer for {waited}: {self.calls} calls are out; {known}{rest}"


class StallWatch:
    """Finds out when a stall is to be said.

    State: ``_since`` is when there was progress last, ``_told`` when it was said last, None where
    it was not said since then.
    """

    def __init__(
        self, patience: Patience = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._since = clock()
        self._told: float | None = None

    def progress(self) -> None:
        """Take note of an answer, or that there is nothing to be answered."""
        self._since, self._told = self._clock(), None

    def seconds(self) -> float | None:
        """Return for how long there was no progress if it is to be said now, which is once."""
        now = self._clock()
        is_due = now - self._since >= self._patience.first
        if not is_due or (self._told is not None and now - self._told < self._patience.again):
            return None
        self._told = now
        return now - self._since


def places_of(keys: Iterable[Key]) -> tuple[str, ...]:
    """Return what tasks are for, as ``shard 3f``."""
    return tuple(f"{key[0].partition('-')[0]} {key[1]}".strip() for key in sorted(keys))
