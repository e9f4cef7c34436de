"""What is new in a tree: its findings compared with those of a base, or with a baseline file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from codebatch.api.batch import Batch, TaskLike
from codebatch.api.given import IdLike, PathLike, id_of
from codebatch.api.snapshots import Snapshot
from codebatch.compare.baseline import (
    Baseline,
    Entry,
    entry_of,
    read_baseline,
    stale_entries,
)
from codebatch.compare.diff import ADDED, Finding, improvements, place_key, regressions
from codebatch.model.digest import Document
from codebatch.model.errors import (
    BaseNotFoundError,
    CodeBatchError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    ShardFailedError,
    SourceNotFoundError,
)
from codebatch.model.records import DONE, SEVERITIES
from codebatch.query.filters import RecordFilter
from codebatch.runtime.lazy import lazy
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES, resolve
from codebatch.store import BATCH_PREFIX, LATEST, SNAPSHOT_PREFIX, expecting

if TYPE_CHECKING:
    from codebatch import export as exports
    from codebatch.api.store import PipelineLike, Store
    from codebatch.compare import compare as comparisons
    from codebatch.export import links
    from codebatch.plan.policy import Settings
    from codebatch.snapshot import selection, take
    from codebatch.snapshot.git import base as bases
    from codebatch.snapshot.git import history
else:
    bases = lazy("codebatch.snapshot.git.base")
    comparisons = lazy("codebatch.compare.compare")
    exports = lazy("codebatch.export")
    links = lazy("codebatch.export.links")
    history = lazy("codebatch.snapshot.git.history")
    selection = lazy("codebatch.snapshot.selection")

_DIAGNOSTIC = "diagnostic"


@dataclass(frozen=True)
class CheckReport:
    """The findings that are new in batch ``head``, and those that are gone or less severe, against
    batch ``base``, and without those that a baseline file has; ``base`` is None where only such a
    file is compared with, ``base_commit`` where the base is none of git.

    ``unchanged`` counts the other findings of the head. ``stale`` are entries of the file that
    stand for nothing any more.
    """

    base: str | None
    head: str
    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    unchanged: int
    stale: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    base_commit: str | None = None
    base_words: str = ""
    selection: exports.Selection | None = field(default=None, repr=False)

    def export(self, format: str, stream: BinaryIO) -> exports.ExportReport:  # noqa: A002 - as of the command
        """Write the findings of the head with their state as ``sarif``, or what is new as
        ``github``, ``gitlab``, ``junit`` or ``md``.
        """
        assert self.selection is not None  # noqa: S101 - of a report that `check` has made
        return exports.export_records(self.selection, format, stream)

    def counts(self) -> Counter[str]:
        """Return how many findings are new by severity."""
        return Counter(str(finding.record["severity"]) for finding in self.new)

    def failing(self, severity: str) -> int:
        """Return how many findings are new that are at least so severe."""
        severe = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return sum(number for name, number in self.counts().items() if name in severe)

    def as_document(self) -> Document:
        """Return what ``check --json`` prints."""
        codes = Counter(str(finding.record["code"]) for finding in self.new)
        return {
            "base": self.base,
            "base_commit": self.base_commit,
            "head": self.head,
            "new": rows_of(self.new),
            "fixed": rows_of(self.fixed),
            "stale": [entry._asdict() for entry in self.stale],
            "summary": {
                "new": len(self.new),
                "fixed": len(self.fixed),
                "unchanged": self.unchanged,
                "stale": len(self.stale),
                "by_severity": dict(sorted(self.counts().items())),
                "by_code": dict(sorted(codes.items())),
            },
            "notes": list(self.notes),
        }


def rows_of(findings: Sequence[Finding]) -> list[Document]:
    """Return the records of findings, each with what has changed: added, removed or severity."""
    return [{**finding.record, "change": finding.change} for finding in findings]


def check(  # noqa: PLR0913 - what is compared, and how it is shown
    store: Store,
    root: PathLike = ".",
    base: IdLike | None = None,
    *,
    staged: bool = False,
    rev: str | None = None,
    baseline: PathLike | None = None,
    link_base: str | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> CheckReport:
    """Return what is new in a directory since ``base``: a revision of git, a name, a snapshot, or a
    batch, whose tree is what counts: the pipeline is run over it and over the directory, as far as
    that has not been done before. The directory is taken as it is, as it is ``staged``, or as it
    was at a revision ``rev``.

    Findings in the file ``baseline`` are not new. With it alone, there is no base. With neither,
    the base is what the build of a pull request names in ``environ`` (``os.environ``), else where
    the branch left its upstream or the default branch. The ``options`` are those of
    `finished_batch`.

    Links of the report are below the URL ``link_base``, or where ``environ`` says that the forge
    shows the files of the commit.
    """
    environ = os.environ if environ is None else environ
    known = None if baseline is None else read_baseline(os.fspath(baseline))
    tree, _ = selection.select(root)
    found, against = _Base(), None
    if base is not None or known is None:
        found = _find_base(store, root, base, environ)
        against = _run_base(store, root, found, options)
    head = finished_batch(store, root, staged=staged, rev=rev, **options)
    link_base = link_base or links.link_base_of(environ, head.asking.checkout.commit)
    return _report(head, against, found, known, folder=_folder_of(tree), link_base=link_base)


def finished_batch(  # noqa: PLR0913 - the options of a scan
    store: Store,
    tree: PathLike | Snapshot,
    *,
    staged: bool = False,
    rev: str | None = None,
    pipeline: PipelineLike | None = None,
    tasks: Sequence[TaskLike] = (),
    settings: Settings | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
    on_files: take.Progress | None = None,
    **run: Any,
) -> Batch:
    """Return the batch of a pipeline over a directory, which a snapshot is taken of, or over a
    snapshot, run unless it is done; `ShardFailedError` where shards of it fail. ``on_files`` is
    told of files as they are taken; ``run`` are options of `Batch.run`.
    """
    if not isinstance(tree, Snapshot):
        tree = store.snapshot(
            tree,
            include=include,
            exclude=exclude,
            ignore=ignore,
            max_file_bytes=max_file_bytes,
            progress=on_files,
            staged=staged,
            rev=rev,
        )
    batch = store.batch(tree, pipeline, tasks=tasks, settings=settings)
    if batch.load_status().status == DONE:
        return batch
    report = batch.run(**run)
    if report.status != DONE:
        failed, total = report.shards["failed"], report.shards["total"]
        why = f": {report.errors[0]['message']}" if report.errors else ""
        raise ShardFailedError(
            f"nothing can be compared: {failed} of {total} shards of {batch.id} failed{why}",
            hints=[f"try again: codebatch resume --batch {batch.id}"],
        )
    return batch


class _Base(NamedTuple):
    """The tree to compare with, a snapshot or a commit of the directory's repository, in words."""

    snapshot: Snapshot | None = None
    commit: str | None = None
    words: str = ""


def _find_base(
    store: Store, root: PathLike, base: IdLike | None, environ: Mapping[str, str]
) -> _Base:
    """Return the base that is named, or else the one that git and the environment tell of."""
    if base is not None and (found := _find_in_store(store, base)) is not None:
        return found
    here = os.fsencode(os.path.abspath(root))
    try:
        if base is None:
            commit, words = bases.find_base(here, environ)
        else:
            words = id_of(base)
            with history.open_history(here) as repository:
                commit = repository.require(words).hash
    except RepositoryNotFoundError as error:
        named = "no --base is given" if base is None else f"the store has no {id_of(base)}"
        raise BaseNotFoundError(
            f"there is nothing to compare with: {named}, and {os.fspath(root)} is in no git "
            "repository",
            hints=["give scans names, and name one: --base NAME", "or use --baseline FILE"],
        ) from error
    except RevisionNotFoundError as error:
        hints = [*error.hints, "or a name in the store: codebatch names"]
        raise RevisionNotFoundError(error.message, hints=hints) from error
    return _Base(None, commit, f"{words}, commit {commit[:12]}")


def _run_base(
    store: Store, root: PathLike, base: _Base, options: Mapping[str, Any]
) -> Batch | None:
    """Return the finished batch of a base; None where a commit has no such folder."""
    if base.snapshot is not None:
        return finished_batch(store, base.snapshot, **options)
    try:
        return finished_batch(store, root, rev=base.commit, **options)
    except SourceNotFoundError:
        return None


def _find_in_store(store: Store, base: IdLike) -> _Base | None:
    """Return the tree that an id or a name stands for; None for what is neither, which may be a
    revision.
    """
    text = id_of(base)
    named = resolve.find_named(store.directory, text)
    is_batch = (named or text).startswith(f"{BATCH_PREFIX}-")
    if named is None and not is_batch and not text.startswith(f"{SNAPSHOT_PREFIX}-"):
        if text.partition("~")[0] != LATEST:
            return None
        is_batch = True
    words = text if named is None else f"{text} ({named})"
    if is_batch:
        plan = store.directory.batches.load_plan(store.find_batch(text).id)
        text = plan.snapshot_id
    return _Base(store.find_snapshot(text), words=words)


def _folder_of(tree: PathLike) -> str:
    """Return where in the work tree of git a tree is, with a slash at the end."""
    here = os.path.realpath(os.fsencode(tree))
    try:
        with history.open_history(here) as repository:
            top = repository.top
    except CodeBatchError:
        return ""
    folder = b"" if top is None else os.path.relpath(here, os.path.realpath(top))
    return "" if folder in (b"", b".") else f"{os.fsdecode(folder)}/"


def _report(
    head: Batch, against: Batch | None, base: _Base, known: Baseline | None, **places: Any
) -> CheckReport:
    """Compare the head with a base and with what is known."""
    status = head.load_status()
    old, found, fixed, notes = None, None, list[Finding](), tuple[str, ...]()
    every = [*head.records(kind=_DIAGNOSTIC)] if known is not None or against is None else []
    if against is None:
        if base.commit is not None:
            notes = ("the base has no such folder: all is new",)
        new = [Finding(ADDED, record) for record in sorted(every, key=place_key)]
    else:
        old = against.load_status()
        filters = RecordFilter(kind=_DIAGNOSTIC)
        with expecting(head.directory.layout, against.id, head.id):
            found = comparisons.compare_batches(head.directory, old, status, filters)
        new, fixed = regressions(found.diff), improvements(found.diff, found.rename_map)
        notes = found.notes
    if known is not None:
        new = [finding for finding in new if entry_of(finding.record) not in known]
    return CheckReport(
        None if against is None else against.id,
        head.id,
        tuple(new),
        tuple(fixed),
        status.counts().by_kind.get(_DIAGNOSTIC, 0) - len(new),
        () if known is None else tuple(stale_entries(known, every)),
        notes,
        base.commit,
        base.words,
        exports.Selection(
            head.directory,
            status,
            RecordFilter(),
            base=old,
            baseline=known,
            comparison=found,
            with_absent=False,  # a forge would take what is fixed for an alert
            **places,
        ),
    )
