"""The batches of revisions of a repository, each made and run as a scan of its checkout would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from codebatch.api.batch import Batch
from codebatch.api.given import PathLike
from codebatch.api.running import TaskLike, run_options
from codebatch.api.snapshots import Snapshot
from codebatch.batch import run_batch
from codebatch.batch.chain import run_chain
from codebatch.model.clock import now
from codebatch.model.errors import BatchUnfinishedError
from codebatch.model.records import DONE
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES
from codebatch.snapshot.git.ancestry import CommitInfo
from codebatch.snapshot.git.history import History as Repository
from codebatch.snapshot.selection import select
from codebatch.snapshot.take_tree import revision_source, take_tree
from codebatch.status.batch_status import BatchStatus
from codebatch.status.totals import Totals
from codebatch.store import Asking

if TYPE_CHECKING:
    from codebatch.api.store import PipelineLike, Store
    from codebatch.plan.policy import Settings

OnStep = Callable[[str, int, int], None]


class Walk:
    """Makes and runs the batches of revisions. State: ``revisions`` counts those that were done."""

    def __init__(  # noqa: PLR0913 - the options of a scan
        self,
        store: Store,
        root: PathLike,
        *,
        pipeline: PipelineLike | None = None,
        tasks: Sequence[TaskLike] = (),
        settings: Settings | None = None,
        shards: int | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        ignore: bool = True,
        max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
        **run: Any,
    ) -> None:
        self.store = store
        self.revisions = 0
        self._root, self._files = select(root, include, exclude, ignore=ignore, is_there=False)
        self._plan: dict[str, Any] = {"tasks": tasks, "settings": settings, "shards": shards}
        self._plan["pipeline"] = pipeline
        self._limits: dict[str, Any] = {"ignore": ignore, "max_file_bytes": max_file_bytes}
        self._options = run_options(**run)

    def batch(self, repository: Repository, commit: CommitInfo) -> Batch:
        """Return the batch of a revision, made if need be."""
        directory, of_commit = self.store.directory, partial(revision_source, rev=commit.hash)
        taken = {"selection": self._files, "opened": repository, **self._limits}
        result = take_tree(directory, self._root, of_commit, **taken)
        directory.snapshots.ask(result.snapshot_id, Asking(now(), result.checkout))
        snapshot = Snapshot(directory, result.snapshot_id, result)
        return self.store.batch(snapshot, **self._plan)

    def run(self, batches: Sequence[Batch], progress: OnStep) -> dict[str, Totals | None]:
        """Run batches, each near to the one before; return the totals of each."""
        count = len({batch.id for batch in batches})
        done: dict[str, Totals | None] = {}

        def on_done(batch_id: str, totals: Totals | None) -> None:
            done[batch_id] = totals
            progress("run", len(done), count)

        run_chain(self.store.directory, [one.id for one in batches], self._options, on_done)
        return done

    def done(self, batch: Batch, near: Sequence[str] = ()) -> BatchStatus:
        """Return the states of a batch, which is run; `BatchUnfinishedError` where it fails."""
        run_batch(self.store.directory, batch.id, replace(self._options, near=tuple(near)))
        self.revisions += 1
        status = batch.load_status()
        if status.status != DONE:
            raise BatchUnfinishedError(
                f"{batch.id} is {status.status}: what it would find is not known",
                hints=[f"see why: codebatch resume --batch {batch.id}"],
            )
        return status
