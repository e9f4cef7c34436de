"""`codebatch.task`: what is declared, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest

import codebatch
from codebatch.model.errors import TaskInvalidError
from codebatch.model.records import KINDS
from codebatch.tasks.decorator import kind_of


@dataclasses.dataclass
class LongLine:
    line: int
    length: float
    note: str | None = None
    words: list[str] = dataclasses.field(default_factory=list)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Named:
    kind: ClassVar[str] = "other_name"
    value: bool | int


def plain(file: codebatch.File) -> list[object]:
    """Nothing at all.

    This is said elsewhere.
    """
    return []


def test_what_is_left_out_has_a_default() -> None:
    made = codebatch.task(plain)
    assert isinstance(made, codebatch.Task)
    assert (made.name, made.version, made.scope) == ("plain", 1, "file")
    assert made.summary == "Nothing at all."
    assert made.kinds == KINDS[:1] + KINDS[2:]  # no syntax trees
    assert (made.needs, made.facets, made.own, made.rules) == ((), (), {}, ())
    assert made.source == f"{__name__}:plain"
    assert "python" in made.toolchain()
    assert made(None) == []


def test_own_kinds_have_their_fields() -> None:
    made = codebatch.task(records=[LongLine, Named, codebatch.Metric], depends="path")(plain)
    assert made.kinds == ("diagnostic", "long_line", "metric", "other_name", "suppression")
    assert made.own == {
        "long_line": {
            "line": "int",
            "length": "float",
            "note": "str | None",
            "words": "list[str]",
            "counts": "dict[str, int]",
        },
        "other_name": {"value": "bool | int"},
    }
    assert made.facets == ("path",)
    assert [kind_of(type(name, (), {})) for name in ("A", "HTTPServer", "SqlRow2Md")] == [
        *("a", "http_server", "sql_row2_md")
    ]


def test_settings_have_a_schema() -> None:
    def limited(file: Any, config: Any) -> None: ...

    defaults = {"limit": 3, "share": 0.5, "word": "x", "on": True, "names": ["a"], "of": {"a": 1}}
    made = codebatch.task(config=defaults)(limited)
    assert made.resolve_config({"limit": 4}) == {**defaults, "limit": 4}
    assert made.config_errors({"limit": 5, "share": 2, "names": []}) == []
    for name, value in (("limit", 1.5), ("word", 1), ("on", 1), ("names", "a"), ("of", [])):
        (error,) = made.config_errors({name: value})
        assert error.startswith(f"$.{name}: ")
    assert made.config_errors({"limt": 3}) == ["unknown setting 'limt': is it 'limit'?"]


def batch_class(**methods: Any) -> type:
    def method(self: Any, one: Any, two: Any) -> None: ...

    return type("total", (), dict.fromkeys(("map", "combine", "finish"), method) | methods)


def test_a_batch_task_is_a_class() -> None:
    made = codebatch.task(scope="batch", needs=["symbols"])(batch_class())
    assert (made.name, made.scope, made.needs) == ("total", "batch", ("symbols",))


def two(first: Any, second: Any) -> None: ...
def three(first: Any, second: Any, third: Any) -> None: ...
async def later(file: Any) -> None: ...


@dataclasses.dataclass
class Nested:
    inner: dict[str, LongLine]


@dataclasses.dataclass
class Pathed:
    path: str


@dataclasses.dataclass
class Metric:
    value: int


RULE = codebatch.Rule("T1", "A title")


@pytest.mark.parametrize(
    ("function", "declared", "message"),
    [
        (plain, {"name": "no name"}, "'no name' is no name of a task"),
        (lambda file: [], {}, "'<lambda>' is no name of a task"),
        (plain, {"version": 0}, "its version is no positive number"),
        (plain, {"version": True}, "its version is no positive number"),
        (plain, {"depends": "clock"}, "it depends on 'clock', not content or path"),
        (plain, {"scope": "folder"}, "unknown scope 'folder'"),
        (plain, {"needs": "parse"}, r"needs is a text: write needs=\['parse'\]"),
        (plain, {"needs": ["plain"]}, "it needs itself"),
        (plain, {"config": {"limit": 3}}, "it declares a config that its function does not take"),
        (two, {"config": {"of": {1: 2}}}, "its config is no plain data"),
        (two, {"config": {"of": (1, 2)}}, "its config is no plain data"),
        (two, {"config": {"of": float("nan")}}, "its config is no plain data"),
        (two, {"config": {"of": object}}, "its config is no plain data"),
        (three, {}, "it takes other parameters than file, config"),
        (later, {}, "it is no plain function"),
        (Pathed, {}, "it is no plain function"),
        (plain, {"rules": ["T1"]}, "'T1' is no codebatch.Rule"),
        (plain, {"rules": [dataclasses.replace(RULE, code="1")]}, "'1' is no code of a rule"),
        (plain, {"rules": [dataclasses.replace(RULE, severity="bad")]}, "rule T1 has no severity"),
        (plain, {"records": [dict]}, "<class 'dict'> is no dataclass"),
        (plain, {"records": [Metric]}, "the kind 'metric' is taken"),
        (plain, {"records": [Pathed]}, "this name is taken"),
        (plain, {"records": [Nested]}, "field inner of Nested: LongLine is no type of a field"),
        (plain, {"scope": "batch"}, "a task of scope 'batch' is a class"),
        (batch_class(finish=None), {"scope": "batch"}, "it lacks the method finish"),
        (batch_class(map=plain), {"scope": "batch"}, "its method map takes other parameters"),
    ],
)
def test_what_cannot_be_is_refused(function: Any, declared: Any, message: str) -> None:
    with pytest.raises(TaskInvalidError, match=message):
        codebatch.task(**declared)(function)
