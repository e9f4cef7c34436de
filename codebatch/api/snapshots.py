"""A snapshot in a store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from codebatch.api.given import PathLike
from codebatch.display.displayed import Displayed
from codebatch.model.records import FileRecord
from codebatch.runtime.lazy import lazily
from codebatch.store import Asking, StoreDirectory

if TYPE_CHECKING:
    from codebatch.display.card import Card
    from codebatch.snapshot import writer

with lazily():
    from codebatch.api import cards
    from codebatch.batch import sarif as logs


@dataclass(frozen=True, repr=False)
class Snapshot(Displayed):
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

    def import_sarif(self, log: PathLike | bytes, *, task: str | None = None) -> logs.ImportReport:
        """Make a batch that has the findings of a log alone; see `Batch.import_sarif`."""
        return logs.import_sarif(self.directory, logs.bytes_of(log), self.id, None, task)

    def _card(self) -> Card:
        return cards.snapshot_card(self.directory, self.id)
