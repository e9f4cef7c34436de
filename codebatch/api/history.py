"""Batches along the commits of a repository: how numbers went, and where a finding came in.

Each revision has the batch that a scan of its checkout would give, so that what was computed once
is reused, by a later walk as well as by one that goes on after it was killed.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from codebatch.api.given import PathLike
from codebatch.api.walk import OnStep, Walk
from codebatch.compare.blame import counterpart, find_finding
from codebatch.compare.compare import compare_batches
from codebatch.compare.diff import improvements, regressions
from codebatch.compare.trend import Measuring, Number, parse_measure
from codebatch.display.displayed import Displayed, card
from codebatch.model.clock import moment_at
from codebatch.model.digest import Document
from codebatch.model.records import DONE, SEVERITIES, Counts, Record
from codebatch.query.filters import RecordFilter
from codebatch.snapshot.git.ancestry import CommitInfo
from codebatch.snapshot.git.history import History as Repository
from codebatch.snapshot.git.history import open_history
from codebatch.snapshot.revisions import Chosen, check_chosen, choose, ends_of, tags_by_commit
from codebatch.status.batch_status import BatchStatus, load_batch_status

if TYPE_CHECKING:
    from codebatch.api.store import Store

SHORT = 10
# How a search for a finding has ended: at the commit that brought it, or at the oldest there is.
INTRODUCED, OUTSIDE, CUT = "introduced", "outside", "cut"
_LAST_SECOND = 253_402_300_799  # of the year 9999


@dataclass(frozen=True, repr=False)
class Revision(Displayed):
    """A commit with the numbers of its batch. ``metrics`` are values by the name of the measure,
    ``new`` and ``fixed`` the findings that came and went since the revision before, where that was
    asked for and there is one.
    """

    commit: str
    subject: str
    date: str | None
    tags: tuple[str, ...]
    batch_id: str
    snapshot_id: str
    status: str
    result: str | None
    files: int
    counts: Counts
    metrics: Mapping[str, Number | None] = field(default_factory=dict)
    new: int | None = None
    fixed: int | None = None

    def as_document(self) -> Document:
        """Return what ``history --json`` prints of it."""
        counts = self.counts
        return {
            "commit": self.commit,
            "subject": self.subject,
            "date": self.date,
            "tags": list(self.tags),
            "batch_id": self.batch_id,
            "snapshot_id": self.snapshot_id,
            "status": self.status,
            "result": self.result,
            "files": self.files,
            "records": counts.records,
            "findings": counts.diagnostics,
            "by_severity": dict(counts.by_severity),
            "by_code": dict(counts.by_code),
            "metrics": dict(self.metrics),
            "new": self.new,
            "fixed": self.fixed,
        }

    def as_row(self, codes: Sequence[str] = ()) -> Document:
        """Return it flat: a field for each severity, each of these codes, and each measure."""
        document = self.as_document()
        severities, by_code = document.pop("by_severity"), document.pop("by_code")
        metrics = document.pop("metrics")
        changes = {name: document.pop(name) for name in ("new", "fixed")}
        assert isinstance(severities, dict)  # noqa: S101 - told to the type checker
        assert isinstance(by_code, dict)  # noqa: S101
        assert isinstance(metrics, dict)  # noqa: S101
        return {
            "revision": self.commit[:SHORT],
            **document,
            **{name: severities.get(name, 0) for name in SEVERITIES},
            **{code: by_code.get(code, 0) for code in codes},
            **metrics,
            **{name: number for name, number in changes.items() if number is not None},
        }

    def _card(self) -> card.Card:
        facts = {
            "subject": self.subject,
            "date": self.date,
            "tags": ", ".join(self.tags) or None,
            "batch": self.batch_id,
            "files": self.files,
            "findings": card.by_severity(self.counts.by_severity),
            **self.metrics,
            "new": self.new,
            "fixed": self.fixed,
        }
        return card.Card("Revision", self.commit[:SHORT], self.status, facts)


@dataclass(frozen=True, repr=False)
class History(Displayed):
    """The revisions that were asked for, each behind its parents and else the oldest first."""

    revisions: tuple[Revision, ...]

    def __iter__(self) -> Iterator[Revision]:
        return iter(self.revisions)

    def __len__(self) -> int:
        return len(self.revisions)

    def as_document(self) -> Document:
        """Return what ``history --json`` prints."""
        return {"revisions": [revision.as_document() for revision in self.revisions]}

    def rows(self, codes: Sequence[str] = ()) -> list[Document]:
        """Return a row a revision, with a field for each of these codes."""
        return [revision.as_row(codes) for revision in self.revisions]

    def _card(self) -> card.Card:
        measures = [*self.revisions[-1].metrics, "new", "fixed"] if self.revisions else []
        columns = ("revision", "date", "subject", "files", "findings", *measures)
        rows = [revision.as_row() for revision in self.revisions[-card.MOST_ROWS :]]
        filled = [name for name in columns if any(row.get(name) is not None for row in rows)]
        number = len(self)
        older = number - len(rows)
        notes = [f"and {older:,} older ones: rows() gives all"] if older else []
        title = f"History of {number:,} revision{'' if number == 1 else 's'}"
        table = [card.table_of(rows, len(rows), columns=filled)] if rows else []
        return card.Card(title, tables=table, notes=notes)


@dataclass(frozen=True, repr=False)
class Blame(Displayed):
    """Where a finding came in. ``how`` says what ``commit`` is: the one that has ``introduced`` it,
    or the oldest that was looked at and has it, where its parents are ``outside`` of the range and
    have it as well, or were ``cut`` off: the clone is shallow.

    ``finding`` is the record in the newest revision, ``origin`` the same in that commit, which has
    the batch ``batch_id``. ``merge`` is the merge that brought it to the branch, None where it was
    committed there. ``revisions`` is how many were looked at.
    """

    finding: Record
    newest: CommitInfo
    how: str
    commit: CommitInfo
    batch_id: str
    origin: Record
    merge: CommitInfo | None
    revisions: int

    def as_document(self) -> Document:
        """Return what ``blame --json`` prints."""
        return {
            "finding": self.finding,
            "newest": _said(self.newest),
            "how": self.how,
            "commit": _said(self.commit),
            "batch_id": self.batch_id,
            "origin": self.origin,
            "merge": None if self.merge is None else _said(self.merge),
            "revisions": self.revisions,
        }

    def _card(self) -> card.Card:
        facts = {
            "commit": f"{self.commit.hash[:SHORT]} {self.commit.subject}",
            "merge": self.merge and f"{self.merge.hash[:SHORT]} {self.merge.subject}",
            "batch": self.batch_id,
            "looked at": f"revisions from {self.newest.hash[:SHORT]} on: {self.revisions:,}",
        }
        tables = [card.findings_table([self.origin], "the finding there")]
        return card.Card("Blame", "", self.how, facts, tables)


def history(  # noqa: PLR0913 - which revisions, and what of them
    store: Store,
    root: PathLike = ".",
    *,
    revs: str | None = None,
    every: int | None = None,
    tags: bool = False,
    first_parent: bool = False,
    metrics: Sequence[str] = (),
    changes: bool = False,
    progress: OnStep = lambda *_: None,
    **options: Any,
) -> History:
    """Return the numbers of revisions of a repository, whose batches are made and run as far as
    they are not there: of the range ``revs``, ``A..B``, or all up to ``B`` (``HEAD``); of these
    each ``every``th, and those that have ``tags``; with ``first_parent``, nothing that came by
    merges. ``root`` is a work tree, a folder of one, or a bare repository.

    ``metrics`` are measures as ``complexity`` (the sum), ``complexity:max``, ``:mean``, ``:count``.
    With ``changes``, each batch is compared with the one before. ``options`` are those of a scan
    and of `Batch.run`. ``progress`` is called with what goes on, ``plan`` or ``run``, and how many
    revisions of how many it is done with.
    """
    chosen = Chosen(revs, every, tags, first_parent)
    check_chosen(chosen)
    measuring = Measuring(store.directory, [parse_measure(text) for text in metrics])
    walk = Walk(store, root, **options)
    with open_history(os.fsencode(root)) as repository:
        commits, names = choose(repository, chosen), tags_by_commit(repository)
        batches = []
        for number, commit in enumerate(commits, 1):
            batches.append(walk.batch(repository, commit))
            progress("plan", number, len(commits))
    totals = walk.run(batches, progress)
    found: list[Revision] = []
    before: BatchStatus | None = None
    for commit, batch in zip(commits, batches, strict=True):
        status = load_batch_status(store.directory, batch.id, totals=totals.get(batch.id))
        made = _revision(commit, names.get(commit.hash, ()), status)
        made = replace(made, metrics=measuring.values(status))
        if changes and before is not None and {before.status, status.status} == {DONE}:
            new, fixed = _changes(store, before, status)
            made = replace(made, new=new, fixed=fixed)
        found.append(made)
        before = status
    return History(tuple(found))


def blame(
    store: Store, finding: str, root: PathLike = ".", *, revs: str | None = None, **options: Any
) -> Blame:
    """Return where a finding of the newest revision came in: of the range ``revs``, or of ``HEAD``.
    It is named by its fingerprint or the beginning of it, ``PATH:LINE`` or ``PATH:LINE:CODE``.

    From the newest, first parents are looked at until one is without it. Where a merge brought it,
    the search goes on in what was merged. Batches are made and run as `history` does.
    """
    walk = Walk(store, root, **options)
    with open_history(os.fsencode(root)) as repository:
        old, new = ends_of(repository, revs)
        inside = None if old is None else set(repository.between(old, new))
        newest = repository.commit_info(new)
        batch = walk.batch(repository, newest)
        found = find_finding(store.directory, walk.done(batch), finding)
        search = _Search(walk, repository, inside, newest, found)
        while (how := search.step()) is None:
            pass
        walk.batch(repository, newest)  # asked for last, so that it stays the latest
    at = search.status.batch_id, search.origin, search.merge, walk.revisions
    return Blame(found, newest, how, search.commit, *at)


class _Search:
    """Goes back from a commit that has a finding. State: ``commit`` is the oldest that is known to
    have it, ``status`` its batch, ``origin`` the finding there; ``merge`` see `Blame`.
    """

    def __init__(
        self,
        walk: Walk,
        repository: Repository,
        inside: Container[str] | None,
        commit: CommitInfo,
        finding: Record,
    ) -> None:
        self._walk = walk
        self._repository = repository
        self._inside = inside
        self.commit = commit
        self.status = walk.batch(repository, commit).load_status()
        self.origin = finding
        self.merge: CommitInfo | None = None

    def step(self) -> str | None:
        """Go to the first of the parents that has the finding; where none has it, or none can be
        gone to, return what the commit is.
        """
        if self._repository.is_cut(self.commit.hash):
            return CUT
        for number, parent in enumerate(self.commit.parents):
            commit = self._repository.commit_info(parent)
            batch = self._walk.batch(self._repository, commit)
            status = self._walk.done(batch, [self.status.batch_id])
            origin = counterpart(self._walk.store.directory, status, self.status, self.origin)
            if origin is None:
                continue
            if self._inside is not None and parent not in self._inside:
                return OUTSIDE
            if number:
                self.merge = self.merge or self.commit
            self.commit, self.status, self.origin = commit, status, origin
            return None
        return INTRODUCED


def date_of(commit: CommitInfo) -> str | None:
    """Return when a commit says it was made, in UTC; None where that is no time."""
    return moment_at(commit.time * 10**9)[:19] + "Z" if 0 <= commit.time <= _LAST_SECOND else None


def _said(commit: CommitInfo) -> Document:
    return {"hash": commit.hash, "subject": commit.subject, "date": date_of(commit)}


def _revision(commit: CommitInfo, tags: tuple[str, ...], status: BatchStatus) -> Revision:
    return Revision(
        commit.hash,
        commit.subject,
        date_of(commit),
        tags,
        status.batch_id,
        status.plan.snapshot_id,
        status.status,
        status.result,
        status.plan.files,
        status.counts(),
    )


def _changes(store: Store, before: BatchStatus, status: BatchStatus) -> tuple[int, int]:
    """Return how many findings came and went."""
    only = RecordFilter(kind="diagnostic")
    found = compare_batches(store.directory, before, status, only)
    return len(regressions(found.diff)), len(improvements(found.diff, found.rename_map))
