"""Baseline files written from a batch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from codebatch.api.given import PathLike
from codebatch.compare.baseline import (
    Baseline,
    BaselineReport,
    Entry,
    entries_of,
    in_order,
    read_baseline,
    write_baseline,
)
from codebatch.compare.compare import check_done
from codebatch.compare.diff import UNREAD
from codebatch.model.errors import BaselineInvalidError
from codebatch.model.records import Record, SkippedFile, path_key
from codebatch.query.rules import looking_for
from codebatch.snapshot.git.history import Head, find_head
from codebatch.snapshot.part import patterns_left_out
from codebatch.store.destination import writing_file

if TYPE_CHECKING:
    from codebatch.api.batch import Batch
    from codebatch.snapshot.selection import Selection

Change = Literal["create", "update", "prune"]

_ATTRIBUTES = ".gitattributes"
_UNION = "merge=union"
_PLAIN = re.compile(r"[\w.-]+")
_MOST_BYTES = 2**20


class BaselineOf(NamedTuple):
    """The entries of a file, and the tree that they are compared with."""

    entries: Baseline
    file: str
    tree: PathLike | None

    @property
    def folder(self) -> str:
        """The folder that the tree is in that of the file, with a slash at the end; nothing where
        it is elsewhere: then paths are relative to the tree.
        """
        if self.tree is None:
            return ""
        top, here = (os.path.realpath(one) for one in (Path(self.file).parent, self.tree))
        is_inside = here.startswith(os.path.join(top, ""))
        return f"{os.path.relpath(here, top)}/" if is_inside and here != top else ""

    def of_tree(self) -> Baseline:
        """Return the entries of files of the tree, with the paths that these have in it."""
        folder = self.folder
        inside = (one for one in self.entries if one.path.startswith(folder))
        return frozenset(one._replace(path=one.path.removeprefix(folder)) for one in inside)

    def placed(self, entries: Iterable[Entry]) -> Baseline:
        """Return entries of the tree with paths as in the file."""
        return frozenset(one._replace(path=self.folder + one.path) for one in entries)

    def stale(
        self, batch: Batch, findings: Iterable[Record], selected: Selection | None = None
    ) -> list[Entry]:
        """Return the entries, in the order of paths, of which none of the findings of a batch of
        the tree is left, as far as these were looked for: not with other rules, not where nothing
        is taken of, and not in files that cannot be looked at any more (`UNREAD`).
        """
        found = entries_of(findings)
        unread = {entry.path for entry in found if entry.code in UNREAD}
        plan = batch.load_status().plan
        is_looked_for = looking_for(plan)
        left_out = frozenset[str]()
        if selected is None:
            skipped = batch.directory.snapshots.load(plan.snapshot_id)["skipped"]
            left_out = frozenset(
                patterns_left_out(
                    SkippedFile(**one) for one in cast("list[dict[str, str]]", skipped)
                )
            )
        gone = (
            entry
            for entry in self.of_tree() - found
            if entry.path not in unread
            and is_looked_for(entry.code)
            and left_out.isdisjoint(_places(entry.path))
            and (selected is None or selected.takes(path_key(entry.path)))
        )
        return in_order(self.placed(gone))


def change_baseline(
    file: str,
    change: Change,
    batch: Batch,
    selected: Selection | None = None,
    *,
    attributes: bool = True,
) -> BaselineReport:
    """Write a file with the findings of a batch, which has to be done, of a tree, or of what is
    ``selected`` of it; `Batch.write_baseline` says how.
    """
    check_done(batch.load_status())
    findings = [*batch.records(kind="diagnostic")]
    before = BaselineOf(known_entries(file, change), file, batch.asking.checkout.source)
    after = before.entries - {*before.stale(batch, findings, selected)}
    if change != "prune":
        after |= before.placed(entries_of(findings))
    if after != before.entries or change == "create":
        write_baseline(file, after)
    return BaselineReport(
        file,
        batch.id,
        len(after),
        tuple(in_order(after - before.entries)),
        tuple(in_order(before.entries - after)),
        _told_git(Path(file)) if change != "prune" and attributes else None,
    )


def _places(path: str) -> Iterator[str]:
    """Yield a path and the folders it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def known_entries(file: str, change: Change) -> Baseline:
    """Return the entries of a file that is to be changed; of one to be made there are none, and it
    is an error if it is there.
    """
    if change != "create":
        return read_baseline(file)
    if os.path.lexists(file):
        hints = ["change it: codebatch baseline update", "or prune, for stale entries alone"]
        raise BaselineInvalidError(f"{file} is already there", hints=hints)
    return frozenset()


def _told_git(file: Path) -> str | None:
    """Tell git to keep the lines of both sides where it merges the file; return the file that says
    so, if it was written: outside of a work tree, and where something is said of the file, none is.
    """
    attributes = file.parent / _ATTRIBUTES
    if find_head(os.fsencode(file.parent.resolve())) == Head() or attributes.is_symlink():
        return None
    try:
        with attributes.open("rb") as stream:
            said = stream.read(_MOST_BYTES)
    except FileNotFoundError:
        said = b""
    if not _PLAIN.fullmatch(file.name) or len(said) == _MOST_BYTES or file.name.encode() in said:
        return None
    end = b"" if said.endswith(b"\n") or not said else b"\n"
    with writing_file(os.fspath(attributes)) as stream:
        stream.write(said + end + f"/{file.name} {_UNION}\n".encode())
    return os.fspath(attributes)
