"""Remove what nothing needs and is old, what was never finished, and what is left of what was
removed; and trim what can be made again. It is safe beside running batches: what a run does not
find it computes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from codebatch.maintenance.gc.marks import DigestSet
from codebatch.maintenance.gc.packs import Loose, PackSweep
from codebatch.maintenance.gc.report import Collection
from codebatch.model.digest import DIGEST_PREFIX, ID_HEX_DIGITS
from codebatch.model.errors import StoreError
from codebatch.model.records import PlannedTask
from codebatch.status.batch_status import load_batch_status
from codebatch.status.contents import contents_of
from codebatch.store import BATCH_PREFIX
from codebatch.store.files import remove_file
from codebatch.store.indexes.memo import MemoStore
from codebatch.store.indexes.segments import load_segments, needed_segments
from codebatch.store.indexes.stat_cache import root_of
from codebatch.store.inventory import (
    ASIDE_PREFIX,
    OBJECT_PREFIXES,
    FoundFile,
    ObjectFolder,
    batch_folders,
    files_below,
    find_file,
    is_begun,
    is_removed,
    is_temporary,
    object_folders,
    snapshot_folders,
    users_of,
)
from codebatch.store.layout import STATE
from codebatch.store.leases.leases import read_leases
from codebatch.store.outputs import is_spare
from codebatch.store.removal import (
    newest_ns,
    put_back,
    remove_empty_folder,
    remove_if_old,
    remove_tree,
    set_aside,
)


class Sweep:
    """Removes one kind of thing after the other, or in a dry run only counts."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._store = collection.store
        self._layout = collection.store.layout
        self._door = collection.store.layout.door
        self._before_ns = collection.before_ns
        self._dry_run = collection.dry_run

    def objects(self, marks: DigestSet) -> None:
        """Remove those that are neither marked nor young; pack those that are marked and old. One
        that an earlier `gc` set aside and did not remove is given its name again first.
        """
        packs = PackSweep(self._collection, marks)
        packs.write(self._loose(marks, packs))

    def _loose(self, marks: DigestSet, packs: PackSweep) -> Iterator[Loose]:
        """Remove objects in files of their own; yield those that stay, and are old."""
        for prefix in OBJECT_PREFIXES:
            needed = marks.starting_with(int(prefix, 16))
            packs.survey(prefix, needed)
            for folder in object_folders(self._layout, prefix):
                if not self._dry_run:
                    self._restore(folder, needed)
                for digest, file in folder.objects:
                    is_old = file.modified_ns < self._before_ns
                    if is_old and (digest not in needed or packs.have(digest, file)):
                        if self._dry_run or remove_if_old(self._door, file.path, self._before_ns):
                            self._collection.remove_file("objects", file)
                        continue
                    self._collection.keep("objects", 1, file.size)
                    if is_old:
                        yield digest.hex(), file
                is_left = not folder.is_empty or folder.modified_ns >= self._before_ns
                if not is_left and not self._dry_run:
                    remove_empty_folder(self._door, folder.path)

    def _restore(self, folder: ObjectFolder, needed: frozenset[bytes]) -> None:
        for digest, file in folder.aside:
            name = os.path.basename(file.path).removeprefix(ASIDE_PREFIX)
            is_wanted = digest in needed and not self._door.is_there(f"{folder.path}/{name}")
            remove_if_old(self._door, file.path, 0 if is_wanted else self._before_ns)

    def discarded(self, folders: Iterable[Path]) -> None:
        """Delete snapshots and batches that were removed, and that no writer relies on."""
        for folder in folders:
            self._remove_tree("discarded", folder)

    def unfinished(self) -> None:
        """Remove folders of snapshots and batches that were not finished, and are not being. What
        has a name was finished once.
        """
        named = {name.id for name in self._store.names.all()}
        for folder in (*self._unfinished_snapshots(), *batch_folders(self._layout)):
            if folder.name in named:
                continue
            # A batch that has states and lacks its document alone is damaged.
            is_batch = folder.parent == self._layout.batches
            if is_batch and is_begun(self._layout, folder):
                continue
            newest = newest_ns(self._door, folder)
            if newest >= self._before_ns:
                continue
            aside = folder if self._dry_run else set_aside(self._door, folder)
            if aside is None:
                continue
            if any(file.modified_ns > newest for file in files_below(self._door, aside)):
                put_back(self._door, aside, folder)  # a writer has just begun to write in it
            else:
                self._remove_tree("unfinished", aside)

    def _unfinished_snapshots(self) -> list[Path]:
        """Those that are not listed; where a batch names one, it was, and its document is lost."""
        complete = set(self._store.snapshots.ids())
        folders = [one for one in snapshot_folders(self._layout) if one.name not in complete]
        users = users_of(self._layout, [folder.name for folder in folders])
        return [folder for folder in folders if not users[folder.name]]

    def temporaries(self) -> None:
        """Remove files that were begun to be written and are old, and outputs in a form that is
        not read.
        """
        for file in files_below(self._door, self._layout.root):
            name = os.path.basename(file.path)
            is_left = is_temporary(name) and not name.startswith(ASIDE_PREFIX)
            is_left = is_left or is_spare(self._layout, file.path, file.size)
            if is_left and not is_removed(file.path) and file.modified_ns < self._before_ns:
                self._remove("temporaries", file)

    def memo(self, max_bytes: int, oldest_ns: int) -> None:
        """Remove segments that no run has used for too long, then the longest unused until the
        rest is small enough. The time of a segment is that of its last use.
        """
        segments = self._found(path for _, path in MemoStore(self._layout).segments())
        size = 0
        for file in sorted(segments, key=lambda file: (-file.modified_ns, file.path)):
            size += file.size
            if size <= max_bytes and file.modified_ns >= oldest_ns:
                self._collection.keep("memo", 1, file.size)
            else:
                self._remove("memo", file)

    def partials(self, oldest_ns: int) -> None:
        """Remove partial values of tasks that no batch has, and what was not used for too long."""
        needed = {
            task.fingerprint[len(DIGEST_PREFIX) :][:ID_HEX_DIGITS]
            for batch_id in self._store.batches.ids()
            for task in self._tasks_of(batch_id)
        }
        for name in self._door.names(self._layout.partials):
            folder = self._layout.partials / name
            for file in files_below(self._door, folder):
                is_old = name not in needed or file.modified_ns < oldest_ns
                if is_old and not is_temporary(file.path):
                    self._remove("partials", file)

    def _tasks_of(self, batch_id: str) -> tuple[PlannedTask, ...]:
        """The tasks of a batch; of one that cannot be read none, which costs time alone."""
        try:
            return self._store.batches.load_plan(batch_id).tasks
        except StoreError:
            return ()

    def stat_caches(self, oldest_ns: int) -> None:
        """Remove what is known of trees of this machine that are gone, of any tree that no
        snapshot was taken of for too long, and of objects of git that were not added to.
        """
        for file in files_below(self._door, self._layout.stat_caches):
            if is_temporary(file.path):
                continue
            host, root = root_of(self._door, Path(file.path)) or (None, "")
            gone = host == os.uname().nodename and not os.path.isdir(os.fsencode(root))
            if host is None or gone or file.modified_ns < oldest_ns:
                self._remove("stat_caches", file)
        for file in files_below(self._door, self._layout.git_caches):
            if file.modified_ns < oldest_ns and not is_temporary(file.path):
                self._remove("stat_caches", file)

    def orphans(self) -> None:
        """Remove totals of batches that are not in the store, segments and columns of outputs that
        no batch has, and what no version writes any more.
        """
        batches = set(self._store.batches.ids())
        totals = [
            self._layout.all_totals / name
            for name in self._door.names(self._layout.all_totals)
            if name.startswith(f"{BATCH_PREFIX}-") and name.partition(".")[0] not in batches
        ]
        hints = files_below(self._door, self._layout.shard_hints)
        segments = self._found(self._unused_segments())
        columns = self._unused_columns(batches)
        for file in (*self._found(totals), *segments, *columns, *hints):
            self._remove("indexes", file)

    def _unused_columns(self, batches: Iterable[str]) -> Iterator[FoundFile]:
        files = [
            (os.path.basename(file.path).partition(".")[0], file)
            for file in files_below(self._door, self._layout.columns)
            if not is_temporary(file.path)
        ]
        used = {digest for one in batches for digest in self._outputs_of(one)} if files else set()
        yield from (file for name, file in files if DIGEST_PREFIX + name not in used)

    def _outputs_of(self, batch_id: str) -> Iterator[str]:
        """Yield the digests of the outputs of a batch."""
        shards = self._store.shards
        folder = self._layout.batch_document(batch_id).parent
        for path in self._layout.in_shards(folder, STATE):
            shard = path.parent
            state = shards.load_state(batch_id, shard.parents[1].name, shard.name)
            if state is not None:
                yield state.digest

    def _unused_segments(self) -> Iterator[Path]:
        """Yield the files of segments that hold anything that no batch has, or nothing that another
        does not hold, and of those that are none, or of another layout.
        """
        folder = self._layout.sql_indexes
        names = self._door.names(folder)  # before their lists, which are written first
        needed = needed_segments(load_segments(self._layout), self._keys())
        for name in names:
            if name.partition(".")[0] not in needed and not is_temporary(name):
                yield folder / name

    def _keys(self) -> Iterator[set[str]]:
        """Yield what each batch holds; of one that cannot be read nothing, which costs time
        alone.
        """
        for batch_id in self._store.batches.ids():
            with contextlib.suppress(StoreError):
                found = contents_of(load_batch_status(self._store, batch_id))
                yield {content.key for content in found}

    def leases(self, now_ns: int) -> None:
        """Remove leases whose holders have ended, and the claims of batches that are not run."""
        leases = read_leases(self._layout)
        live = [lease for lease in leases if lease.is_live(now_ns)]
        ended = set(leases).difference(live)
        for file in self._found(self._layout.lease(lease.lease_id) for lease in ended):
            self._remove("leases", file)
        running = {lease.batch_id for lease in live}
        for name in self._door.names(self._layout.leases):
            folder = self._layout.leases / name
            is_of_batch = name.startswith(f"{BATCH_PREFIX}-") and self._door.is_folder(folder)
            if is_of_batch and name not in running:
                self._remove_tree("leases", folder, number=0)

    def _remove(self, kind: str, file: FoundFile) -> None:
        self._collection.remove_file(kind, file)
        if not self._dry_run:
            remove_file(self._door, Path(file.path))

    def _remove_tree(self, kind: str, folder: Path, number: int = 1) -> None:
        for file in files_below(self._door, folder):
            self._collection.remove_file(kind, file, 0)
        self._collection.remove(kind, number, 0)
        if not self._dry_run:
            remove_tree(self._door, folder)

    def _found(self, paths: Iterable[Path]) -> Iterator[FoundFile]:
        """The regular files there are: another gc may have been here."""
        files = (find_file(self._door, path) for path in paths)
        return (file for file in files if file is not None)
