"""What makes a directory a store: its ``store.json``. Making stores and opening them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from codebatch.digest import seal, unseal
from codebatch.errors import StoreError, StoreExistsError, StoreFormatError, StoreNotFoundError
from codebatch.store.files import read_file, reporting_write_errors, write_file
from codebatch.store.layout import Layout
from codebatch.store.store import StoreDirectory, pretty

FORMAT = "codebatch-store"
FORMAT_VERSION = 1


class OpenedStore(NamedTuple):
    """A store, and whether this call made it."""

    store: StoreDirectory
    created: bool


def init_store(root: Path) -> OpenedStore:
    """Make a store in a new or empty directory; one that is a store already is opened."""
    layout = Layout(root)
    if layout.store_document.exists():
        return OpenedStore(open_store(root), created=False)
    if root.exists() and not root.is_dir():
        raise StoreExistsError(f"{root} is a file: a store is a directory")
    if root.is_dir() and any(entry.name != ".gitignore" for entry in root.iterdir()):
        raise StoreExistsError(
            f"{root} is not empty and not a store",
            hints=["name a new or an empty directory"],
        )
    document = {"format": FORMAT, "version": FORMAT_VERSION, "store_id": os.urandom(16).hex()}
    with reporting_write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    write_file(layout.gitignore, b"*\n", durable=False)
    write_file(layout.store_document, pretty(seal(document)), durable=True)
    return OpenedStore(open_store(root), created=True)


def is_store(root: Path) -> bool:
    """Whether the directory holds a ``store.json`` of CodeBatch, of whatever version."""
    try:
        data = read_file(Layout(root).store_document)
    except StoreError:
        return False
    return data is not None and f'"{FORMAT}"'.encode() in data


def open_store(root: Path) -> StoreDirectory:
    """Open an existing store, or say why it cannot be."""
    hints = [f"make one: codebatch init {root}", "or name another with --store or CODEBATCH_STORE"]
    if not root.is_dir():
        raise StoreNotFoundError(f"no store at {root}: there is no such directory", hints=hints)
    data = read_file(Layout(root).store_document)
    if data is None:
        raise StoreNotFoundError(f"{root} is not a store: it has no store.json", hints=hints)
    if not is_store(root):
        raise StoreFormatError(f"{root} is not a CodeBatch store: store.json names another format")
    document = unseal(data, f"{root}/store.json")
    if document.get("version") != FORMAT_VERSION:
        raise StoreFormatError(
            f"{root} has store format {document.get('version')}, not {FORMAT_VERSION}",
            hints=["use the version of codebatch that wrote the store, or a newer one"],
        )
    layout = Layout(Path(os.path.abspath(root)))  # a process may change its folder
    return StoreDirectory(layout, str(document["store_id"]))
