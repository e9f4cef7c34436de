"""What a task yields is checked: one record says what does not fit, and which field of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import codebatch
from codebatch import Diagnostic, Edge, Metric, Skip, Symbol
from codebatch.tasks.records import MisfitError
from codebatch.tasks.source import SourceFile


@dataclasses.dataclass
class Own:
    count: int = 1
    share: float = 0.5
    words: list[str] | None = None
    by_name: dict[str, bool] = dataclasses.field(default_factory=dict)


class Word(str):
    __slots__ = ()


@codebatch.task(
    records=[Own, Diagnostic, Metric, Symbol, Edge, Skip],
    rules=[codebatch.Rule("T1", "A title", name="titled")],
)
def given(file: codebatch.File) -> Any:
    """Yield what the test says."""
    return YIELDED


YIELDED: Any = None


def records(*yielded: Any, content: str = "one\ntwo\ntwo\n") -> list[dict[str, object]]:
    global YIELDED  # noqa: PLW0603 - a task gets nothing else
    YIELDED = list(yielded)
    return given.run(given.file(SourceFile(content.encode(), "text"), {}, None), {})


def test_records_become_plain() -> None:
    assert records(
        Metric("depth", 3),
        Metric("share", 0.5, "f", 2),
        Symbol("f", "function", 3),
        Edge("imports", "os", 1, alias="o"),
        Skip("too odd"),
        Own(share=2, words=["a"]),
    ) == [
        {"kind": "metric", "metric": "depth", "value": 3},
        {"kind": "metric", "metric": "share", "value": 0.5, "name": "f", "line": 2},
        {
            "kind": "symbol",
            "name": "f",
            "symbol_type": "function",
            "line": 3,
            "scope": "module",
            "column": 1,
            "end_line": 3,
        },
        {"kind": "edge", "edge_type": "imports", "target": "os", "line": 1, "alias": "o"},
        {"kind": "skip", "reason": "too odd"},
        {"kind": "own", "count": 1, "share": 2.0, "words": ["a"], "by_name": {}},
    ]


def test_findings_stand_in_the_order_of_places_and_have_fingerprints() -> None:
    found = records(
        Diagnostic("T2", "info", 3, "later"),
        Skip("between"),
        Diagnostic("T1", "warning", 2, "first", column=2),
        Diagnostic("T2", "info", 2, "earlier", rule="said"),
    )
    assert [one.get("line") for one in found] == [2, None, 2, 3]
    assert [one.get("rule") for one in found] == ["said", None, "titled", "T2"]
    fingerprints = [one["fingerprint"] for one in found if one["kind"] == "diagnostic"]
    assert len(set(fingerprints)) == 3
    moved = records(Diagnostic("T1", "warning", 5, "first"), content="a\n\nb\n\n  two\n")
    assert moved[0]["fingerprint"] == fingerprints[1]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"kind": "own"}, "record 2 is of type dict, which is none of Own, Diagnostic"),
        (None, "record 2 is of type NoneType"),
        (Own(count="1"), r"record 2 \(Own\): field count is str, not int"),  # type: ignore[arg-type]
        (Own(count=True), "field count is True, not int"),
        (Own(count=2**63), "field count is 9223372036854775808, not int"),
        (Own(count=None), "field count is NoneType, not int"),  # type: ignore[arg-type]
        (Own(share=float("nan")), "field share is nan, not float"),
        (Own(share=float("-inf")), "field share is -inf, not float"),
        (Own(words=["a", 1]), r"field words is list of int, str, not list\[str\] \| None"),  # type: ignore[list-item]
        (Own(words=("a",)), "field words is tuple"),  # type: ignore[arg-type]
        (Own(by_name={"a": 1}), r"field by_name is dict of int, not dict\[str, bool\]"),  # type: ignore[dict-item]
        (Metric("depth", None), "field value is NoneType"),  # type: ignore[arg-type]
        (Metric("depth", float("inf")), "field value is inf"),
        (Metric("no good", 1), "field metric is 'no good': not letters"),
        (Metric(Word("depth"), 1), "field metric is Word, not str"),
        (Diagnostic("T 1", "info", 1, ""), "field code is 'T 1': not letters, digits"),
        (Diagnostic("T" * 65, "info", 1, ""), "field code is"),
        (Diagnostic("T1", "bad", 1, ""), "field severity is 'bad': none of error, warning, info"),
        (Diagnostic("T1", "info", 0, ""), "field line is '0': less than 1"),
        (Diagnostic("T1", "info", 1, b"x"), "field message is bytes, not str"),  # type: ignore[arg-type]
        (Diagnostic("T1", "info", 1, "", path="a"), "field path is for tasks of scope 'batch'"),
        (Symbol("f", "macro", 1), "field symbol_type is 'macro': none of function"),
        (Edge("calls", "f", 1), "field edge_type is 'calls': none of imports"),
        (Skip(""), "field reason is '': empty"),
    ],
)
def test_what_does_not_fit_is_named(record: Any, message: str) -> None:
    with pytest.raises(MisfitError, match=message):
        records(Skip("first"), record)


@pytest.mark.parametrize("returned", [3, Skip("not in a list"), object()])
def test_what_is_no_sequence_of_records_is_named(returned: Any) -> None:
    made = codebatch.task(name="odd")(lambda file: returned)
    with pytest.raises(MisfitError, match=f"it returns {type(returned).__name__}, not records"):
        made.run(made.file(SourceFile(b"", "text"), {}, None), {})


def test_nothing_is_no_records() -> None:
    made = codebatch.task(name="none")(lambda file: None)
    assert made.run(made.file(SourceFile(b"", "text"), {}, None), {}) == []
