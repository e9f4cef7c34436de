"""Take a snapshot of a revision, or of what is staged, without a checkout.

The files are read from the objects of the repository; its configuration decides nothing, and no
program is started. The snapshot has the id of that of a clean checkout. What is known of blobs and
of folders is kept in the store's indexes; it decides about the time this takes and about nothing
else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes, short_id
from codebatch.model.errors import SourceNotFoundError, StoreError, UsageError
from codebatch.model.records import SkippedFile, path_key
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES
from codebatch.snapshot.git.history import History, open_history
from codebatch.snapshot.git.refs import BRANCHES
from codebatch.snapshot.git.staged import staged_trees
from codebatch.snapshot.git.trees import Entry, TreeReader
from codebatch.snapshot.of_tree import SUBMODULE_REASON, TreeOptions, TreeTaking
from codebatch.snapshot.selection import EVERYTHING, Selection
from codebatch.snapshot.writer import ObjectsGoneError, SnapshotResult, writing_snapshot
from codebatch.store import SNAPSHOT_PREFIX, StoreDirectory
from codebatch.store.indexes.git_cache import GitBlobs, GitTrees, KnownRoot, KnownTree

Progress = Callable[[int, int], None]


class TreeSource(NamedTuple):
    """A tree of a repository: its hash, trees that are not among the objects, words for messages,
    and the branch and commit that it is of.
    """

    tree: bytes
    made: Mapping[bytes, list[Entry]]
    words: str
    branch: str | None
    commit: str | None


def revision_source(history: History, rev: str) -> TreeSource:
    """Return the tree of a revision; `RevisionNotFoundError` where there is none."""
    commit = history.require(rev)
    branch = rev if history.refs.hash(BRANCHES + rev) else None
    return TreeSource(bytes.fromhex(commit.tree), {}, rev, branch, commit.hash)


def staged_source(history: History) -> TreeSource:
    """Return the tree of what is staged."""
    tree, made = staged_trees(history)
    return TreeSource(tree, made, "what is staged", *history.head())


def source_of(rev: str | None, *, staged: bool) -> Callable[[History], TreeSource]:
    """Return what finds the tree that is meant in a history; `UsageError` where two are named."""
    if rev is not None and staged:
        raise UsageError("a revision and what is staged are two trees: give one of them")
    return staged_source if rev is None else partial(revision_source, rev=rev)


def take_tree(  # noqa: PLR0913 - the options of a snapshot
    store: StoreDirectory,
    root: Path,
    source_of: Callable[[History], TreeSource],
    *,
    selection: Selection = EVERYTHING,
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
    use_cache: bool = True,
    progress: Progress | None = None,
    opened: History | None = None,
) -> SnapshotResult:
    """Snapshot a selection of what a tree has at the place of ``root``: of the repository in or
    above it, which may be a bare one, and may be ``opened`` already: what it has unpacked, another
    revision needs again. The other arguments are those of `take_snapshot`.
    """
    here = os.path.realpath(os.fsencode(root))
    with nullcontext(opened) if opened is not None else open_history(here) as history:
        source = source_of(history)
        options = TreeOptions(_prefix(history, here), selection, ignore, max_file_bytes)
        one = _OneTaking(store, history, source, options, use_cache=use_cache, progress=progress)
        result = one.run(os.fsencode(root))
    taken = {"source": os.path.abspath(root), "branch": source.branch, "commit": source.commit}
    return SnapshotResult(**{**vars(result), **taken})


class Expected(NamedTuple):
    """What a snapshot of a tree would be: its id, its manifest, and the folders of submodules, of
    which it has nothing.
    """

    snapshot_id: str
    manifest: bytes
    submodules: tuple[bytes, ...]


def expected_of(
    store: StoreDirectory, history: History, source: TreeSource, prefix: bytes
) -> Expected | None:
    """Return what the snapshot of a tree below a folder of it would be; None where it has no such
    folder. Nothing is stored but what is known of blobs then.
    """
    options = TreeOptions(prefix, EVERYTHING, ignore=True, max_bytes=DEFAULT_MAX_FILE_BYTES)
    return _OneTaking(store, history, source, options, use_cache=True, progress=None).expect()


class _Digests:
    """Takes content for the sake of its digest."""

    def put(self, data: bytes) -> tuple[str, int]:
        return digest_bytes(data), len(data)

    def put_stream(self, portions: Iterable[bytes]) -> tuple[str, int]:
        hasher, size = hashlib.sha256(), 0
        for portion in portions:
            hasher.update(portion)
            size += len(portion)
        return DIGEST_PREFIX + hasher.hexdigest(), size

    def has(self, _: str) -> bool:
        return True


class _OneTaking:
    """One tree to be taken into a store."""

    def __init__(
        self,
        store: StoreDirectory,
        history: History,
        source: TreeSource,
        options: TreeOptions,
        *,
        use_cache: bool,
        progress: Progress | None,
    ) -> None:
        self._store = store
        self._history = history
        self._source = source
        self._options = options
        self._use_cache = use_cache
        self._progress = progress
        size = history.repository.hash_size
        self._reader = TreeReader(history.objects, size, source.made)
        self._blobs = GitBlobs(store.layout, size)
        self._trees = GitTrees(store.layout, b"%d " % size + options.key)
        if use_cache:
            self._trees.load()

    def run(self, root: bytes) -> SnapshotResult:
        """Store the files and the snapshot; both are durable on return."""
        try:
            return self._stored(root, at_once=False)
        except ObjectsGoneError:  # objects were removed that were found in the store
            return self._stored(root, at_once=True)

    def expect(self) -> Expected | None:
        """Return what would be stored."""
        last, known = self._trees.last, None
        if last is not None and (manifest := self._manifest(last.snapshot_id)) is not None:
            known = last, manifest
        taking = TreeTaking(
            self._options,
            self._history.objects,
            self._reader,
            _Digests(),
            blobs=self._blobs,
            known=known,
        )
        found = taking.root(self._source.tree)
        if found is None:
            return None
        taking.take(*found)
        self._blobs.save()
        manifest = b"".join(taking.lines)
        modules = (s.path for s in taking.skipped if s.reason == SUBMODULE_REASON)
        snapshot_id = short_id(SNAPSHOT_PREFIX, digest_bytes(manifest))
        return Expected(snapshot_id, manifest, tuple(map(path_key, modules)))

    def _stored(self, root: bytes, *, at_once: bool) -> SnapshotResult:
        snapshots = self._store.snapshots
        with writing_snapshot(self._store, root, at_once=at_once) as writer:
            last, known = self._trees.last, None
            if last is not None and not at_once and writer.base_on(last.snapshot_id):
                manifest = self._manifest(last.snapshot_id)
                known = None if manifest is None else (last, manifest)
            taking = TreeTaking(
                self._options,
                self._history.objects,
                self._reader,
                writer,
                blobs=self._blobs,
                known=known,
                use_blobs=self._use_cache,
                progress=self._progress,
            )
            found = taking.root(self._source.tree)
            if found is None:
                folder = os.fsdecode(self._options.prefix)
                raise SourceNotFoundError(f"there is no folder {folder} in {self._source.words}")
            tree, place = found
            key = (tree + place.context).hex()
            hit = self._trees.roots.get(key)
            if hit is not None and not at_once and snapshots.is_whole(hit.snapshot_id):
                return self._known_result(hit)
            taking.take(tree, place)
            skipped = sorted(taking.skipped, key=lambda s: (path_key(s.path), s.reason))
            result = writer.save(b"".join(taking.lines), taking.files, taking.bytes, tuple(skipped))
        self._keep(key, taking, result)
        return result

    def _known_result(self, hit: KnownRoot) -> SnapshotResult:
        if self._progress is not None:
            self._progress(hit.files, hit.bytes)
        skipped = tuple(SkippedFile(*pair) for pair in hit.skipped)
        return SnapshotResult(hit.snapshot_id, hit.files, hit.bytes, skipped, created=False)

    def _keep(self, key: str, taking: TreeTaking, result: SnapshotResult) -> None:
        self._blobs.save()
        skipped = [(file.path, file.reason) for file in result.skipped]
        root = KnownRoot(result.snapshot_id, result.file_count, result.total_bytes, skipped)
        folders = sorted(taking.folders, key=lambda folder: path_key(folder.path))
        self._trees.save(
            None if taking.unreadable else key,
            root,
            KnownTree(result.snapshot_id, folders, skipped),
        )

    def _manifest(self, snapshot_id: str) -> bytes | None:
        try:
            return self._store.snapshots.read_manifest(snapshot_id)
        except StoreError:
            return None


def _prefix(history: History, here: bytes) -> bytes:
    """Return where in the tree of a repository a folder is."""
    top = history.repository.top.path
    return b"" if here == top else os.path.relpath(here, top)
