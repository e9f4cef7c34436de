"""A snapshot in a store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from codebatch.model.records import FileRecord
from codebatch.store import Asking, StoreDirectory

if TYPE_CHECKING:
    from codebatch.snapshot import writer


@dataclass(frozen=True)
class Snapshot:
    """A snapshot; ``taken`` says what taking it found, where this process took it."""

    directory: StoreDirectory
    id: str
    taken: writer.SnapshotResult | None = None

    @property
    def asking(self) -> Asking:
        """When it was last taken, and of which tree: its folder, branch and commit, each None where
        that is not known.
        """
        return self.directory.asking_of(self.id)

    @cached_property
    def files(self) -> list[FileRecord]:
        """The manifest: path, object, size and mode of each file, in path order."""
        return self.directory.snapshots.load_manifest(self.id)
