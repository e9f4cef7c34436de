"""Pipeline documents: what is accepted, what is refused and how, and what decides a batch's id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Outcome, write_tree

import codebatch
from codebatch.model.errors import TaskInvalidError


def document(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "mine", "tasks": list(tasks) or [{"id": "p", "task": "parse"}], **fields}


def task(task_id: str, *needs: str, name: str = "parse", **fields: Any) -> dict[str, Any]:
    return {"id": task_id, "task": name, "needs": list(needs), **fields}


@pytest.fixture
def refused(
    tmp_path: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> Callable[[object], dict[str, Any]]:
    """Plan with a document, which must be refused; gives the error."""
    store.snapshot(write_tree(tmp_path / "t", {"a.py": "x = 1\n"}))

    def call(content: object) -> dict[str, Any]:
        path = tmp_path / "mine.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        done = main("batch", "init", "--pipeline", path, "--store", store.path, "--json")
        assert done.code == 2, done
        assert done.stderr == b""
        assert len(done.stdout) < 20_000
        assert not (store.path / "batches").exists()
        error: dict[str, Any] = json.loads(done.stdout)["error"]
        return error

    return call


@pytest.fixture
def planned(tmp_path: Path, store: codebatch.Store) -> Callable[..., codebatch.Batch]:
    """Plan a document over one and the same snapshot."""
    snapshot = store.snapshot(write_tree(tmp_path / "t", {"a.py": "x = 1  \n" + "y" * 100 + "\n"}))
    return lambda pipeline, **options: store.batch(snapshot, pipeline, **options)


# -- refused -----------------------------------------------------------------------------------

INVALID: dict[str, tuple[object, str]] = {
    "a list": ([1], "object"),
    "null": (None, "object"),
    "no name": ({"tasks": [task("p")]}, "'name'"),
    "no tasks": ({"name": "x"}, "'tasks'"),
    "empty tasks": ({"name": "x", "tasks": []}, "$.tasks"),
    "bad name": (document(task("p"), name="../x"), "$.name"),
    "name with newline": (document(task("p"), name="x\n"), "$.name"),
    "unknown field": (document(task("p"), extra=1), "'extra'"),
    "unknown task field": (document(task("p", colour=1)), "'colour'"),
    "bad task id": (document(task("a/b")), "$.tasks[0].id"),
    "task id with newline": (document(task("a\n")), "$.tasks[0].id"),
    "number as id": (document({"id": 1, "task": "parse"}), "$.tasks[0].id"),
    "needs no list": (document({"id": "a", "task": "parse", "needs": "b"}), "$.tasks[0].needs"),
    "need given twice": (document(task("a"), task("b", "a", "a")), "$.tasks[1].needs"),
    "duplicate id": (document(task("same"), task("same")), "'same'"),
    "unknown need": (document(task("a", "ghost")), "'ghost'"),
    "own need": (document(task("a", "a")), "circle: a"),
    "circle": (document(task("a", "c"), task("b", "a"), task("c", "b")), "circle: a, b, c"),
    "config no object": (document(task("p", config=[1])), "$.tasks[0].config"),
    "unknown setting": (document(task("p", config={"max_byte": 1})), "'max_byte'"),
    "setting of bad type": (
        document(task("p", config={"max_bytes": "1"})),
        "$.tasks[0].config.max_bytes",
    ),
    "setting out of range": (
        document(task("p", config={"max_bytes": 0})),
        "$.tasks[0].config.max_bytes",
    ),
    "boolean for a number": (
        document(task("p", config={"max_bytes": True})),
        "$.tasks[0].config.max_bytes",
    ),
    "unknown rule": (document(task("l", name="lint", config={"rules": ["L999"]})), "L999"),
    "bad severity": (
        document(task("l", name="lint", config={"severities": {"L001": "fatal"}})),
        "fatal",
    ),
    "too many tasks": (document(*(task(f"t{n}") for n in range(101))), "$.tasks"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_document(name: str, refused: Callable[[object], dict[str, Any]]) -> None:
    content, word = INVALID[name]
    error = refused(content)
    assert error["code"] == "PIPELINE_INVALID"
    assert word in error["message"]
    assert "mine" in error["message"]


def test_unknown_task(refused: Callable[[object], dict[str, Any]]) -> None:
    error = refused(document(task("a", name="nonsense")))
    assert error["code"] == "TASK_NOT_FOUND"
    assert "nonsense" in error["message"]
    assert "parse" in error["hints"][0]


UNREADABLE = {
    "not JSON": b"tasks: [parse]",
    "empty": b"",
    "binary": b"\x00\xff\xfe",
    "truncated": b'{"name": "x", "tasks": [',
    "not UTF-8": b'{"name": "caf\xe9", "tasks": []}',
    "larger than a mebibyte": json.dumps(document(description=" " * 2**20)).encode(),
    "a long list": b"[" + b"1," * 400_000 + b"1]",
    "a long string": json.dumps(document(task("p", config={"max_bytes": "9" * 900_000}))).encode(),
    "a huge number": b'{"name": "x", "tasks": ' + b"9" * 5000 + b"}",
    "NaN": b'{"name": "x", "tasks": [{"id": "a", "task": "parse", "config": {"max_bytes": NaN}}]}',
    "infinite": b'{"name": "x", "tasks": [{"id":"a","task":"parse","config":{"max_bytes":1e999}}]}',
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_document(name: str, refused: Callable[[object], dict[str, Any]]) -> None:
    assert refused(UNREADABLE[name])["code"] == "PIPELINE_INVALID"


@pytest.mark.parametrize("depth", [50, 400, 700, 850, 920, 960, 990, 5000, 200_000])
@pytest.mark.parametrize("place", ["document", "config"])
def test_deep_document(depth: int, place: str, refused: Callable[[object], dict[str, Any]]) -> None:
    deep = b"[" * depth + b"]" * depth
    if place == "config":
        deep = b'{"name":"x","tasks":[{"id":"a","task":"parse","config":{"x":%s}}]}' % deep
    assert refused(deep)["code"] == "PIPELINE_INVALID"


@pytest.mark.parametrize(
    "name", ["nosuch", "nosuch.json", "/nowhere/x.json", "..", "", "a\0b", "."]
)
def test_unknown_pipeline(name: str, store: codebatch.Store, tree: Path) -> None:
    snapshot = store.snapshot(tree)
    with pytest.raises(codebatch.CodeBatchError) as refused:
        store.batch(snapshot, name)
    assert (refused.value.code, refused.value.exit_code) == ("PIPELINE_NOT_FOUND", 2)


# -- accepted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "graphs").glob("*.json")), ids=lambda p: p.stem
)
def test_packaged_pipelines_are_valid(path: Path, main: Callable[..., Outcome]) -> None:
    schema = json.loads((REPOSITORY / "schemas/pipeline.schema.json").read_text())
    content = json.loads(path.read_text())
    jsonschema.Draft202012Validator(schema).validate(content)
    assert content["name"] == path.stem
    by_name = json.loads(main("pipeline", path.stem, "--json").stdout)
    by_path = json.loads(main("pipeline", path, "--json").stdout)
    assert by_name == by_path
    assert [entry["id"] for entry in by_name["tasks"]] == [
        entry["id"] for entry in content["tasks"]
    ]


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "schemas").glob("*.schema.json")), ids=lambda p: p.name
)
def test_schemas_are_valid_and_explained(path: Path) -> None:
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"]
    if path.name.startswith("config."):
        for name, rule in schema["properties"].items():
            assert rule["description"], name
            jsonschema.Draft202012Validator(rule).validate(rule["default"])


def test_the_packaged_pipelines_are_listed(main: Callable[..., Outcome]) -> None:
    rows = json.loads(main("pipelines", "--json").stdout)
    assert [row["name"] for row in rows] == [
        *("analyze", "duplicates", "full", "hotspots", "parse")
    ]


def test_document_of_the_user_runs(
    tmp_path: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    root = write_tree(tmp_path / "t", {"a.py": "x = 1  \n" + "y" * 100 + " = 1\n"})
    path = tmp_path / "mine.json"
    config = {"rules": ["L003"], "max_line_length": 99, "severities": {"L003": "error"}}
    path.write_text(json.dumps(document(task("check", name="lint", config=config))))
    done = main("scan", root, "--pipeline", path, "--store", store.path, "--json")
    assert done.code == 0, done
    (found,) = json.loads(main("errors", "--store", store.path, "--json").stdout)
    assert (found["task_id"], found["code"], found["severity"]) == ("check", "L003", "error")
    assert (found["line"], found["column"]) == (2, 100)
    summary = json.loads(main("summary", "--store", store.path, "--json").stdout)
    assert summary["pipeline"] == "mine"


def test_tasks_run_after_what_they_need_in_whatever_order_they_stand(
    planned: Callable[..., codebatch.Batch],
) -> None:
    batch = planned(document(task("c", "b"), task("b", "a"), task("a")))
    assert [row["task_id"] for row in batch.tasks()] == ["a", "b", "c"]
    assert [row["needs"] for row in batch.tasks()] == [[], ["a"], ["b"]]
    assert batch.run("sync").status == "done"


def test_one_task_may_stand_twice_with_different_settings(
    planned: Callable[..., codebatch.Batch],
) -> None:
    batch = planned(
        document(
            task("strict", name="lint", config={"max_line_length": 50}),
            task("lax", name="lint", config={"max_line_length": 500}),
        )
    )
    batch.run("sync")
    found = {
        name: [record["code"] for record in batch.records(task=name)] for name in ("strict", "lax")
    }
    assert found == {"strict": ["L001", "L003"], "lax": ["L001"]}


def test_defaults_are_resolved(main: Callable[..., Outcome]) -> None:
    shown = json.loads(main("pipeline", "full", "--json").stdout)
    for entry in shown["tasks"]:
        schema = json.loads(
            (REPOSITORY / f"schemas/config.{entry['task']}.schema.json").read_text()
        )
        defaults = {name: rule["default"] for name, rule in schema["properties"].items()}
        assert entry["config"] == defaults


# -- what decides the id of a batch --------------------------------------------------------------

BASE = document(task("l", name="lint", config={"max_line_length": 100, "max_blank_lines": 3}))


@pytest.mark.parametrize(
    "other",
    [
        document(task("l", name="lint", config={"max_line_length": 101, "max_blank_lines": 3})),
        document(task("l", name="lint", config={"max_line_length": 100})),
        document(task("l", name="lint")),
        document(task("m", name="lint", config={"max_line_length": 100, "max_blank_lines": 3})),
        document(BASE["tasks"][0], task("p")),
    ],
    ids=["another value", "another default", "no config", "another id", "another task"],
)
def test_batch_id_depends_on_the_pipeline(
    other: dict[str, Any], planned: Callable[..., codebatch.Batch]
) -> None:
    assert planned(other).id != planned(BASE).id


@pytest.mark.parametrize(
    "same",
    [
        document(task("l", name="lint", config={"max_blank_lines": 3, "max_line_length": 100})),
        {"tasks": BASE["tasks"], "name": "mine"},
        document(
            {
                "config": {
                    "max_line_length": 100,
                    "max_blank_lines": 3,
                    "max_bytes": 16777216,
                    "max_tokens": 500000,
                    "severities": {},
                },
                "task": "lint",
                "id": "l",
            }
        ),
    ],
    ids=["order of settings", "order of fields", "defaults spelled out"],
)
def test_batch_id_does_not_depend_on_spelling(
    same: dict[str, Any], planned: Callable[..., codebatch.Batch]
) -> None:
    batch = planned(same)
    assert batch.id == planned(BASE).id


def test_batch_id_does_not_depend_on_shards(planned: Callable[..., codebatch.Batch]) -> None:
    first = planned(BASE, shards=256)
    second = planned(BASE, shards=16)
    assert first.id == second.id
    assert (first.made.created, second.made.created) == (True, False)
    assert [len(row["shard_id"]) for row in second.shards()] == [2]


def test_a_number_has_one_spelling(planned: Callable[..., codebatch.Batch]) -> None:
    """JSON Schema takes 50.0 for an integer; it must be one in records and in the id as well."""
    config = {"max_line_length": 50.0, "max_blank_lines": 3}
    whole = {"max_line_length": 50, "max_blank_lines": 3}
    batch = planned(document(task("l", name="lint", config=config)))
    batch.run("sync")
    (found,) = batch.records(code="L003")
    assert isinstance(found["column"], int)
    assert batch.id == planned(document(task("l", name="lint", config=whole))).id


def test_batch_id_depends_on_the_snapshot(tree: Path, store: codebatch.Store) -> None:
    one = store.batch(store.snapshot(tree), "parse")
    (tree / "README.md").write_text("changed\n")
    assert store.batch(store.snapshot(tree), "parse").id != one.id


def test_batch_id_is_the_same_in_every_store(tree: Path, tmp_path: Path) -> None:
    stores = [codebatch.open_store(tmp_path / name, create=True) for name in ("one", "two")]
    assert len({store.batch(store.snapshot(tree), "full").id for store in stores}) == 1


@pytest.mark.parametrize("name", ["tool", "sarif"])
def test_a_task_that_is_none_without_settings_is_refused(
    name: str, tmp_path: Path, store: codebatch.Store
) -> None:
    snapshot = store.snapshot(write_tree(tmp_path / "t", {"a.py": "x = 1\n"}))
    with pytest.raises(TaskInvalidError, match="is a required property"):
        store.batch(snapshot, tasks=[name])
    assert store.batches() == []
