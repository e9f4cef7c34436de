"""Python is whole: each command has an equivalent, each mistake the same error, each name a type
and a description.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import python_table
from conftest import REPOSITORY, Outcome, Scanned, write_tree

import codebatch
from codebatch.cli import cli
from codebatch.cli.commands.describe import iter_commands

COMMANDS = dict(iter_commands(cli))
DEMO: dict[str, str | bytes] = {
    "cart.py": "import json\nimport os\n\n\ndef load(path):\n    return json.load(open(path))\n",
    "web/price.ts": "export function total(prices: number[]): number {\n  let unused = 0;\n"
    "  return prices.length;\n}\n",
    "broken.py": "def broken(:\n    pass\n",
}
CONSUMER = REPOSITORY / "tests/typed_consumer.py"
# Nothing of this repository's settings; errors of the package itself are found elsewhere.
MYPY_OPTIONS = ("--config-file=", "--follow-imports=silent", "--warn-unreachable")
PUBLIC = [name for name in codebatch.__all__ if name != "__version__"]


# -- commands --------------------------------------------------------------------------------------


def test_each_command_has_its_equivalent() -> None:
    """``python tests/python_table.py`` writes the table of the manual."""
    assert list(python_table.EQUIVALENTS) == list(COMMANDS)
    assert python_table.tables() in python_table.PAGE.read_text(encoding="utf-8")


def options_without_a_parameter(command: str) -> Iterator[str]:
    functions = python_table.functions_of(command)
    parameters = {name for one in functions for name in python_table.parameters_of(one)}
    for option in COMMANDS[command].params:
        if isinstance(option, click.Option):
            said = python_table.said(command, option)
            wanted = option.name if said is None else said.parameter
            if wanted is not None and wanted not in parameters:
                yield f"{command} {option.opts[-1]}"


def test_each_option_is_a_parameter() -> None:
    assert [one for name in COMMANDS for one in options_without_a_parameter(name)] == []


def test_nothing_is_said_of_what_is_not_there() -> None:
    there = {str(option.name) for command in COMMANDS.values() for option in command.params}
    there |= {f"{name} {option.name}" for name, one in COMMANDS.items() for option in one.params}
    assert set(python_table.OPTIONS) <= there


# -- errors ----------------------------------------------------------------------------------------

Mistake = Callable[[codebatch.Store], object]
# What is asked of a store with a batch, on the command line and in Python.
MISTAKES: dict[str, Mistake] = {
    "summary --batch nope": lambda store: store.find_batch("nope"),
    "summary --batch latest~9": lambda store: store.find_batch("latest~9"),
    "plan --snapshot nope": lambda store: store.forecast("nope"),
    "plan --pipeline nope": lambda store: store.forecast(pipeline="nope"),
    "plan --task nope": lambda store: store.forecast(tasks=["nope"]),
    "batch init --shards 3": lambda store: store.batch("latest", shards=3),
    "errors --severity bad": lambda store: found(store, severity="bad"),
    "errors --code nope": lambda store: found(store, code="nope"),
    "errors --path nope/": lambda store: found(store, path="nope/"),
    "errors --task nope": lambda store: found(store, task="nope"),
    "query outputs --kind nope": lambda store: [*latest(store).sorted_records(kind="nope")],
    "top --by nope": lambda store: latest(store).top("nope"),
    "sql DELETE": lambda store: latest(store).sql("DELETE"),
    "sql --schema nope": lambda store: latest(store).sql_schema("nope"),
    "inspect nope.py": lambda store: latest(store).inspect("nope.py"),
    "cat nope.py": lambda store: latest(store).source("nope.py"),
    "tree README.md": lambda store: latest(store).tree("README.md"),
    "explain --task nope --file cart.py": lambda store: latest(store).explain("nope", "cart.py"),
    "run --scheduler nope": lambda store: latest(store).run("nope"),
    "run --memory-limit nope": lambda store: latest(store).run(memory_limit="nope"),
    "diff latest nope": lambda store: store.compare("latest", "nope"),
    "show nope": lambda store: store.show("nope"),
    "snapshot nope": lambda store: store.snapshot("nope"),
    "snapshot rm latest": lambda store: store.remove_snapshot("latest"),
    "batch rm nope": lambda store: store.remove_batch("nope"),
    "name set latest latest": lambda store: store.names.point("latest", "latest"),
    "name rm nope": lambda store: store.names.remove("nope"),
    "verify --subset nope": lambda store: store.verify(subset="nope"),
    "check nope": lambda store: store.check("nope"),
    "history nope": lambda store: store.history("nope"),
    "scan nope": lambda store: codebatch.scan("nope", store.path),
    "scan . --name a/../b": lambda store: codebatch.scan(".", store.path, name="a/../b"),
    "sarif import nope": lambda store: latest(store).import_sarif("nope"),
    "memo import nope": lambda store: store.import_memo("nope"),
    "apply . --task nope": lambda store: latest(store).apply(".", task="nope"),
    "export --format csv --output out": lambda store: latest(store).export("csv", io.BytesIO()),
    "report --output out --base nope": lambda store: latest(store).report("out", base="nope"),
    "status --store nope": lambda _: codebatch.open_store("nope"),
    "status --store ": lambda _: codebatch.open_store(""),
    "pipeline nope": lambda _: codebatch.pipeline("nope"),
    "pipeline validate nope": lambda _: codebatch.check_pipeline("nope"),
    "task new if": lambda _: codebatch.new_task("if"),
    "task run nope .": lambda _: run("nope", ["."]),
    "tool import nope": lambda _: codebatch.import_tools("nope"),
    "tool certify nope .": lambda _: codebatch.certify("nope", "."),
}


def latest(store: codebatch.Store) -> codebatch.Batch:
    return store.find_batch("latest")


def found(store: codebatch.Store, **filters: Any) -> list[Any]:
    return [*latest(store).sorted_records(kind="diagnostic", **filters)]


def run(task: str, paths: list[str]) -> list[Any]:
    from codebatch.testing import run_task  # noqa: PLC0415 - which imports the tasks

    return run_task(task, paths)


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_the_same_error(
    words: str,
    scanned: Scanned,
    main: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODEBATCH_STORE", str(scanned.path))  # hints repeat no option then
    done = main(*words.split(" "), "--json")
    said = json.loads(done.stdout)["error"]
    with pytest.raises(codebatch.CodeBatchError) as raised:
        MISTAKES[words](scanned.store)
    assert (said["code"], said["message"]) == (raised.value.code, raised.value.message)
    assert said["hints"] == list(raised.value.hints)


def test_the_store_is_found_as_the_command_line_finds_it(
    scanned: Scanned, tmp_path: Path, main: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "above/inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    said = json.loads(main("status", "--json").stdout)["error"]
    with pytest.raises(codebatch.CodeBatchError) as raised:
        codebatch.open_store()
    assert (said["code"], said["message"]) == (raised.value.code, raised.value.message)
    codebatch.open_store(tmp_path / "above/.codebatch", create=True)
    assert codebatch.open_store().path == tmp_path / "above/.codebatch"
    monkeypatch.setenv("CODEBATCH_STORE", str(scanned.path))
    assert codebatch.open_store().path == scanned.path
    assert json.loads(main("batches", "--json").stdout) == codebatch.open_store().batches()


# -- names -----------------------------------------------------------------------------------------


def public_functions() -> dict[str, Callable[..., Any]]:
    """The functions of the package, and the methods of its classes, by name."""
    every = {}
    for name in PUBLIC:
        value = getattr(codebatch, name)
        if inspect.isclass(value):
            for inner, method in inspect.getmembers(value, inspect.isfunction):
                if not inner.startswith("_") and method.__module__.startswith("codebatch"):
                    every[f"{name}.{inner}"] = method
        elif inspect.isfunction(value):
            every[name] = value
    return every


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_described(name: str) -> None:
    assert inspect.getdoc(getattr(codebatch, name))


def test_each_function_is_described_and_typed() -> None:
    for name, function in public_functions().items():
        assert inspect.getdoc(function), name
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, name
        for parameter in [*signature.parameters.values()][1:]:
            assert parameter.annotation is not parameter.empty, (name, parameter)


@pytest.mark.slow
def test_a_program_that_uses_all_names_is_checked(tmp_path: Path) -> None:
    """By its own settings, and by the types that the package is shipped with."""
    pytest.importorskip("mypy")
    assert (Path(codebatch.__file__).parent / "py.typed").is_file()
    source = CONSUMER.read_text(encoding="utf-8")
    assert [name for name in codebatch.__all__ if f"codebatch.{name}" not in source] == []
    program = tmp_path / "program.py"
    program.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [*(sys.executable, "-m", "mypy", "--strict"), *MYPY_OPTIONS, program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n")


def test_the_package_lists_its_names() -> None:
    assert dir(codebatch) == sorted(codebatch.__all__)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """The batch of the quick start's tree, which the examples of docstrings are about."""
    folder = tmp_path_factory.mktemp("demo")
    write_tree(folder / "demo", DEMO)
    return codebatch.scan(folder / "demo", folder / "store", scheduler="sync")[0]


DOCUMENTED = ("api.authoring", "api.names", "api.results", "config.config")


@pytest.mark.parametrize("module", DOCUMENTED)
def test_examples_of_docstrings_hold(module: str, demo: codebatch.Batch) -> None:
    store = codebatch.open_store(demo.path)
    examples = doctest.testmod(
        importlib.import_module(f"codebatch.{module}"),
        extraglobs={"batch": store.find_batch("latest"), "store": store},
    )
    assert examples.attempted > 0
    assert examples.failed == 0
