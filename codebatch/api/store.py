"""A store and its snapshots."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebatch.api import bars
from codebatch.api.batch import Batch
from codebatch.api.given import IdLike, PathLike, id_of, named_path, text_of
from codebatch.api.memo import Memo
from codebatch.api.names import NameTable
from codebatch.api.results import Paths
from codebatch.api.running import TaskLike
from codebatch.api.several import Several
from codebatch.api.snapshots import Snapshot
from codebatch.display.displayed import Displayed, Rows
from codebatch.model.clock import now
from codebatch.model.digest import Document
from codebatch.model.errors import SourceNotFoundError, StoreNotFoundError
from codebatch.runtime.lazy import lazily
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES, resolve
from codebatch.store import LATEST, Asking, StoreDirectory, expecting, init_store
from codebatch.store import open_damaged_store as open_damaged
from codebatch.store import open_store as open_directory

if TYPE_CHECKING:
    from codebatch.display.card import Card
    from codebatch.plan.policy import Settings
    from codebatch.snapshot import writer

with lazily():
    from codebatch import batch as batches
    from codebatch.api import cards
    from codebatch.api import checking as checks
    from codebatch.api import history as histories
    from codebatch.batch import forecast as forecasts
    from codebatch.batch import scheduler as schedulers
    from codebatch.compare import compare as comparisons
    from codebatch.maintenance import diagnose as diagnoses
    from codebatch.maintenance import gc as garbage
    from codebatch.maintenance import remove as removal
    from codebatch.maintenance import stats as statistics
    from codebatch.maintenance import upgrade as upgrades
    from codebatch.maintenance import verify as verification
    from codebatch.plan import pipeline as definitions
    from codebatch.plan import policy as policies
    from codebatch.processes import pool as pools
    from codebatch.query import filters as conditions
    from codebatch.query import show as stored
    from codebatch.query import views
    from codebatch.snapshot import selection, take, take_tree

STORE_NAME = ".codebatch"
STORE_VARIABLE = "CODEBATCH_STORE"

Roots = PathLike | Sequence[PathLike]  # a directory, or several directories and files
PipelineLike = PathLike | Mapping[str, object] | Sequence[TaskLike]


def find_store(path: PathLike | None = None) -> Path:
    """Return the place of the store: ``path``, else ``CODEBATCH_STORE``, else ``.codebatch`` in
    the nearest folder from here upwards; `StoreNotFoundError` where there is none.
    """
    chosen = path if path is not None else os.environ.get(STORE_VARIABLE) or None
    if chosen is not None:
        return named_path(chosen)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / STORE_NAME).is_dir():
            return folder / STORE_NAME
    raise StoreNotFoundError(
        f"no store: neither --store nor {STORE_VARIABLE} is given, and no {STORE_NAME} is here "
        "or in a folder above",
        hints=["make one: codebatch init", "or do everything at once: codebatch scan DIR"],
    )


def open_store(path: PathLike | None = None, *, create: bool = False) -> Store:
    """Open the store at ``path``, or where `find_store` finds one; ``create`` makes it where
    there is none: at ``path``, else in ``.codebatch`` here.
    """
    if not create:
        return Store(open_directory(find_store(path)))
    try:
        opened = init_store(find_store(path))
    except StoreNotFoundError:
        opened = init_store(Path(STORE_NAME))
    return Store(opened.store, created=opened.created)


def open_damaged_store(path: PathLike | None = None) -> Store:
    """Open a store to verify or repair it: unlike for `open_store`, its ``store.json`` may be
    missing or damaged.
    """
    return Store(open_damaged(find_store(path)))


class Store(Displayed, Memo, Several):
    """A store: take snapshots into it, make batches from them, find both again.

    ``created`` says whether opening it has made it.
    """

    def __init__(self, directory: StoreDirectory, *, created: bool = False) -> None:
        self.directory = directory
        self.created = created

    def _card(self) -> Card:
        return cards.store_card(self.directory)

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self.directory.root

    @property
    def names(self) -> NameTable:
        """The names for snapshots and batches: ``store.names["main"] = batch``."""
        return NameTable(self.directory)

    def snapshot(  # noqa: PLR0913 - the options of the command
        self,
        root: Roots,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        ignore: bool = True,
        max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
        use_cache: bool = True,
        progress: bars.FilesShown = None,
        rev: str | None = None,
        staged: bool = False,
        same_names: Collection[bytes] = (),
    ) -> Snapshot:
        """Snapshot a directory, or what is named of several directories and files: of the current
        folder, if they are all in it, else of the nearest one that holds them.

        ``include`` and ``exclude`` are patterns as in a ``.gitignore``: files that match none of
        the former, or any of the latter, are left out. ``ignore=False`` takes ignored files and
        ``.git`` as well, ``max_file_bytes=None`` files of any size, and ``use_cache=False`` reads
        files again that look as they did.

        With ``rev``, it is what a clean checkout of a git revision would have there, with
        ``staged`` what the index of git has, read from the repository in or above the directory.

        ``progress`` is called with the files and bytes that are read; true shows a bar instead,
        false nothing, and None a bar in a notebook.

        ``same_names`` is for those who watch a tree: folders in which nothing has come or gone
        since the last snapshot, relative to the root, which is ``b"."``.
        """
        taking: Callable[..., writer.SnapshotResult]
        taking = partial(take.take_snapshot, same_names=same_names)
        is_there = rev is None and not staged
        if not is_there:
            taking = partial(take_tree.take_tree, source_of=take_tree.source_of(rev, staged=staged))
        tree, selected = selection.select(root, include, exclude, ignore=ignore, is_there=is_there)
        with bars.files_shown(progress) as show:
            result = taking(
                self.directory,
                tree,
                selection=selected,
                ignore=ignore,
                max_file_bytes=max_file_bytes,
                use_cache=use_cache,
                progress=show,
            )
        self.directory.snapshots.ask(result.snapshot_id, Asking(now(), result.checkout))
        return Snapshot(self.directory, result.snapshot_id, result)

    def prewarm(
        self, scheduler: PathLike | None = None, workers: int | None = None
    ) -> take.Progress:
        """Return a progress function for `snapshot`, where a run follows: worker processes start
        to load while files are still read, if it is plain by then that the run will want them.
        """
        started = bool(self.directory.batches.ids())  # there may be nothing left to compute

        def watch(files: int, total_bytes: int) -> None:
            nonlocal started
            if not started and schedulers.needs_processes(text_of(scheduler), workers, total_bytes):
                started = True
                pools.start_server()

        return watch

    def find_snapshot(self, snapshot_id: IdLike) -> Snapshot:
        """A snapshot by id, unique prefix of an id, ``latest``, ``latest~2``, or name."""
        return Snapshot(self.directory, resolve.find_snapshot(self.directory, id_of(snapshot_id)))

    def _snapshot_of(self, snapshot: IdLike) -> Snapshot:
        # One that was just taken knows the checkout that it is of.
        return snapshot if isinstance(snapshot, Snapshot) else self.find_snapshot(snapshot)

    def batch(
        self,
        snapshot: IdLike,
        pipeline: PipelineLike | None = None,
        *,
        tasks: Sequence[TaskLike] = (),
        settings: Settings | None = None,
        shards: int | None = None,
    ) -> Batch:
        """Plan a pipeline over a snapshot, or find that very batch. The pipeline is the name of a
        packaged one, a path, a document, or a list of tasks and of names of tasks and pipelines;
        ``tasks`` are added to it. Without one, it has the tasks alone, or is ``full``. ``settings``
        are laid over those of its tasks, by name: ``{"lint": {"select": ["F", "B"]}}``.
        """
        found = self._snapshot_of(snapshot)
        resolved = definitions.resolve_pipeline(pipeline, tasks, _settings_for(found, settings))
        checkout = found.taken.checkout if found.taken else None
        result = batches.init_batch(self.directory, found.id, resolved, shards, checkout)
        return Batch(self.directory, result.batch_id, result)

    def forecast(
        self,
        snapshot: IdLike = "latest",
        pipeline: PipelineLike | None = None,
        *,
        tasks: Sequence[TaskLike] = (),
        settings: Settings | None = None,
        shards: int | None = None,
    ) -> forecasts.Forecast:
        """Return what running a pipeline over a snapshot would compute; nothing is written."""
        found = self._snapshot_of(snapshot)
        resolved = definitions.resolve_pipeline(pipeline, tasks, _settings_for(found, settings))
        return forecasts.forecast_snapshot(self.directory, found.id, resolved, shards)

    def find_batch(
        self, batch_id: IdLike | None = None, *, tasks: Sequence[TaskLike] = ()
    ) -> Batch:
        """A batch by id, unique prefix of an id, ``latest``, ``latest~2``, or name. Without one, it
        is the batch last asked for over a tree that the current folder is in, else the latest.
        ``tasks`` are those of your own that it runs.
        """
        if batch_id is None:
            batch_id = resolve.find_batch_here(self.directory) or LATEST
        found = resolve.find_batch(self.directory, id_of(batch_id))
        batch = Batch(self.directory, found)
        batch.give_tasks(tasks)
        return batch

    def compare(
        self, a: IdLike, b: IdLike, *, kind: str | None = None, path: Paths | None = None
    ) -> comparisons.Comparison:
        """Compare batch ``b`` with the older batch ``a``, both done; ids as in `find_batch`."""
        old, new = self.find_batch(a), self.find_batch(b)
        filters = conditions.RecordFilter(kind=kind, path=path)
        with expecting(self.directory.layout, old.id, new.id):
            return comparisons.compare_batches(
                self.directory, old.load_status(), new.load_status(), filters
            )

    def check(
        self, root: PathLike = ".", base: IdLike | None = None, **options: Any
    ) -> checks.CheckReport:
        """Return what is new in a directory since a base; see `codebatch.api.checking.check`."""
        return checks.check(self, root, base, **options)

    def history(self, root: PathLike = ".", **options: Any) -> histories.History:
        """Return the numbers of revisions of a repository; see `codebatch.api.history.history`."""
        return histories.history(self, root, **options)

    def blame(self, finding: str, root: PathLike = ".", **options: Any) -> histories.Blame:
        """Return which revision a finding came in with; see `codebatch.api.history.blame`."""
        return histories.blame(self, finding, root, **options)

    def snapshots(self) -> Rows[Document]:
        """One row a snapshot, oldest first: id, when, from where, files, bytes."""
        return Rows(views.snapshot_rows(self.directory), views.SNAPSHOT_COLUMNS)

    def batches(self) -> Rows[Document]:
        """One row a batch, oldest first: what it is, its status, result and sizes."""
        return Rows(views.batch_rows(self.directory), views.BATCH_COLUMNS)

    def find(self, text: IdLike) -> stored.Target:
        """The snapshot, batch or object that an id, a digest, a prefix, ``latest`` or a name
        stands for.
        """
        return stored.find_target(self.directory, id_of(text))

    def show(self, text: IdLike) -> Document:
        """The stored document of what `find` finds; of an object, how it is stored."""
        return stored.show(self.directory, self.find(text))

    def gc(
        self,
        *,
        dry_run: bool = False,
        grace: float | None = None,
        max_memo_bytes: int | None = None,
        max_memo_days: int | None = None,
        wait: float = 0,
    ) -> garbage.GarbageReport:
        """Remove objects that nothing refers to and what is left of killed commands, where they
        are older than ``grace`` seconds (default: two weeks); trim the memo and other indexes.

        It is safe beside commands at work. Another that removes is waited for ``wait`` seconds.
        """
        return garbage.collect_garbage(
            self.directory,
            grace_seconds=grace,
            memo_bytes=max_memo_bytes,
            memo_days=max_memo_days,
            dry_run=dry_run,
            wait_seconds=wait,
        )

    def verify(
        self,
        *,
        read_data: bool = False,
        subset: str | None = None,
        repair: bool = False,
        source: PathLike | None = None,
        progress: verification.Progress | None = None,
        wait: float = 0,
    ) -> verification.VerifyReport:
        """Check everything in the store: ``report.ok``, and ``report.problems`` with code, path and
        what each touches. ``read_data`` reads every object, ``subset`` (``10%``, ``2/5``) a part.
        ``progress`` is called with a `maintenance.verify.Step`.

        With ``repair``, what can be computed again is dropped for the next run, documents are
        written anew from what is whole, and lost files come from ``source``.
        """
        tree = None if source is None else named_path(source, SourceNotFoundError)
        if tree is not None:
            selection.check_directory(tree)
        return verification.verify_store(
            self.directory,
            read_data=read_data,
            subset=subset,
            repair=repair,
            source=tree,
            progress=progress,
            wait_seconds=wait,
        )

    def upgrade(self, *, wait: float = 0) -> upgrades.UpgradeReport:
        """Rewrite a store of an earlier format in place as one of the present format."""
        report = upgrades.upgrade_store(self.directory, wait_seconds=wait)
        self.directory = open_directory(self.path)
        return report

    def stats(self, largest: int = 10) -> statistics.StoreStats:
        """Return what takes room: bytes by kind, what each batch added, the largest objects."""
        return statistics.store_stats(self.directory, largest)

    def diagnose(self, scheduler: PathLike | None = None) -> diagnoses.Diagnosis:
        """Return the answer of `codebatch.api.diagnose` for this store."""
        return diagnoses.diagnose(self.directory, text_of(scheduler))

    def remove_batch(
        self, *batches: IdLike, dry_run: bool = False, wait: float = 0
    ) -> removal.RemovalReport:
        """Remove batches: all, or none where one of them is being run."""
        ids = [*map(id_of, batches)]
        return removal.remove_batches(self.directory, ids, dry_run=dry_run, wait_seconds=wait)

    def remove_snapshot(
        self, *snapshots: IdLike, dry_run: bool = False, wait: float = 0
    ) -> removal.RemovalReport:
        """Remove snapshots: all, or none where a batch needs one of them."""
        ids = [*map(id_of, snapshots)]
        return removal.remove_snapshots(self.directory, ids, dry_run=dry_run, wait_seconds=wait)

    def read_object(self, digest: str) -> bytes:
        """The bytes of an object, checked against its digest."""
        return self.directory.objects.read(digest)


def _settings_for(snapshot: Snapshot, settings: Settings | None) -> Settings | None:
    """Return settings for a snapshot: patterns of a configuration are of another folder."""
    if isinstance(settings, policies.Policy):
        return settings.at(snapshot.asking.checkout.source)
    return settings
