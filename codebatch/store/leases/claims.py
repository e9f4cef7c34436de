"""Claims below ``leases/<batch>/``: which run works on which shard of a batch.

A run claims a shard before it computes it, so that runs of one batch share the work. A claim is
a file named after the shard which holds the lease id of the run; whoever makes it has the shard.
Where that run died, its successor makes ``<shard>.<lease id of the dead run>``, and so on: making
a new file is the only thing that has to be atomic, and a claim is never taken by two.

No result depends on a claim. Anyone may delete any at any time; two runs may then compute the
same shard.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from codebatch.model.errors import StoreError
from codebatch.store.files import create_file, file_status, read_file, remove_file
from codebatch.store.layout import SMALL_BYTES, Layout, check_claim, is_name
from codebatch.store.leases.leases import Lease, read_lease, touched_ns

_NOBODY = "none"
_MOST = 1000


class Claims:
    """The claims on the shards of a batch, as one run sees them, named by its lease."""

    def __init__(self, layout: Layout, batch_id: str, run: str) -> None:
        self._layout = layout
        self._folder = layout.claims(batch_id)
        self._run = run

    def take(self, shard_id: str) -> Lease | None:
        """Claim a shard; None if this run has it now, else the live run that has it."""
        name = check_claim(shard_id)
        for _ in range(_MOST):
            owner = self._create(name)
            if owner == self._run:
                return None
            if owner is not None:
                lease = self._live(name, owner)
                if lease is not None:
                    return lease
                name = _succeeding(shard_id, owner)
        return None  # odd files: what is lost is at most time

    def holder(self, shard_id: str) -> Lease | None:
        """Return the live run, other than this one, that has a shard."""
        for name, owner in self._claims_on(shard_id):
            if owner == self._run:
                return None
            lease = self._live(name, owner)
            if lease is not None:
                return lease
        return None

    def release(self, shard_id: str) -> None:
        """Give up what this run has claimed and not done."""
        for name, owner in self._claims_on(shard_id):
            if owner == self._run:
                remove_file(self._layout.door, self._folder / name)
                return

    def _claims_on(self, shard_id: str) -> Iterator[tuple[str, str]]:
        """Yield the claims on a shard, each with the run that it names, then its successor."""
        name = check_claim(shard_id)
        for _ in range(_MOST):
            owner = self._read(name)
            if owner is None:
                return
            yield name, owner
            name = _succeeding(shard_id, owner)

    def _create(self, name: str) -> str | None:
        """Return the run that has the claim, this one if none had; None if a claim went away."""
        made = create_file(self._layout.door, self._folder / name, self._run.encode())
        return self._read(name) if made is None else self._run

    def _read(self, name: str) -> str | None:
        """The run that a claim names, empty where it is being written; None without a claim."""
        try:
            data = read_file(self._layout.door, self._folder / name, SMALL_BYTES)
        except StoreError:
            return ""
        text = None if data is None else data.decode("ascii", "replace")
        return text if text is None or is_name(text) else ""

    def _live(self, name: str, owner: str) -> Lease | None:
        """Return the lease of the run that a claim names, if it is live."""
        # This run's lease is touched all the time: it tells what the file system's time is.
        now = touched_ns(self._layout, self._run) or 0
        if owner:
            lease = read_lease(self._layout, owner)
        else:
            touched = 0
            with contextlib.suppress(StoreError):
                status = file_status(self._layout.door, self._folder / name)
                touched = 0 if status is None else status.st_mtime_ns
            lease = Lease("", "run", None, 0, touched, None)
        return lease if lease is not None and lease.is_live(now) else None


def _succeeding(shard_id: str, owner: str) -> str:
    return f"{shard_id}.{owner or _NOBODY}"
