"""What is described once is shown as text and as HTML, in which nothing foreign is markup."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pickle
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import pandas as pd
import pytest

from codebatch.display.card import Bar, Card, Counts, table_of
from codebatch.display.displayed import Displayed, Rows
from codebatch.display.html import card_html, element, escape
from codebatch.display.text import card_text
from codebatch.model.errors import StoreDamagedError

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)",
    "</style></div><b>",
    "\x1b[31mred\x07",
    "\u202egpj.exe",
    "a\udcffb\u200b",
    "&lt;b&gt;",
    "x" * 5_000,
)
CARD = Card(
    "Batch",
    "b-0123456789abcdef",
    "partial",
    {
        "pipeline": "full",
        "shards": Bar({"done": 12, "failed": 1}, 20),
        "findings": Counts({"error": 2, "warning": 1_200}, with_total=True),
        "nothing": None,
        "languages": Counts({"python": 9}),
    },
    [table_of([{"task": "parse", "line": 1234, "records": 1234}], 41)],
    notes=["there is more"],
)
TEXT = """\
Batch b-0123456789abcdef [partial]
  pipeline   full
  shards     [############!-------] 12 of 20, 1 failed
  findings   1,202: 2 errors, 1,200 warnings
  languages  9 python

  task   line  records
  parse  1234    1,234
  ... and 40 more

  there is more"""


class Elements(HTMLParser):
    """The elements, attributes and texts of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def test_text() -> None:
    assert card_text(CARD) == TEXT


def test_html_says_the_same() -> None:
    html = card_html(CARD)
    words = " ".join(" ".join(Elements(html).texts).split())
    for word in ("b-0123456789abcdef", "12 of 20, 1 failed", "1,202", "2 errors", "and 40 more"):
        assert word in words
    assert "nothing" not in words
    assert len(html.encode()) < 4_500


def test_style_holds_in_its_own_element_alone() -> None:
    (style,) = re.findall("<style>(.*?)</style>", element("text"))
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", style)
    assert rules
    for rule in rules:
        for selector in rule.split(","):
            assert selector.startswith(".codebatch-display")
    assert "@" not in style
    assert "url(" not in style


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_foreign_is_markup(text: str) -> None:
    def card(foreign: str) -> Card:
        facts = {"value": foreign, "list": [foreign, 1], foreign: 1, "n": Counts({foreign: 1})}
        rows = [{"path": foreign, "status": foreign, foreign: {foreign: [foreign]}}]
        return Card(
            "Batch", foreign, foreign, facts, [table_of(rows, 5, foreign)], [foreign], [foreign]
        )

    html = card_html(card(text))
    expected = Elements(card_html(card("harmless" + "s" * (len(text) > 1_000) * 5_000)))
    assert Elements(html).found == expected.found
    assert len(html) < 20_000
    for shown in (html, card_text(card(text)).replace("\n", "")):
        assert shown.isprintable()


def test_what_is_escaped_is_what_the_command_line_escapes() -> None:
    assert escape('<a href="x">\'\x1b\u202e\udcff') == (
        "&lt;a href=&quot;x&quot;&gt;&#x27;\\x1b\\u202e\\xff"
    )


def test_rows_are_a_list() -> None:
    rows = Rows([{"path": f"{n}.py", "line": n} for n in range(30)])
    assert rows == list(rows)
    assert json.loads(json.dumps(rows)) == rows
    assert type(rows[:3]) is Rows
    assert rows[3] == {"path": "3.py", "line": 3}
    assert list(pd.DataFrame(rows)["line"]) == [*range(30)]
    assert repr(rows).splitlines()[0] == "30 rows"
    assert repr(rows).endswith("19.py    19\n  ... and 10 more")
    assert repr(Rows([{"a": 1}])) == "1 row\n\n  a\n  1"
    assert repr(Rows()) == "0 rows"
    assert "and 10 more" in rows._repr_html_()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_rows_are_copied(protocol: int) -> None:
    rows = Rows([{"a": 1, "b": 2}], ("b",))
    for copied in (pickle.loads(pickle.dumps(rows, protocol)), copy.deepcopy(rows)):
        assert (type(copied), copied, copied.columns) == (Rows, rows, ("b",))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"done": "a", "failed": "b", "total": "c"}, '{"done":"a","failed":"b","total":"c"}'),
        ({"done": -(10**400), "failed": 0, "total": 1}, "1 total"),
        ({"done": 2, "failed": 0, "total": 5}, "2 of 5"),
        ({"at": dt.date(2026, 1, 2)}, "{'at': datetime.date(2026, 1, 2)}"),
        ([[float("nan")], 1], "[nan], 1"),
        ({1: "a", "b": None}, "{1: 'a', 'b': None}"),
    ],
)
def test_a_value_of_any_kind_is_shown(value: object, text: str) -> None:
    rows = Rows([{"x": value, 7: "n"}])
    assert repr(rows).splitlines()[3].startswith(f"  {text}"[:50])
    assert [*rows._repr_html_().partition("cannot be shown")][1:] == ["", ""]


def test_dollars_are_no_mathematics() -> None:
    assert 'class="codebatch-display tex2jax_ignore mathjax_ignore"' in card_html(CARD)


@dataclass(frozen=True, repr=False)
class Damaged(Displayed):
    error: Exception
    id: str = "x-1"

    def _card(self) -> Card:
        raise self.error


def test_what_cannot_be_shown_is_said() -> None:
    damaged = Damaged(StoreDamagedError("the plan of <x> is missing"))
    assert repr(damaged) == "Damaged x-1 [store damaged]\n  the plan of <x> is missing"
    assert "&lt;x&gt; is missing" in damaged._repr_html_()
    nothing = SmallReport("b-1", "done", {"a": 1}, (), bytes=Bar({"done": "x"}, 1))  # type: ignore[arg-type,dict-item]
    assert repr(nothing).startswith("Small report [cannot be shown]\n  TypeError: ")
    assert "TypeError" in nothing._repr_html_()
    assert repr(Damaged(KeyError("x"))) == "Damaged x-1 [cannot be shown]\n  KeyError: 'x'"


@dataclass(frozen=True, repr=False)
class SmallReport(Displayed):
    batch_id: str
    status: str
    by_kind: dict[str, int]
    removed: tuple[dict[str, object], ...]
    bytes: int = 0


def test_a_small_report_needs_no_card_of_its_own() -> None:
    report = SmallReport("b-1", "done", {"symbol": 3, "edge": 0}, ({"path": "a.py"},), 1_234)
    assert repr(report) == (
        "Small report [done]\n  batch id  b-1\n  by kind   3 symbol\n  bytes     1,234\n\n"
        "  removed\n  path\n  a.py"
    )
