"""`codebatch api` and `explain`: what the command line says about itself is what it does."""

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
from conftest import OBEYING_PERMISSIONS, Outcome, Scanned, run_cli, write_tree

import codebatch
import codebatch.cli
from codebatch.cli import cli
from codebatch.cli.access import access_of, is_declared, reads
from codebatch.cli.commands.describe import describe, iter_commands
from codebatch.model.errors import EXIT_CODES
from codebatch.model.resources import list_schemas, load_schema
from codebatch.store import DATA

Main = Callable[..., Outcome]

COMMANDS = dict(iter_commands(cli))
# How each command that shows something of a store is run; several ways where one does not need
# all that the command may read. OLD, SNAPSHOT and OBJECT stand for ids.
VIEWS: dict[str, list[list[str]]] = {
    "batches": [["batches"]],
    "diagnose": [["diagnose", "--json"]],
    "diff": [["diff", "OLD", "latest"]],
    "errors": [["errors"], ["errors", "--language", "python"]],
    "export": [["export", "--format", "sarif", "--base", "OLD"]],
    "files": [["files"]],
    "explain": [["explain", "--task", "lint", "--file", "pkg/cart.py"]],
    "improvements": [["improvements", "OLD", "latest"]],
    "inspect": [["inspect", "pkg/cart.py"], ["inspect", "style.py"]],
    "memo export": [["memo", "export", "MEMO"]],
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
    "snapshots": [["snapshots"]],
    "sql": [["sql", "SELECT count(*) FROM records"]],
    "status": [["status"]],
    "store-stats": [["store-stats", "--json"]],
    "summary": [["summary"]],
    "tasks": [["tasks"]],
    "top": [["top", "--language", "python"]],
}
# A view does without an index, a lease or an event, so that taking it away shows nothing; that a
# view reads them in some cases only is for its own tests.
DERIVED = {"indexes", "memo", "quarantine", "leases", "events"}


# What these print depends on where and how files lie, of which there is no other copy.
PHYSICAL = {"diagnose"}


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
    return Scanned(base / "tree", batch.store, batch, report)


def files_of(store: Path, data: str) -> Iterator[Path]:
    for pattern in DATA[data].files:
        yield from (path for path in store.glob(pattern) if path.is_file())


def ways_of(name: str, compared: Scanned) -> Iterator[list[str]]:
    """The command lines of a view, with ids of the store filled in."""
    rows = compared.store.batches()
    ids = {
        "OLD": str(rows[1]["batch_id"]),
        "MEMO": str(compared.tree.parent / "memo.tar"),
        "SNAPSHOT": str(rows[0]["snapshot_id"]),
        "OBJECT": str(compared.batch.inspect("pkg/cart.py")["object"]),
    }
    for words in VIEWS[name]:
        yield [ids.get(word, word) for word in words]


def test_every_view_is_in_the_table() -> None:
    """A command that reads a store and writes at most indexes shows something."""
    views = set()
    for name, command in COMMANDS.items():
        access = access_of(name, command)
        if access.reads and set(access.writes) <= DERIVED:
            views.add(name)
    assert views == set(VIEWS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_declares_what_it_reads(name: str) -> None:
    assert is_declared(COMMANDS[name])


def test_unknown_data_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="tables"):
        reads("tables")


def test_every_file_of_a_store_is_of_one_kind(compared: Scanned) -> None:
    found = [path for data in DATA for path in files_of(compared.path, data)]
    every = {path for path in compared.path.rglob("*") if path.is_file()}
    assert len(found) == len(set(found))
    assert every - set(found) == {compared.path / ".gitignore"}
    used = {data for data in DATA if any(files_of(compared.path, data))}
    assert used >= DATA.keys() - DERIVED


@pytest.mark.parametrize("name", sorted(VIEWS.keys() - PHYSICAL))
def test_view_reads_nothing_else(name: str, compared: Scanned, tmp_path: Path) -> None:
    """It prints the same when nobody may read what it does not declare."""
    access = access_of(name, COMMANDS[name])
    plain = shutil.copytree(compared.path, tmp_path / "plain")  # without hard links
    for number, words in enumerate(ways_of(name, compared)):
        expected = run_cli(*words, "--store", plain)
        assert (expected.code, expected.stdout != b"") == (0, True), expected.err
        copy = tmp_path / str(number)
        shutil.copytree(compared.path, copy)
        for data in DATA.keys() - {*access.reads, *access.writes}:
            for path in files_of(copy, data):
                path.chmod(0)
        done = run_cli(*words, "--store", copy, before=OBEYING_PERMISSIONS)
        out = done.out.replace(str(copy), str(plain))
        assert (done.code, out) == (0, expected.out), f"{words}: {done.err}"


@pytest.mark.parametrize("name", sorted(VIEWS.keys() - PHYSICAL))
def test_view_reads_all_it_declares(
    name: str, main: Main, compared: Scanned, tmp_path: Path
) -> None:
    """Damage to any kind of data it declares shows in one way to run it, or another."""
    ways = list(ways_of(name, compared))
    expected = [main(*words, "--store", compared.path) for words in ways]
    for data in set(access_of(name, COMMANDS[name]).reads) - DERIVED:
        copy = tmp_path / data
        shutil.copytree(compared.path, copy)
        shutil.rmtree(copy / "indexes", ignore_errors=True)
        for path in files_of(copy, data):
            path.chmod(0o644)
            path.write_bytes(b"x" * path.stat().st_size)
        done = [main(*words, "--store", copy) for words in ways]
        same = [
            a.out.replace(str(copy), str(compared.path)) == b.out
            for a, b in zip(done, expected, strict=True)
        ]
        assert not all(same), f"{name} does not read {data}"


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
    assert options["--batch"]["default"] == "latest"
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
        schemas = access_of(name, command).schemas
        assert set(schemas) <= set(list_schemas())
        options = {word for parameter in command.params for word in parameter.opts}
        assert bool(schemas) == ("--json" in options), name
    assert access_of("scan", COMMANDS["scan"]).schemas == ("cli.run",)
    assert access_of("show", COMMANDS["show"]).schemas == (
        *("cli.show-batch", "cli.show-object", "cli.show-snapshot"),
    )


def test_every_schema_of_a_command_is_some_commands() -> None:
    named = {schema for name in COMMANDS for schema in access_of(name, COMMANDS[name]).schemas}
    printed = {name for name in list_schemas() if name.startswith("cli.")}
    assert printed - named == {"cli.error"}


@pytest.mark.parametrize("name", COMMANDS)
def test_explain(main: Main, name: str) -> None:
    found = json.loads(main("explain", *name.split(), "--json").stdout)
    jsonschema.Draft202012Validator(load_schema("cli.explain")).validate(found)
    access = access_of(name, COMMANDS[name])
    assert found["command"] == name
    assert [row["data"] for row in found["reads"]] == list(access.reads)
    assert [row["data"] for row in found["writes"]] == list(access.writes)
    page = main("explain", *name.split()).out
    assert page.startswith(f"codebatch {name}: ")
    for row in (*found["reads"], *found["writes"]):
        assert all(pattern in page for pattern in row["files"])


def test_explain_of_no_command(main: Main) -> None:
    done = main("explain", "query", "--json")
    assert done.code == 2
    assert "did you mean query outputs?" in json.loads(done.stdout)["error"]["hints"]


def test_listing_for_people(main: Main) -> None:
    page = main("api").out
    for name in COMMANDS:
        assert f"\n{name} " in "\n" + page
