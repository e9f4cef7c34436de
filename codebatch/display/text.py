"""A card as lines of text. They hold nothing that could steer a terminal, and letters beyond ASCII
only where what is shown has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from codebatch.display.card import Bar, Card, Counts, Table
from codebatch.display.widths import GAP, fitted, padded, shortened, text_width
from codebatch.display.words import cell, numeric_columns, printable

_WIDEST_VALUE, _WIDEST_CELL, _WIDEST_WORD = 100, 48, 40
_WIDEST_TABLE = 116
_LONGEST = 2_000  # of a text that is looked at, before it is cut
_LONGEST_LIST = 50
_BAR = 20
_MARK = "..."


def card_text(card: Card) -> str:
    """Return the lines of a card."""
    return "\n".join(_lines(card))


def value_text(value: object, column: str = "", width: int = _WIDEST_VALUE) -> str:
    """Return a value on one line, escaped and not too long."""
    if isinstance(value, Counts):
        return _counts_text(value)
    if isinstance(value, Bar):
        return value.words
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, str):
        value = value[:_LONGEST]
    if isinstance(value, list | tuple):
        value = [one[:_LONGEST] if isinstance(one, str) else one for one in value[:_LONGEST_LIST]]
    return shortened(cell(value, column), width, _MARK)


def word_text(word: str) -> str:
    """Return the name of something, escaped and not too long."""
    return shortened(printable(word[:_LONGEST]), _WIDEST_WORD, _MARK)


def head_text(column: str) -> str:
    """Return the head of a column."""
    return word_text(column.replace("_", " "))


def _counts_text(counts: Counts) -> str:
    words = ", ".join(map(word_text, counts.present().values()))
    if not counts.with_total:
        return words
    total = sum(counts.numbers.values())
    return f"{total:,}: {words}" if words else "0"


def _lines(card: Card) -> Iterator[str]:
    head = (card.title, value_text(card.name), f"[{word_text(card.status)}]" if card.status else "")
    yield " ".join(filter(None, head))
    facts = {word_text(name): value for name, value in card.present().items()}
    wide = max(map(len, facts), default=0)
    for name, value in facts.items():
        drawn = f"{_drawn(value)} " if isinstance(value, Bar) else ""
        yield f"  {name:<{wide}}  {drawn}{value_text(value)}".rstrip()
    for table in card.tables:
        yield ""
        yield from (f"  {line}" for line in _table_lines(table))
    if card.lines:
        yield ""
        yield from (f"  {value_text(line)}" for line in card.lines)
    if card.notes and (card.tables or card.lines):
        yield ""
    yield from (f"  {value_text(note, width=_LONGEST)}" for note in card.notes)


def _drawn(bar: Bar) -> str:
    """Return a bar of signs: # is done, ! another state, - still to come."""
    signs = ""
    for word, number in bar.numbers.items():
        signs += ("#" if word == "done" else "!") * (number * _BAR // bar.total if bar.total else 0)
    return f"[{signs[:_BAR]:-<{_BAR}}]"


def _table_lines(table: Table) -> Iterator[str]:
    if table.title:
        yield word_text(table.title)
    heads = [*map(head_text, table.columns)]
    cells = [_cells(table, row) for row in table.rows]
    natural = [max(map(text_width, texts)) for texts in zip(heads, *cells, strict=True)]
    numeric = numeric_columns(cells, len(heads))
    widths = fitted(natural, numeric, _WIDEST_TABLE, range(len(heads)), 1)
    shown = [index for index, width in enumerate(widths) if width]
    for texts in (heads, *cells):
        parts = (
            padded(shortened(texts[i], widths[i], _MARK), widths[i], to_the_right=numeric[i])
            for i in shown
        )
        yield (" " * GAP).join(parts).rstrip()
    if table.more:
        yield f"{_MARK} {table.more}"
    if len(shown) < len(heads):
        yield f"{_MARK} columns left out: {', '.join(_left_out(heads, shown))}"


def _left_out(heads: Sequence[str], shown: Sequence[int]) -> list[str]:
    """Return the heads of columns that are not shown."""
    return [head for index, head in enumerate(heads) if index not in shown]


def _cells(table: Table, row: Mapping[str, object]) -> list[str]:
    return [value_text(row.get(name), name, _WIDEST_CELL) for name in table.columns]
