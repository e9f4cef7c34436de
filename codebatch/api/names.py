"""The names of a store as a mapping: ``store.names["main"] = batch``."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from codebatch.api.given import IdLike, id_of
from codebatch.display.displayed import Displayed, card
from codebatch.model.clock import now
from codebatch.model.digest import Document
from codebatch.model.errors import NameNotFoundError
from codebatch.snapshot.resolve import find_batch, find_snapshot
from codebatch.store import SNAPSHOT_PREFIX, StoreDirectory


class NameTable(Displayed, MutableMapping[str, str]):
    """The ids by name. Set one to a snapshot, a batch, or what `Store.find` takes for a batch; a
    name that is there is re-pointed. What has a name cannot be removed.

    >>> store.names["main"] = batch
    >>> store.find_batch("main").id == batch.id
    True
    """

    def __init__(self, directory: StoreDirectory) -> None:
        self._directory = directory

    def __getitem__(self, name: str) -> str:
        try:
            return self._directory.names.load(name).id
        except NameNotFoundError as error:
            raise KeyError(name) from error

    def __setitem__(self, name: str, value: IdLike) -> None:
        self.point(name, value)

    def __delitem__(self, name: str) -> None:
        try:
            self._directory.names.remove(name)
        except NameNotFoundError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._directory.names.listed())

    def __len__(self) -> int:
        return len(self._directory.names.listed())

    def point(self, name: str, value: IdLike) -> str | None:
        """Set a name; return the id that it held before, None where it is new."""
        return self._directory.names.point(name, self._id_of(value), now())

    def remove(self, *names: str) -> None:
        """Remove names: all, or none where one is not there (`NameNotFoundError`)."""
        for name in names:
            if not self._directory.names.has(name):
                self._directory.names.load(name)
        for name in names:
            self._directory.names.remove(name)

    def rows(self) -> list[Document]:
        """One row a name, sorted: ``name, id, set``."""
        return [name._asdict() for name in self._directory.names.all()]

    def _card(self) -> card.Card:
        rows = self.rows()
        tables = [card.table_of(rows)] if rows else []
        return card.Card("Names", tables=tables, notes=[] if rows else ["there is none yet"])

    def _id_of(self, value: IdLike) -> str:
        if not isinstance(value, str):
            return id_of(value)
        is_snapshot = value.startswith(f"{SNAPSHOT_PREFIX}-")
        return (find_snapshot if is_snapshot else find_batch)(self._directory, value)
