"""Objects that show themselves: a ``repr`` of a few lines, and HTML in a notebook.

Neither fails, whatever the store is like by now: what cannot be shown is said in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import SupportsIndex, TypeVar, overload

from codebatch.model.errors import CodeBatchError
from codebatch.runtime.lazy import lazily

with lazily():
    from codebatch.display import card, html, text

__all__ = ["Displayed", "Rows", "card"]  # `card` is what `_card` makes

Row = TypeVar("Row")


class Displayed:
    """Has a representation as text and as HTML, of the card that `_card` returns."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _rendered(self, text.card_text)

    def _repr_html_(self) -> str:
        return _rendered(self, html.card_html)

    def _card(self) -> card.Card:
        """Return what is shown: little is read for it, and nothing written."""
        return card.card_of_fields(self)


def _rendered(displayed: Displayed, render: Callable[[card.Card], str]) -> str:
    """Return what is made of the card of an object; where there is none, of one that says why."""
    try:
        return render(displayed._card())  # noqa: SLF001 - its own
    except CodeBatchError as error:
        status, note = error.code.lower().replace("_", " "), error.message
    except Exception as error:  # noqa: BLE001 - said below: a repr that fails hides what it is of
        status, note = "cannot be shown", f"{type(error).__name__}: {error}"
    name = getattr(displayed, "id", None) or getattr(displayed, "path", "")
    return render(card.Card(card.title_of(displayed), str(name), status, notes=[note]))


class Rows(Displayed, list[Row]):
    """A list of rows, which shows the first of them as a table: of the ``columns`` that say most,
    or of all.
    """

    __slots__ = ("columns",)

    def __init__(self, rows: Iterable[Row] = (), columns: Sequence[str] = ()) -> None:
        super().__init__(rows)
        self.columns = tuple(columns)

    def __reduce__(self) -> tuple[type[Rows[Row]], tuple[list[Row], tuple[str, ...]]]:
        return type(self), (list(self), self.columns)

    def _card(self) -> card.Card:
        rows = [card.row_of(row) for row in self[: card.MOST_ROWS]]
        title = f"{len(self):,} row{'' if len(self) == 1 else 's'}"
        table = card.table_of(rows, len(self), columns=self.columns)
        return card.Card(title, tables=[table] if rows else ())

    @overload
    def __getitem__(self, place: SupportsIndex) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Rows[Row]: ...

    def __getitem__(self, place: SupportsIndex | slice) -> Row | Rows[Row]:
        if isinstance(place, slice):
            return type(self)(super().__getitem__(place), self.columns)
        return super().__getitem__(place)
