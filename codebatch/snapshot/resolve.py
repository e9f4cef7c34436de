"""What is meant where a snapshot or a batch is named: the one place that decides.

It is an id, or a unique prefix of one; ``latest``, or ``latest~2`` for the second before it; or a
name, which never has the form of these. What is none of them may be a revision of the git
repository around the current folder: it means what has just the files of that commit.
"""

from __future__ import annotations

import contextlib
import os

from codebatch.model.clock import seconds
from codebatch.model.errors import (
    BatchNotFoundError,
    InvalidIdError,
    RepositoryNotFoundError,
    SnapshotNotFoundError,
    StoreError,
)
from codebatch.runtime.lazy import lazily
from codebatch.store import BATCH_PREFIX, LATEST, Documents, StoreDirectory, removal_of

with lazily():
    from codebatch.snapshot import of_commit
    from codebatch.snapshot.git import history

_NAMED = 5


def find_batch(store: StoreDirectory, text: str) -> str:
    """Return the id of the batch that is meant; `BatchNotFoundError` where there is none."""
    named = find_named(store, text)
    if named is None:
        return _found(store, text, store.batches)
    if not named.startswith(f"{BATCH_PREFIX}-"):
        raise BatchNotFoundError(
            f"the name {text} holds {named}, which is no batch",
            hints=[f"plan one: codebatch batch init --snapshot {text}"],
        )
    return named


def find_batch_here(store: StoreDirectory) -> str | None:
    """Return the batch that was last asked for over a tree that the current folder is in, or is;
    None where there is none.
    """
    try:
        here = os.path.join(os.path.realpath(os.getcwd()), "")
    except FileNotFoundError:  # it was removed
        return None
    for one in newest_asked(store.batches):
        with contextlib.suppress(StoreError):  # of one that is damaged, it cannot be said
            source = store.asking_of(one).checkout.source
            if source is not None and here.startswith(os.path.join(os.path.realpath(source), "")):
                return one
    return None


def find_snapshot(store: StoreDirectory, text: str) -> str:
    """Return the id of the snapshot that is meant, of a name for a batch the one that it was
    planned over; `SnapshotNotFoundError` where there is none.
    """
    named = find_named(store, text)
    if named is None:
        return _found(store, text, store.snapshots)
    if named.startswith(f"{BATCH_PREFIX}-"):
        return find_id(store.snapshots, str(store.batches.load(named)["snapshot_id"]))
    return named


def newest_asked(kind: Documents) -> list[str]:
    """Return the ids of all snapshots or batches, the one that was asked for last first."""
    return kind.newest_asked(seconds())


def find_id(kind: Documents, text: str) -> str:
    """Return what an id, a prefix, ``latest`` or ``latest~2`` means."""
    return kind.find(text, seconds())


def find_named(store: StoreDirectory, text: str) -> str | None:
    """Return what a name holds, if it is there; None where there is no such name."""
    if not store.names.has(text):
        return None
    name = store.names.load(text)
    if gone := removal_of(store.layout, name.id):
        hints = [f"remove the name: codebatch name rm {text}", "or set it again"]
        raise type(gone)(f"the name {text} holds {name.id}, which is not there", hints=hints)
    return name.id


def find_revision(store: StoreDirectory, text: str, kind: Documents) -> str | None:
    """Return the newest snapshot or batch that has the files of a commit; None where the text names
    no commit here. An error says that nothing in the store has them.
    """
    with contextlib.ExitStack() as opened:
        try:
            found = opened.enter_context(history.open_history(os.getcwdb()))
        except (RepositoryNotFoundError, FileNotFoundError):
            return None
        commit = found.resolve(text)
        if commit is None:
            return None
        match = of_commit.CommitMatch(store, found, text)
        for one in newest_asked(kind):
            with contextlib.suppress(StoreError):  # of one that is damaged, it cannot be said
                if match.has_files_of(str(kind.load(one)["snapshot_id"])):
                    return one
    raise kind.missing(
        f"no {kind.noun} in the store has the files of {text} (commit {commit[:12]})",
        hints=[f"take it: codebatch scan DIR --rev {text}"],
    )


def _found(store: StoreDirectory, text: str, kind: Documents) -> str:
    """Return what is found; the error where nothing is lists the names, too."""
    try:
        return find_id(kind, text)
    except (BatchNotFoundError, SnapshotNotFoundError, InvalidIdError) as error:
        is_latest = text.partition("~")[0] == LATEST
        if not is_latest and (found := find_revision(store, text, kind)) is not None:
            return found
        names = store.names.listed()
        more = [f"or the names: codebatch names ({', '.join(names[:_NAMED])})"] if names else []
        if isinstance(error, InvalidIdError):
            more.append("nor is it a commit of a git repository around the current folder")
        raise type(error)(error.message, hints=[*error.hints, *more]) from None
