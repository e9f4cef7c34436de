"""What is new in a tree: its findings compared with those of a base, or with a baseline file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from codebatch.api.batch import Batch, TaskLike
from codebatch.api.given import IdLike, PathLike, id_of
from codebatch.compare.baseline import (
    Baseline,
    Entry,
    entry_of,
    read_baseline,
    stale_entries,
)
from codebatch.compare.diff import ADDED, Finding, improvements, place_key, regressions
from codebatch.model.digest import Document
from codebatch.model.errors import BaseNotFoundError, ShardFailedError
from codebatch.model.records import DONE, SEVERITIES
from codebatch.query.filters import RecordFilter
from codebatch.runtime.lazy import lazy
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES, resolve
from codebatch.store import BATCH_PREFIX, LATEST, SNAPSHOT_PREFIX

if TYPE_CHECKING:
    from codebatch import export as exports
    from codebatch.api.snapshots import Snapshot
    from codebatch.api.store import PipelineLike, Store
    from codebatch.plan.pipeline import Settings
    from codebatch.snapshot import take
else:
    exports = lazy("codebatch.export")

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
        """Write the findings as ``sarif``, all with their state, or what is new as ``github``,
        ``gitlab``, ``junit`` or ``md``.
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


def check(  # noqa: PLR0913 - what is compared, and the options of a scan
    store: Store,
    root: PathLike = ".",
    base: IdLike | None = None,
    *,
    staged: bool = False,
    rev: str | None = None,
    baseline: PathLike | None = None,
    pipeline: PipelineLike | None = None,
    tasks: Sequence[TaskLike] = (),
    settings: Settings | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
    environ: Mapping[str, str] | None = None,
    on_files: take.Progress | None = None,
    **run: Any,
) -> CheckReport:
    """Return what is new in a directory since ``base``: a revision of git, a name, a snapshot, or a
    batch, whose tree is what counts: the pipeline is run over it and over the directory, as far as
    that has not been done before. The directory is taken as it is, as it is ``staged``, or as it
    was at a revision ``rev``.

    Findings in the file ``baseline`` are not new. With it alone, there is no base. With neither,
    the base is what the build of a pull request names in ``environ`` (``os.environ``), else where
    the branch left its upstream or the default branch.

    ``on_files`` is told of files while a snapshot is taken; ``run`` are options of `Batch.run`.
    """
    known = None if baseline is None else read_baseline(os.fspath(baseline))
    selection: dict[str, Any] = {
        "include": include,
        "exclude": exclude,
        "ignore": ignore,
        "max_file_bytes": max_file_bytes,
        "progress": on_files,
    }

    def ran(snapshot: Snapshot) -> Batch:
        return _run(store.batch(snapshot, pipeline, tasks=tasks, settings=settings), run)

    against, found_base = None, _Base(None)
    if base is not None or known is None:
        found_base = _find_base(store, root, base, selection, environ)
        against = None if found_base.snapshot is None else ran(found_base.snapshot)
    head = ran(store.snapshot(root, **_head_of(staged=staged, rev=rev), **selection))
    return _report(store, head, against, found_base, known)


class _Base(NamedTuple):
    """The tree to compare with: None where there is none, and the commit if it is one."""

    snapshot: Snapshot | None
    commit: str | None = None
    words: str = ""


def _find_base(
    store: Store,
    root: PathLike,
    base: IdLike | None,
    selection: Mapping[str, Any],
    environ: Mapping[str, str] | None,
) -> _Base:
    """Return the base that is named, or else the one that git and the environment tell of."""
    if base is not None and (found := _find_in_store(store, base)) is not None:
        return found
    raise BaseNotFoundError(
        "there is nothing to compare with: no --base is given, and this is no git repository",
        hints=["name one: --base NAME, a name that a scan was given", "or use --baseline FILE"],
    )


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


def _head_of(*, staged: bool, rev: str | None) -> dict[str, Any]:
    """Return what of a work tree is taken."""
    return {name: value for name, value in (("staged", staged), ("rev", rev)) if value}


def _run(batch: Batch, options: Mapping[str, Any]) -> Batch:
    """Return the batch when it is done; `ShardFailedError` where shards of it have failed."""
    if batch.load_status().status == DONE:
        return batch
    report = batch.run(**options)
    if report.status != DONE:
        failed, total = report.shards["failed"], report.shards["total"]
        why = f": {report.errors[0]['message']}" if report.errors else ""
        raise ShardFailedError(
            f"nothing can be compared: {failed} of {total} shards of {batch.id} failed{why}",
            hints=[f"try again: codebatch resume --batch {batch.id}"],
        )
    return batch


def _report(
    store: Store, head: Batch, against: Batch | None, base: _Base, known: Baseline | None
) -> CheckReport:
    status = head.load_status()
    found, fixed, notes = None, list[Finding](), tuple[str, ...]()
    every = [*head.records(kind=_DIAGNOSTIC)] if known is not None or against is None else []
    if against is None:
        new = [Finding(ADDED, record) for record in sorted(every, key=place_key)]
    else:
        found = store.compare(against, head, kind=_DIAGNOSTIC)
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
            store.directory,
            status,
            RecordFilter(),
            base=None if against is None else against.load_status(),
            baseline=known,
            comparison=found,
        ),
    )
