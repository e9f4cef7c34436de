"""What is new in a tree: its findings compared with those of a base, or with a baseline file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from codebatch.api.baselines import BaselineOf
from codebatch.api.batch import Batch
from codebatch.api.given import IdLike, PathLike, id_of
from codebatch.api.running import TaskLike
from codebatch.api.snapshots import Snapshot
from codebatch.compare.baseline import Baseline, Entry, entry_of, read_baseline
from codebatch.compare.diff import (
    ADDED,
    Finding,
    finding_rows,
    improvements,
    place_key,
    regressions,
)
from codebatch.display.displayed import Displayed, card
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
from codebatch.plan.policy import Policy
from codebatch.query.filters import RecordFilter
from codebatch.runtime.lazy import lazily
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES, part, resolve
from codebatch.store import BATCH_PREFIX, LATEST, SNAPSHOT_PREFIX, expecting

if TYPE_CHECKING:
    from codebatch.api.store import PipelineLike, Store
    from codebatch.plan.policy import Settings

with lazily():
    from codebatch import export as exports
    from codebatch.compare import compare as comparisons
    from codebatch.export import links
    from codebatch.snapshot import selection
    from codebatch.snapshot.git import base as bases
    from codebatch.snapshot.git import history

_DIAGNOSTIC = "diagnostic"
# Options of what of a tree is taken; the others are those of a run.
_TREE = frozenset({"include", "exclude", "ignore", "max_file_bytes", "on_files"})


@dataclass(frozen=True, repr=False)
class CheckReport(Displayed):
    """The findings that are new in batch ``head``, and those that are gone or less severe, against
    batch ``base``, and without those that a baseline file has; ``base`` is None where only such a
    file is compared with, ``base_commit`` where the base is none of git.

    ``unchanged`` counts the other findings of the head, ``suppressed`` those of the base that a
    comment suppresses now. ``stale`` are entries of the file that stand for nothing any more.
    """

    base: str | None
    head: str
    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    unchanged: int
    suppressed: int = 0
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
            "new": finding_rows(self.new),
            "fixed": finding_rows(self.fixed),
            "stale": [entry._asdict() for entry in self.stale],
            "summary": {
                "new": len(self.new),
                "fixed": len(self.fixed),
                "suppressed": self.suppressed,
                "unchanged": self.unchanged,
                "stale": len(self.stale),
                "by_severity": dict(sorted(self.counts().items())),
                "by_code": dict(sorted(codes.items())),
            },
            "notes": list(self.notes),
        }

    def _card(self) -> card.Card:
        facts = {
            "base": self.base_words or self.base,
            "batch": self.head,
            "new": card.by_severity(self.counts()),
            "fixed": len(self.fixed),
            "suppressed": self.suppressed or None,
            "stale": len(self.stale) or None,
            "unchanged": self.unchanged,
        }
        new = [finding.record for finding in self.new]
        tables = [card.findings_table(new, "new or more severe")] if new else []
        status = "new findings" if new else "ok"
        return card.Card("Check", "", status, facts, tables, notes=self.notes)


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
    that has not been done before, and of both over the same part. The directory is taken as it is,
    as it is ``staged``, or as it was at a revision ``rev``.

    Findings in the file ``baseline`` are not new. With it alone, there is no base. With neither,
    the base is what the build of a pull request names in ``environ`` (``os.environ``), else where
    the branch left its upstream or the default branch. The ``options`` are those of
    `finished_batch`.

    Links of the report are below the URL ``link_base``, or where ``environ`` says that the forge
    shows the files of the commit.
    """
    environ = os.environ if environ is None else environ
    known = None if baseline is None else read_baseline(os.fspath(baseline))
    tree, chosen = selection.select(root, *(options.get(n, ()) for n in ("include", "exclude")))
    settings = options.get("settings")
    if isinstance(settings, Policy):  # both sides are judged as the head is
        options["settings"] = replace(settings.at(os.fspath(tree)), folder=None)
    found = None
    if base is not None or known is None:
        found = _find_base(store, root, base, environ)
    taken = snapshot_of(store, root, staged=staged, rev=rev, **options)
    against = None if found is None else _run_base(store, root, found, taken, options)
    head = finished_batch(store, taken, **options)
    link_base = link_base or links.link_base_of(environ, head.asking.checkout.commit)
    places = {"folder": _folder_of(tree), "link_base": link_base}
    file = None if known is None else BaselineOf(known, os.fspath(baseline or ""), tree)
    report = _report(head, against, found, file and file.of_tree(), **places)
    stale = () if file is None else file.stale(head, head.records(kind=_DIAGNOSTIC), chosen)
    return replace(report, stale=tuple(stale), notes=(*_left_out(taken), *report.notes))


def snapshot_of(
    store: Store,
    root: PathLike,
    *,
    staged: bool = False,
    rev: str | None = None,
    **options: Any,
) -> Snapshot:
    """Return a snapshot of a directory by the options of a scan, of which those of the run say
    nothing here; ``on_files`` is told of files as they are taken.
    """
    chosen = {name: value for name, value in options.items() if name in _TREE}
    progress = chosen.pop("on_files", None)
    return store.snapshot(root, staged=staged, rev=rev, progress=progress, **chosen)


def finished_batch(
    store: Store,
    snapshot: Snapshot,
    *,
    pipeline: PipelineLike | None = None,
    tasks: Sequence[TaskLike] = (),
    settings: Settings | None = None,
    **options: Any,
) -> Batch:
    """Return the batch of a pipeline over a snapshot, run by the options of a scan unless it is
    done; `ShardFailedError` where shards of it fail.
    """
    batch = store.batch(snapshot, pipeline, tasks=tasks, settings=settings)
    if batch.load_status().status == DONE:
        return batch
    report = batch.run(**{name: value for name, value in options.items() if name not in _TREE})
    if report.status != DONE:
        failed, total = report.shards["failed"], report.shards["total"]
        why = f": {report.errors[0]['message']}" if report.errors else ""
        raise ShardFailedError(
            f"nothing can be compared: {failed} of {total} shards of {batch.id} failed{why}",
            hints=[f"try again: codebatch resume --batch {batch.id}"],
        )
    return batch


class _Base(NamedTuple):
    """The tree to compare with, in words: a snapshot of a tree at ``source``, or a commit of the
    directory's repository; neither where that has none yet.
    """

    words: str
    commit: str | None = None
    snapshot: Snapshot | None = None
    source: str | None = None


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
                is_unborn = words in ("HEAD", "@") and repository.head().commit is None
                commit = None if is_unborn else repository.require(words).hash
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
    if commit is None:
        return _Base(bases.NO_COMMIT)
    return _Base(f"{words}, commit {commit[:12]}", commit)


def _run_base(
    store: Store, root: PathLike, base: _Base, head: Snapshot, options: Mapping[str, Any]
) -> Batch | None:
    """Return the finished batch of a base; None where it has no such folder."""
    if base.snapshot is None and base.commit is None:
        return None
    try:
        if base.snapshot is None:
            taken = snapshot_of(store, root, rev=base.commit, **options)
        else:
            taken = _part_of(store, root, base, base.snapshot, head, options)
    except SourceNotFoundError:
        return None
    return finished_batch(store, taken, **options)


def _part_of(
    store: Store,
    root: PathLike,
    base: _Base,
    snapshot: Snapshot,
    head: Snapshot,
    options: Mapping[str, Any],
) -> Snapshot:
    """Return what is to be compared with of a base in the store."""
    patterns = (options.get(name, ()) for name in ("include", "exclude"))
    tree, chosen = selection.select(root, *patterns)
    result = part.take_part(
        store.directory,
        snapshot.id,
        base.source,
        tree,
        selection=chosen,
        max_file_bytes=options.get("max_file_bytes", DEFAULT_MAX_FILE_BYTES),
        beside=head.files,
    )
    # Of a tree that is all of it, the store keeps where it was taken.
    return Snapshot(store.directory, result.id, None if result.id == snapshot.id else result)


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
        batch = store.find_batch(text)
        snapshot = store.find_snapshot(store.directory.batches.load_plan(batch.id).snapshot_id)
        return _Base(words, None, snapshot, batch.asking.checkout.source)
    snapshot = store.find_snapshot(text)
    return _Base(words, None, snapshot, snapshot.asking.checkout.source)


def _left_out(head: Snapshot) -> Iterator[str]:
    """Yield what to say where little of a tree is looked at."""
    assert head.taken is not None  # noqa: S101 - it was taken just now
    number = len(part.patterns_left_out(head.taken.skipped))
    if number:
        paths = "file or folder" if number == 1 else "files and folders"
        yield f"include and exclude leave out {number:,} {paths}"
    if not head.taken.file_count:
        yield "there is no file to look at"


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
    head: Batch, against: Batch | None, base: _Base | None, known: Baseline | None, **places: Any
) -> CheckReport:
    """Compare the head with a base and with what is known."""
    status = head.load_status()
    old, found, fixed, notes = None, None, list[Finding](), tuple[str, ...]()
    if against is None:
        if base is not None and base.words != bases.NO_COMMIT:
            notes = ("the base has no such folder: all is new",)
        every = head.records(kind=_DIAGNOSTIC)
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
        0 if found is None else len(found.diff.suppressed),
        (),
        notes,
        base.commit if base else None,
        base.words if base else "",
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
