"""A card as a small piece of HTML: the one place that escapes what comes from trees and stores.

A page may hold many of them, may strip style, and may be light or dark: each has its own style,
which holds inside of it alone, has the colour of the text around it, and says in words what is
drawn as well.
"""

from __future__ import annotations

from html import escape as escape_markup

from codebatch.display.card import Bar, Card, Counts, Table
from codebatch.display.text import head_text, value_text, word_text
from codebatch.display.widths import abridged
from codebatch.display.words import numeric_columns, printable

CLASS = "codebatch-display"
_NO_MATH = "tex2jax_ignore mathjax_ignore"  # notebooks typeset $…$ elsewhere
_GREEN, _RED, _AMBER, _BLUE, _GREY = (
    "46,160,67",
    "218,54,51",
    "210,153,34",
    "56,139,253",
    "128,128,128",
)
_COLORS = {
    **dict.fromkeys(("done", "ok", "fixed", "reuse"), _GREEN),
    **dict.fromkeys(("failed", "error", "damaged", "new findings", "added"), _RED),
    **dict.fromkeys(("partial", "interrupted", "warning", "changed", "severity"), _AMBER),
    **dict.fromkeys(("info", "running", "compute"), _BLUE),
}
_BADGE_COLUMNS = frozenset({"status", "severity", "change", "action"})
_LONGEST_TITLE = 300
_WIDEST_CELL = 80
_LONGEST_LINE = 500

_STYLE = """
.codebatch-display{font:13px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;text-align:left;
display:inline-block;box-sizing:border-box;max-width:100%;overflow-x:auto;padding:8px 14px;
border:1px solid rgba(128,128,128,.35);border-radius:6px}
.codebatch-display p{margin:4px 0}
.codebatch-display .cb-head{font-size:14px;margin:0 0 2px}
.codebatch-display .cb-title{margin:12px 0 4px}
.codebatch-display code,.codebatch-display pre{font:12px/1.5 ui-monospace,SFMono-Regular,Menlo,
Consolas,monospace;color:inherit;background:none;border:0;margin:0;padding:0;white-space:pre}
.codebatch-display table{border-collapse:collapse;border:0;margin:6px 0 2px;font-size:inherit;
color:inherit;table-layout:auto}
.codebatch-display table tr:nth-child(n){background:none}
.codebatch-display table tr:nth-child(n)>*{padding:1px 18px 1px 0;border:0;text-align:left;
vertical-align:top;font-weight:400;line-height:1.5;color:inherit;white-space:nowrap;max-width:none;
font-variant-numeric:tabular-nums}
.codebatch-display table tr:nth-child(n)>:last-child{padding-right:0}
.codebatch-display table.cb-rows thead th{font-weight:600;
border-bottom:1px solid rgba(128,128,128,.35)}
.codebatch-display table tr:nth-child(n)>[align=right]{text-align:right}
.codebatch-display table.cb-facts tr:nth-child(n)>:first-child,
.codebatch-display .cb-note{opacity:.72}
.codebatch-display .cb-badge{display:inline-block;padding:0 7px;border-radius:9px;
font-size:12px;line-height:18px}
.codebatch-display .cb-bar{display:inline-block;width:140px;height:8px;margin-right:8px;
border-radius:4px;overflow:hidden;background:rgba(128,128,128,.25);white-space:nowrap;
font-size:0;vertical-align:middle}
.codebatch-display .cb-bar span{display:inline-block;height:8px}
"""


def card_html(card: Card) -> str:
    """Return the element of a card, with its style inside of it."""
    parts = [_head(card)]
    if facts := card.present():
        rows = (
            f"<tr><td>{escape_markup(word_text(name))}</td><td>{value_html(value, name)}</td></tr>"
            for name, value in facts.items()
        )
        parts.append(f'<table class="cb-facts"><tbody>{"".join(rows)}</tbody></table>')
    parts += map(table_html, card.tables)
    if card.lines:
        lines = "\n".join(escape(abridged(line, _LONGEST_LINE)) for line in card.lines)
        parts.append(f"<pre>{lines}</pre>")
    parts += (f"<p>{escape(abridged(note))}</p>" for note in card.notes)
    return element(*parts)


def element(*parts: str) -> str:
    """Return one element of these parts, which are HTML, with the style that they need."""
    style = _STYLE.replace("\n", "")
    return f'<div class="{CLASS} {_NO_MATH}"><style>{style}</style>{"".join(parts)}</div>'


def escape(text: object) -> str:
    """Return a text as it can stand anywhere in HTML, with what is not seen of it made visible."""
    return escape_markup(printable(text), quote=True)


def table_html(table: Table) -> str:
    """Return a table, and below it how many rows are not shown."""
    texts = [[value_text(row.get(name), name) for name in table.columns] for row in table.rows]
    numeric = numeric_columns(texts, len(table.columns))
    sides = [' align="right"' if is_number else ' align="left"' for is_number in numeric]
    named = list(zip(table.columns, sides, strict=True))
    heads = "".join(f"<th{side}>{escape_markup(head_text(name))}</th>" for name, side in named)
    rows = "".join(
        f"<tr>{''.join(f'<td{side}>{value_html(row.get(n), n)}</td>' for n, side in named)}</tr>"
        for row in table.rows
    )
    name = escape_markup(word_text(table.title))
    title = f'<p class="cb-title"><b>{name}</b></p>' if name else ""
    more = f'<p class="cb-note">\u2026 {escape(table.more)}</p>' if table.more else ""
    return (
        f'{title}<table class="cb-rows"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{more}"
    )


def value_html(value: object, column: str = "") -> str:
    """Return a value; a text that is too long is cut, and whole where the pointer rests on it."""
    if isinstance(value, Counts):
        return _counts_html(value)
    if isinstance(value, Bar):
        return f"{bar_html(value)}{escape(value.words)}"
    if value and column in _BADGE_COLUMNS:
        return badge_html(str(value))
    short = value_text(value, column, _WIDEST_CELL)
    if not isinstance(value, str) or short == printable(value[:_LONGEST_TITLE]):
        return escape_markup(short)
    return f'<span title="{escape(value[:_LONGEST_TITLE])}">{escape_markup(short)}</span>'


def badge_html(word: str, text: str = "") -> str:
    """Return a word, or a text about it, on the colour that stands for the word."""
    color = _COLORS.get(word, _GREY)
    shown = escape_markup(word_text(text or word))
    return f'<span class="cb-badge" style="background:rgba({color},.24)">{shown}</span>'


def bar_html(bar: Bar) -> str:
    """Return a bar with a part for each state that has a colour; words have to stand beside it."""
    total = max(bar.total, sum(bar.numbers.values()), 1)
    parts = "".join(
        f'<span style="width:{100 * number / total:.1f}%;'
        f'background:rgb({_COLORS.get(word, _GREY)})"></span>'
        for word, number in bar.numbers.items()
        if number
    )
    return f'<span class="cb-bar" role="img" aria-label="{escape(bar.words)}">{parts}</span>'


def _head(card: Card) -> str:
    name = f" <code>{value_html(card.name)}</code>" if card.name else ""
    status = f" {badge_html(card.status)}" if card.status else ""
    return f'<p class="cb-head"><b>{escape(card.title)}</b>{name}{status}</p>'


def _counts_html(counts: Counts) -> str:
    total = sum(counts.numbers.values())
    badges = [badge_html(word, said) for word, said in counts.present().items()]
    sums = [f"{total:,}{':' if badges else ''}"] if counts.with_total else []
    return " ".join([*sums, *badges])  # forges leave out the style, and with it the space
