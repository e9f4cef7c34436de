"""SQL over several batches of a store at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import cast

from codebatch.api.given import IdLike, id_of
from codebatch.api.results import Results, warn_unfinished
from codebatch.display.displayed import Rows
from codebatch.model.digest import Document
from codebatch.model.errors import BatchNotFoundError, BatchUnfinishedError, UsageError
from codebatch.runtime.lazy import lazily
from codebatch.snapshot import resolve
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory, expecting

with lazily():
    from codebatch.query import sql

ALL = "all"

Batches = Sequence[IdLike] | IdLike | None  # None and "all" are those that have something done


class Several:
    """The questions to several batches of a store, which is that of ``directory``."""

    directory: StoreDirectory

    def sql(
        self,
        statement: str,
        *,
        batches: Batches = None,
        timeout: float | None = None,
        engine: str = "sqlite",
    ) -> Rows[Document]:
        """The rows of one SELECT over several batches, or all that have records: the tables of
        `Batch.sql`, with a column ``batch`` that holds the id. ``batches`` are ids as in
        `Store.find_batch`, or batches; None and ``"all"`` are all.
        """
        with question_about(self.directory, batches, engine=engine) as question:
            return Rows(sql.run_sql(question, statement, timeout).rows)

    def sql_schema(self, table: str | None = None, *, batches: Batches = None) -> Rows[Document]:
        """Return a row for each column of the tables of `sql`, as `Batch.sql_schema` does."""
        with question_about(self.directory, batches) as question:
            return Rows(sql.schema_rows(question, table))


@contextmanager
def question_about(
    directory: StoreDirectory,
    batches: Batches,
    on_unfinished: Callable[[str], None] = warn_unfinished,
    engine: str = "sqlite",
) -> Iterator[sql.Question]:
    """What statements over these batches ask, or over all; in the block an error that comes of the
    removal of one of them says so.

    A batch that is given must have something done. Of all, those that have not are left out.
    """
    named = _find(directory, batches)
    if named is None:
        statuses = _all_readable(directory, on_unfinished)
    else:
        statuses = [_readable(Results(directory, one), on_unfinished) for one in named]
    if not statuses:
        raise BatchUnfinishedError(
            f"no batch of {directory.root} has records to read",
            hints=["do everything at once: codebatch scan DIR"],
        )
    with expecting(directory.layout, *(one.batch_id for one in statuses)):
        yield sql.Question(directory, statuses, several=True, engine=engine)


def _find(directory: StoreDirectory, batches: Batches) -> list[str] | None:
    """Return the ids of batches, each once; None for all."""
    if batches is None or batches == ALL:
        return None
    is_one = isinstance(batches, str) or not isinstance(batches, Sequence)
    named = [cast("IdLike", batches)] if is_one else list(cast("Sequence[IdLike]", batches))
    if not named:
        raise UsageError("no batch is named", hints=["name one, or ask all of them"])
    return list(dict.fromkeys(resolve.find_batch(directory, id_of(one)) for one in named))


def _all_readable(
    directory: StoreDirectory, on_unfinished: Callable[[str], None]
) -> list[BatchStatus]:
    found = []
    for batch_id in sorted(directory.batches.ids()):
        # Removed meanwhile, or nothing of it is done.
        with suppress(BatchNotFoundError, BatchUnfinishedError):
            found.append(_readable(Results(directory, batch_id), on_unfinished))
    return found


def _readable(batch: Results, on_unfinished: Callable[[str], None]) -> BatchStatus:
    batch.on_unfinished = on_unfinished
    return batch.load_readable()
