"""`codebatch api`: what the command line says about itself is what it does."""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from conftest import Outcome, Scanned, write_tree

import codebatch
import codebatch.cli
from codebatch.cli import cli
from codebatch.cli.commands.describe import describe, iter_commands, schemas_of
from codebatch.model.errors import EXIT_CODES
from codebatch.model.resources import list_schemas, load_schema

Main = Callable[..., Outcome]

COMMANDS = dict(iter_commands(cli))
# How each command that shows something of a store is run. OLD, SNAPSHOT and OBJECT stand for ids.
VIEWS: dict[str, list[list[str]]] = {
    "batches": [["batches"]],
    "cat": [["cat", "pkg/cart.py"], ["cat", "pkg/cart.py", "-n"]],
    "diagnose": [["diagnose", "--json"]],
    "diff": [["diff", "OLD", "latest"]],
    "errors": [["errors"], ["errors", "--language", "python"]],
    "export": [["export", "--format", "sarif", "--base", "OLD"]],
    "report": [["report", "-o", "-", "--base", "OLD", "--history", "OLD"]],
    "files": [["files"]],
    "explain": [["explain", "--task", "lint", "--file", "pkg/cart.py"]],
    "improvements": [["improvements", "OLD", "latest"]],
    "inspect": [["inspect", "pkg/cart.py"], ["inspect", "style.py"]],
    "memo export": [["memo", "export", "MEMO"]],
    "memo push": [["memo", "push", "REMOTE"]],
    "names": [["names"]],
    "plan": [["plan"], ["plan", "--pipeline", "parse"], ["plan", "--batch", "latest"]],
    "query diagnostics": [["query", "diagnostics", "--language", "python"]],
    "query edges": [["query", "edges", "--language", "python"]],
    "query metrics": [["query", "metrics", "--language", "python"]],
    "query outputs": [["query", "outputs", "--language", "python"]],
    "query stats": [["query", "stats"]],
    "query symbols": [["query", "symbols", "--language", "python"]],
    "regressions": [["regressions", "OLD", "latest"]],
    "shards": [["shards"]],
    "show": [["show", "latest"], ["show", "SNAPSHOT"], ["show", "OBJECT"]],
    "skipped": [["skipped"]],
    "snapshots": [["snapshots"]],
    "sql": [["sql", "SELECT count(*) FROM records"]],
    "status": [["status"]],
    "store-stats": [["store-stats", "--json"]],
    "summary": [["summary"]],
    "tasks": [["tasks"]],
    "top": [["top", "--language", "python"]],
    "tree": [["tree", "pkg/cart.py"]],
}
# Commands that change a store, or need none.
OTHERS = {
    *("api", "apply", "batch init", "batch rm", "config show", "gc", "init", "memo import"),
    "store upgrade",
    *("baseline create", "baseline prune", "baseline update", "check", "memo pull"),
    *("blame", "history", "name rm", "name set"),
    *("pipeline", "pipeline validate", "pipelines", "task list", "task new", "task run"),
    *("sarif import", "tool certify", "tool import", "tools"),
    *("resume", "run", "scan", "snapshot", "snapshot rm", "verify"),
}


def all_commands(group: click.Group) -> Iterator[click.Command]:
    """The group and everything below it."""
    yield group
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from all_commands(command)
        else:
            yield command
            yield from getattr(command, "commands", {}).values()


def test_every_command_is_found_under_its_name() -> None:
    """The table of the root command names a place for each command; none is forgotten."""
    defined = {
        value
        for module in pkgutil.walk_packages(codebatch.cli.__path__, "codebatch.cli.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, click.Command)
    }
    assert defined == set(all_commands(cli))
    assert {name: command.name for name, command in cli.commands.items()} == {
        name: name for name in cli.commands
    }


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, scanned: Scanned) -> Scanned:
    """The finished store with a second batch over an edited tree."""
    base = tmp_path_factory.mktemp("compared")
    shutil.copytree(scanned.path, base / "store")
    shutil.copytree(scanned.tree, base / "tree", symlinks=True)
    lines = "".join(f"value_{number} = {number}\n" for number in range(40))
    write_tree(base / "tree", {"pkg/style.py": "import json\n", "pkg/moved.py": lines})
    batch, report = codebatch.scan(base / "tree", base / "store", scheduler="sync")
    (base / "tree/pkg/moved.py").rename(base / "tree/pkg/other.py")
    write_tree(base / "tree", {"pkg/other.py": lines + "import re\n"})
    batch, report = codebatch.scan(base / "tree", base / "store", scheduler="sync")
    return Scanned(base / "tree", codebatch.open_store(batch.path), batch, report)


def ways_of(name: str, compared: Scanned) -> Iterator[list[str]]:
    """The command lines of a view, with ids of the store filled in."""
    rows = compared.store.batches()
    ids = {
        "OLD": str(rows[1]["batch_id"]),
        "MEMO": str(compared.tree.parent / "memo.tar"),
        "REMOTE": str(compared.tree.parent / "remote"),
        "SNAPSHOT": str(rows[0]["snapshot_id"]),
        "OBJECT": str(compared.batch.inspect("pkg/cart.py")["object"]),
    }
    for words in VIEWS[name]:
        yield [ids.get(word, word) for word in words]


def test_every_view_is_in_the_table() -> None:
    assert COMMANDS.keys() - OTHERS == VIEWS.keys()


@pytest.mark.parametrize("name", VIEWS)
def test_view_leaves_the_store_as_it_is(name: str, main: Main, compared: Scanned) -> None:
    before = contents(compared.path)
    for words in ways_of(name, compared):
        main(*words, "--store", compared.path)
    assert contents(compared.path) == before


def contents(store: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and "indexes" not in path.relative_to(store).parts
    }


def test_api_describes_every_command(main: Main) -> None:
    found = json.loads(main("api", "--json").stdout)
    jsonschema.Draft202012Validator(load_schema("cli.api")).validate(found)
    assert found == describe(cli)
    described = {command["name"]: command for command in found["commands"]}
    assert described.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        options = {word for option in described[name]["options"] for word in option["names"]}
        given = {p for p in command.params if isinstance(p, click.Option)}
        assert options == {word for option in given for word in option.opts}
        assert described[name]["summary"]
        assert all(option["help"] for option in described[name]["options"]), name
    assert {row["code"] for row in found["exit_codes"]} == EXIT_CODES.keys()


def test_api_says_what_a_parameter_takes() -> None:
    commands: Any = describe(cli)["commands"]
    described = {command["name"]: command for command in commands}
    inspect = described["inspect"]
    assert inspect["arguments"] == [
        {"name": "FILE", "required": True, "multiple": False, "type": "text"}
    ]
    options = {option["names"][-1]: option for option in inspect["options"]}
    assert options["--at"]["minimum"] == 1
    assert options["--batch"]["default"] is None
    assert (options["--json"]["flag"], options["--json"]["default"]) == (True, False)
    assert options["--store"]["default"] is None
    fail_on = next(o for o in described["diff"]["options"] if "--fail-on" in o["names"])
    assert "error" in fail_on["choices"]
    assert 1 in described["diff"]["exit_codes"]
    assert {3, 6} <= set(described["run"]["exit_codes"])
    assert described["init"]["arguments"][0]["required"] is False


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("api", {4}),
        ("batch rm", {4, 5}),
        ("diagnose", {4, 6}),
        ("diff", {1, 4}),
        ("gc", {4, 5}),
        ("pipelines", {4}),
        ("resume", {1, 3, 4, 5, 6}),
        ("run", {1, 3, 4, 5, 6}),
        ("scan", {1, 3, 4, 6}),
        ("snapshot rm", {4, 5}),
        ("store upgrade", {4, 5}),
        ("summary", {4}),
        ("verify", {1, 4, 5}),
    ],
)
def test_api_says_how_a_command_can_end(name: str, codes: set[int]) -> None:
    commands: Any = describe(cli)["commands"]
    described = {command["name"]: command for command in commands}
    assert set(described[name]["exit_codes"]) == {0, 2, 70, 130} | codes


def test_schemas_are_named_where_there_are_any() -> None:
    for name, command in COMMANDS.items():
        schemas = schemas_of(name)
        assert set(schemas) <= set(list_schemas())
        options = {word for parameter in command.params for word in parameter.opts}
        assert bool(schemas) == ("--json" in options), name
    assert schemas_of("scan") == ("cli.run", "cli.watch")
    assert schemas_of("show") == (*("cli.show-batch", "cli.show-object", "cli.show-snapshot"),)


def test_every_schema_of_a_command_is_some_commands() -> None:
    named = {schema for name in COMMANDS for schema in schemas_of(name)}
    printed = {name for name in list_schemas() if name.startswith("cli.")}
    assert printed - named == {"cli.error"}


def test_listing_for_people(main: Main) -> None:
    page = main("api").out
    for name in COMMANDS:
        assert f"\n{name} " in "\n" + page
