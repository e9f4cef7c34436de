"""A batch: plan it, run it, compute it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebatch.api.given import PathLike, text_of
from codebatch.api.results import of_batch
from codebatch.api.running import Running, TaskLike
from codebatch.cluster.settings import choose_cluster_settings
from codebatch.display.displayed import Displayed
from codebatch.model.digest import Document
from codebatch.model.limits import choose_limits
from codebatch.runtime.lazy import lazily
from codebatch.store import Asking, StoreDirectory

if TYPE_CHECKING:
    from codebatch.compare.baseline import BaselineReport
    from codebatch.display.card import Card

with lazily():
    from codebatch import batch as batches
    from codebatch.api import baselines, cards
    from codebatch.batch import detached
    from codebatch.batch import explain as explanations
    from codebatch.batch import forecast as forecasts
    from codebatch.batch import recheck as rechecks
    from codebatch.batch import sarif as logs
    from codebatch.patches import apply as patches
    from codebatch.query import inspect


class Batch(Displayed, Running):
    """A plan over a snapshot and its results, as far as they are committed; ``made`` says what
    making it found, where this process made it.
    """

    def __init__(
        self, directory: StoreDirectory, batch_id: str, made: batches.BatchResult | None = None
    ) -> None:
        super().__init__(directory, batch_id)
        self.made = made

    def _card(self) -> Card:
        return cards.batch_card(self.directory, self.id)

    @property
    def asking(self) -> Asking:
        """When it was last asked for, and over which tree: its folder, branch and commit, each None
        where that is not known.
        """
        return self.directory.asking_of(self.id)

    @property
    def source_folder(self) -> Path | None:
        """The folder of the tree that it was last asked for over; None where it is not known."""
        source = self.asking.checkout.source
        return None if source is None else Path(source)

    @of_batch
    def submit(  # noqa: PLR0913 - those of `run`
        self,
        client: Any = None,
        *,
        tasks: Sequence[TaskLike] = (),
        scheduler: PathLike | None = None,
        file_timeout: float | None = None,
        memory_limit: int | str | None = None,
        cluster_timeout: float | None = None,
        require_reused: bool = False,
        retry_quarantined: bool = False,
        on_notice: Callable[[str], None] | None = None,
    ) -> detached.Submission:
        """Leave what is not done to a cluster whose workers open the store: it goes on when this
        process ends, and `status` says how far it is. The parameters are those of `run`.
        """
        self.give_tasks(tasks)
        options = batches.RunOptions(
            text_of(scheduler),
            client=client,
            require_reused=require_reused,
            retry_quarantined=retry_quarantined,
            limits=choose_limits(file_timeout, memory_limit),
            cluster=choose_cluster_settings(None, cluster_timeout, None, on_notice),
        )
        return detached.submit_batch(self.directory, self.id, options)

    @of_batch
    def recheck(  # noqa: PLR0913 - as of `run`
        self,
        sample: float = 100,
        scheduler: PathLike | None = None,
        *,
        tasks: Sequence[TaskLike] = (),
        replace: bool = False,
        workers: int | None = None,
        client: Any = None,
        file_timeout: float | None = None,
        memory_limit: int | str | None = None,
        transport: str | None = None,
        cluster_timeout: float | None = None,
        performance_report: PathLike | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> batches.RecheckReport:
        """Compute ``sample`` percent of the files again, store nothing, and compare; what is
        quarantined is left out. With ``replace``, shards with results that differ are computed
        anew then, and the memo entries of their files are dropped. The other parameters are
        those of `run`.
        """
        self.give_tasks(tasks)
        options = batches.RunOptions(
            text_of(scheduler),
            workers,
            client,
            limits=choose_limits(file_timeout, memory_limit),
            cluster=choose_cluster_settings(
                transport, cluster_timeout, performance_report, on_notice
            ),
        )
        directory = self.directory
        report = rechecks.recheck_batch(directory, self.id, round(sample * 10_000), options)
        return rechecks.replace_differing(directory, report, options) if replace else report

    @of_batch
    def import_sarif(
        self, log: PathLike | bytes, *, task: str | None = None, alone: bool = False
    ) -> logs.ImportReport:
        """Make a batch over the same snapshot that has the findings of a finished log, a file or
        its bytes, as the records of a task, named after its tool or ``task``, beside those of this
        batch unless ``alone``; it has to be run: ``store.find_batch(report.batch_id).run()``.
        `LogInvalidError` where it is no log of SARIF 2.1.0.
        """
        snapshot_id = self.directory.batches.load_plan(self.id).snapshot_id
        beside = None if alone else self.id
        return logs.import_sarif(self.directory, logs.bytes_of(log), snapshot_id, beside, task)

    @of_batch
    def forecast(self) -> forecasts.Forecast:
        """Return what a run would compute and what it would reuse, and why."""
        return forecasts.forecast_batch(self.directory, self.id)

    @of_batch
    def apply(
        self, directory: PathLike, *, task: str | None = None, dry_run: bool = False
    ) -> patches.ApplyReport:
        """Make the changes of a task, or of all that have patches, in the files of a folder, or
        with ``dry_run`` only find out whether that can be done: all of them, or none.

        `PatchRefusedError` names the files that have neither the bytes that they have in the batch
        nor those that the change makes; `PatchConflictError` those that several tasks would change.
        """
        return patches.apply_patches(
            self.directory, self.load_status(), os.fspath(directory), task, dry_run=dry_run
        )

    @of_batch
    def write_baseline(
        self, file: PathLike, change: baselines.Change = "create", *, attributes: bool = True
    ) -> BaselineReport:
        """Write the findings of the batch, which has to be done, to a baseline file for
        `Store.check`: ``create`` makes it, ``update`` adds findings that are not in it and drops
        entries that stand for none any more, ``prune`` only drops.

        Paths are relative to the folder of the file where the tree is in that, and to the tree
        elsewhere. No entry is dropped that was not looked for: of other folders, of files that
        include and exclude have left out, or of rules that the batch does not ask for.

        What adds to it also has the ``.gitattributes`` beside it, inside of a work tree of git, say
        that lines of both sides are kept where it is merged, unless ``attributes`` is false.
        """
        return baselines.change_baseline(os.fspath(file), change, self, attributes=attributes)

    @of_batch
    def explain(self, task: str, path: PathLike) -> Document:
        """Return what the result of a task on a file depends on, and where it came from; the file
        is named as for `inspect`.
        """
        plan = self.directory.batches.load_plan(self.id)
        located = inspect.locate_file(self.directory, self.id, plan, os.fspath(path))
        return explanations.explain_result(self.directory, self.id, task, located.file.path)
