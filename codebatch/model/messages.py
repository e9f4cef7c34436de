"""What crosses the boundary between processes: small, frozen and plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from codebatch.model.limits import Limits


class ShardCall(NamedTuple):
    """Everything a worker that can open the store needs in order to run one shard.

    ``earlier`` has, for files that were edited, the (new, old) object: what is remembered of
    the old may hold for the new. ``near`` is a batch that ran the same tasks, and may have most of
    the files as they are. ``require_reused`` forbids to compute anything. ``recheck`` is
    the part of the files, in parts of a million, to compute again and compare with what is
    committed; None to run the shard. ``limits`` holds where it runs in a process of its own, and
    ``retry_quarantined`` tries again what was given up before. ``run`` is the lease of the run that
    the call belongs to, and ``since_ns`` when it began; without one, the worker holds a lease of
    its own.
    """

    store: str
    store_id: str
    batch_id: str
    shard_id: str
    attempt: str
    earlier: tuple[tuple[str, str], ...] = ()
    near: str | None = None
    require_reused: bool = False
    recheck: int | None = None
    limits: Limits = Limits()
    retry_quarantined: bool = False
    run: str | None = None
    since_ns: int | None = None


class Waiting(NamedTuple):
    """A run has nothing left to do but to wait for so many shards that these others work on."""

    shards: int
    runs: tuple[str, ...]


class Receipt(NamedTuple):
    """What a worker says it did. It is believed only where the store says the same. The status
    ``claimed`` means that it did nothing, since another run is at work on the shard.

    ``worker`` is the name of the cluster's worker that did it, None on this machine.
    ``warning`` is what went wrong beside the results. A recheck says how many results of files
    it ``checked``, and the (task id, path) of those that ``differ``.
    """

    shard_id: str
    attempt: str
    status: str
    error: Mapping[str, object] | None = None
    warning: str | None = None
    checked: int = 0
    differ: tuple[tuple[str, str], ...] = ()
    worker: str | None = None
