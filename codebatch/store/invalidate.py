"""Dropping what is damaged or outdated, safely beside writers who may replace it meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from codebatch.model.errors import StoreError
from codebatch.store.files import reporting_write_errors, temporary_name
from codebatch.store.store import StoreDirectory


def drop_result(store: StoreDirectory, batch_id: str) -> None:
    """Have a batch count as unfinished, durably: what is computed of it from now on is neither
    durable nor believed before it has a result again.

    A document that cannot be read is left to whoever restores it, by the states.
    """
    try:
        document = store.load_batch(batch_id)
    except StoreError:
        return
    if document.get("result") is not None:
        document.pop("finished", None)
        store.save_batch_document(batch_id, {**document, "result": None})


def drop_file(store: StoreDirectory, path: Path, is_whole: Callable[[str], bool]) -> bool:
    """Remove a file, unless it is whole by now; whether it was removed.

    It is moved aside first and looked at there, so that what is removed is what was looked at;
    one that turns out whole is put back. A folder in its place stays aside, under a name that
    readers ignore.
    """
    door = store.layout.door
    if not door.is_there(path) or is_whole(os.fspath(path)):
        return False
    aside = path.with_name(temporary_name() + path.suffix)
    with reporting_write_errors(path.parent), door.folder(path.parent) as folder:
        try:
            folder.rename(path.name, aside.name)
        except FileNotFoundError:
            return False
        if stat.S_ISDIR(folder.status(aside.name).st_mode):
            return True
        if is_whole(os.fspath(aside)):
            folder.rename(aside.name, path.name)
            return False
        folder.unlink(aside.name)
    return True
