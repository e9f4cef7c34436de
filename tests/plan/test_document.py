"""What pipeline documents extend, and where what is wrong with them stands."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Outcome, write_tree

import codebatch
from codebatch.model.errors import PipelineInvalidError
from codebatch.model.resources import load_schema
from codebatch.plan.pipeline import load_pipeline, parse_pipeline, pipeline_document

Main = Callable[..., Outcome]


def extending(base: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "mine", "extends": base, "tasks": list(tasks)}


def tasks_of(document: dict[str, Any]) -> dict[str, Any]:
    found: Any = pipeline_document(parse_pipeline(document))
    return {task["id"]: task for task in found["tasks"]}


# -- extends -----------------------------------------------------------------------------------


def test_settings_are_laid_over_those_of_the_base() -> None:
    mine = tasks_of(extending("full", {"id": "lint", "config": {"max_line_length": 60}}))
    full: Any = pipeline_document(load_pipeline("full"))
    expected = {task["id"]: task for task in full["tasks"]}
    expected["lint"]["config"]["max_line_length"] = 60
    assert mine == expected
    assert list(mine) == ["parse", "analyze", "symbols", "lint"]


def test_tasks_are_added_and_needs_replaced() -> None:
    strict = {"id": "strict", "task": "lint", "needs": ["parse", "symbols"]}
    mine = tasks_of(extending("full", strict, {"id": "lint", "needs": []}))
    assert list(mine)[-1] == "strict"
    assert mine["strict"]["needs"] == ["parse", "symbols"]
    assert mine["lint"]["needs"] == []


def test_documents_extend_each_other_in_their_folder(tmp_path: Path) -> None:
    first = extending("full", {"id": "lint", "config": {"max_line_length": 60}})
    second = extending("base/first.json", {"id": "lint", "config": {"max_blank_lines": 1}})
    write_tree(tmp_path, {"base/first.json": json.dumps(first), "p.json": json.dumps(second)})
    found: Any = pipeline_document(load_pipeline(str(tmp_path / "p.json")))
    (lint,) = (task for task in found["tasks"] if task["id"] == "lint")
    assert (lint["config"]["max_line_length"], lint["config"]["max_blank_lines"]) == (60, 1)


def test_a_batch_does_not_depend_on_how_its_pipeline_is_written(
    tmp_path: Path, store: codebatch.Store
) -> None:
    snapshot = store.snapshot(write_tree(tmp_path / "t", {"a.py": "x = 1\n"}))
    mine = extending("parse", {"id": "analyze", "task": "analyze", "needs": ["parse"]})
    plain: Any = pipeline_document(parse_pipeline(mine))
    assert store.batch(snapshot, mine).id == store.batch(snapshot, plain).id
    same: Any = pipeline_document(load_pipeline("analyze"))
    assert store.batch(snapshot, same).id == store.batch(snapshot, "analyze").id


REFUSED: dict[str, tuple[str, str]] = {
    "unknown": ("fulll", "did you mean 'full'?"),
    "absolute": ("/etc/passwd", "not in the folder"),
    "above": ("../p.json", "not in the folder"),
    "link out": ("link.json", "not in the folder"),
    "itself": ("p.json", "extends itself"),
    "circle": ("circle.json", "extends itself"),
    "folder": ("sub", "no such file"),
    "too long": ("a" * 5000, "no such file"),
    "with NUL": ("a\0b", "$.extends: 'a\\x00b' is no name of a file"),
    "no text": ("\ud800", "$.extends: '\\ud800' is no name of a file"),
    "pipe": ("pipe.json", "no such file"),
    "no JSON": ("text.json", "not a JSON document"),
    "deep": ("deep0.json", "more than 8 documents"),
    "wrong": ("wrong.json", "in wrong.json: $.tasks[0].task: unknown task: lnt"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_extended(name: str, tmp_path: Path) -> None:
    base, words = REFUSED[name]
    here = tmp_path / "here"
    task = {"id": "p", "task": "parse"}
    documents = {f"deep{n}.json": extending(f"deep{n + 1}.json", task) for n in range(12)}
    documents["circle.json"] = extending("p.json", task)
    documents["wrong.json"] = {"name": "wrong", "tasks": [{"id": "a", "task": "lnt"}]}
    documents["p.json"] = extending(base, task)
    write_tree(here, {name: json.dumps(one) for name, one in documents.items()})
    write_tree(tmp_path, {"p.json": json.dumps({"name": "x", "tasks": [task]})})
    (here / "text.json").write_text("x")
    (here / "link.json").symlink_to(tmp_path / "p.json")
    (here / "sub").mkdir()
    os.mkfifo(here / "pipe.json")
    with pytest.raises(codebatch.CodeBatchError) as refused:
        load_pipeline(str(here / "p.json"))
    assert refused.value.exit_code == 2
    assert words in f"{refused.value.details} {refused.value.message}"


def test_a_task_keeps_what_it_is() -> None:
    with pytest.raises(PipelineInvalidError, match="lint is lint in what this extends"):
        parse_pipeline(extending("full", {"id": "lint", "task": "parse"}))
    with pytest.raises(PipelineInvalidError, match="'other' is not in what this extends"):
        parse_pipeline(extending("full", {"id": "other"}))
    with pytest.raises(PipelineInvalidError, match="'task' is a required property"):
        parse_pipeline({"name": "x", "tasks": [{"id": "other"}]})


# -- validate ------------------------------------------------------------------------------------

WRONG = """{
  "name": "mine",
  "extends": "fulll",
  "tasks": [
    {"id": "l", "task": "lnt"},
    {"id": "b", "task": "lint", "needs": ["l", "x"],
     "config": {"ruls": 1, "rules": ["L001", "L10"], "severities": {"L001": "eror"}}},
    {"id": "b", "task": "parse", "nedes": []}
  ]
}
"""
FOUND = [
    (3, 14, "/extends", "full"),
    (5, 25, "/tasks/0/task", "lint"),
    (6, 48, "/tasks/1/needs/1", None),
    (7, 17, "/tasks/1/config/ruls", "rules"),
    (7, 46, "/tasks/1/config/rules/1", "L103"),
    (7, 77, "/tasks/1/config/severities/L001", "error"),
    (8, 12, "/tasks/2/id", None),
    (8, 34, "/tasks/2/nedes", "needs"),
]


def validated(main: Main, path: Path) -> tuple[int, dict[str, Any]]:
    done = main("pipeline", "validate", path, "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load_schema("cli.pipeline-validate")).validate(document)
    return done.code, document


def test_all_is_named_with_its_place(tmp_path: Path, main: Main) -> None:
    path = tmp_path / "mine.json"
    path.write_text(WRONG)
    code, document = validated(main, path)
    assert (code, document["ok"]) == (2, False)
    keys = ("line", "column", "pointer", "nearest")
    assert [tuple(row[key] for key in keys) for row in document["problems"]] == FOUND
    done = main("pipeline", "validate", path)
    first, *_, last = done.out.splitlines()
    assert first.startswith(f"{path}:3:14: /extends: there is no packaged pipeline 'fulll'")
    assert last == "8 problems"
    refused = main("pipeline", path)
    assert f"all 8 problems: codebatch pipeline validate {path}" in refused.err


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"name": "x",\n "tasks": [}', (2, 12)),
        ("", (1, 1)),
        ('{"name": "x", "tasks": [{"id": "a", "task": "parse", "needs": ["a"]}]}', (1, 24)),
        ('["\\u00e9\\"", {"a": [1, 2]}]', (1, 1)),
        ('{"a": "é", "ü": 1, "name": "x", "tasks": []}', (1, 2)),
    ],
)
def test_places(text: str, place: tuple[int, int], tmp_path: Path, main: Main) -> None:
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    code, document = validated(main, tmp_path / "p.json")
    first = document["problems"][0]
    assert (code, (first["line"], first["column"])) == (2, place)


def test_what_is_wrong_in_the_base_is_placed_there(tmp_path: Path, main: Main) -> None:
    write_tree(
        tmp_path,
        {
            "p.json": json.dumps(extending("base.json", {"id": "p", "config": {"max_bites": 1}})),
            "base.json": '{"name": "base", "tasks": [\n {"id": "p", "task": "prse"}]}',
        },
    )
    code, document = validated(main, tmp_path / "p.json")
    found = [(row["file"], row["line"], row["nearest"]) for row in document["problems"]]
    assert (code, found) == (2, [("base.json", 2, "parse")])


def test_a_valid_document(tmp_path: Path, main: Main) -> None:
    (tmp_path / "p.json").write_text(json.dumps(extending("full", {"id": "lint"})))
    assert validated(main, tmp_path / "p.json") == (
        0,
        {"file": str(tmp_path / "p.json"), "ok": True, "problems": []},
    )
    done = main("pipeline", "validate", tmp_path / "p.json")
    assert done.out.startswith("mine: parse, analyze, symbols, lint\n")
    assert main("pipeline", "validate", tmp_path / "missing.json").code == 2
