"""``scan --watch``, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Outcome, cli_command, cli_environment, write_tree

WAIT = 60  # seconds, for what takes a fraction of one
SCHEMA = json.loads((REPOSITORY / "schemas/cli.watch.schema.json").read_text())


@contextmanager
def watching(tree: Path, *words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    command = cli_command("scan", ".", "--watch", "--scheduler", "sync", *words)
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = cli_environment()
    with subprocess.Popen(command, cwd=tree, env=environment, text=True, **given) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=WAIT)
    # Where it comes while a module is imported, Python itself ends so: it has seen an interrupt
    # leave code that was compiled from text.
    assert process.returncode in {130, -signal.SIGINT}, stderr
    return stdout, stderr


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    """Read stdout up to a line with the word; the runner's own limit ends what never comes."""
    assert process.stdout
    found = []
    for line in process.stdout:
        found.append(line.rstrip("\n"))
        if word in line:
            return found
    raise AssertionError(found)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", {"a.py": "import os\n", "b.py": "x = 1\n"})


def test_it_prints_the_scan_then_what_changes(tree: Path) -> None:
    with watching(tree) as process:
        assert "next: " in "\n".join(lines_until(process, "codebatch skipped"))
        (tree / "a.py").write_text("import sys\n")
        *found, last = lines_until(process, " new, ")
        assert found == [
            "a.py:1:8: new warning L101 `sys` imported but unused",
            "a.py:1:8: gone warning L101 `os` imported but unused",
        ]
        assert last.split("  ")[1] == "1 new, 1 fixed"
        (tree / "b.py").write_text("def f(:\n")
        assert "b.py:1:7: new error E0001" in lines_until(process, " new, ")[0]
        stdout, stderr = interrupted(process)
    assert stdout == ""
    assert stderr.splitlines() == [
        "made a store: .codebatch",
        f"watching {tree}: Ctrl-C ends",
        "interrupted",
    ]


def test_json_has_a_document_on_each_line(tree: Path) -> None:
    (tree / "p.json").write_text('{"name": "p", "tasks": [{"id": "lint", "task": "lint"}]}')
    with watching(tree, "--json", "--pipeline", "p.json") as process:
        documents = [json.loads(lines_until(process, "")[-1])]
        for name, text in {"b.py": "import re\n", "p.json": "{}"}.items():
            (tree / name).write_text(text)
            documents.append(json.loads(lines_until(process, "")[-1]))
        interrupted(process)
    for document in documents:
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        assert "totals" not in document
    first, second, wrong = documents
    assert (first["base"], first["summary"]) == (None, {"new": 0, "fixed": 0})
    assert (second["base"], second["summary"]) == (first["batch_id"], {"new": 1, "fixed": 0})
    assert [(one["path"], one["code"]) for one in second["new"]] == [("b.py", "L101")]
    assert wrong["error"]["code"] == "PIPELINE_INVALID"


def test_what_it_writes_into_the_tree_is_no_change(tree: Path) -> None:
    with (tree / "out.txt").open("w") as out, watching(tree, "-q", stdout=out) as process:
        assert process.stderr
        while not (tree / "out.txt").read_text().count("\n"):
            assert process.poll() is None
        (tree / "a.py").write_text("import sys\n")
        while (tree / "out.txt").read_text().count("\n") < 2:
            assert process.poll() is None
        (tree / "b.py").write_text("import sys\n")
        while (tree / "out.txt").read_text().count("\n") < 3:
            assert process.poll() is None
        _, stderr = interrupted(process)
    assert stderr == "made a store: .codebatch\ninterrupted\n"
    assert (tree / "out.txt").read_text().count("\n") == 3


@pytest.mark.parametrize("option", ["--fail-on error", "--require-reused", "--staged"])
def test_options_that_make_no_sense_beside_it(
    option: str, tree: Path, main: Callable[..., Outcome], tmp_path: Path
) -> None:
    done = main("scan", tree, "--watch", *option.split(), "--store", tmp_path / "store")
    assert done.code == 2
    assert option.split(maxsplit=1)[0] in done.err
    assert not (tmp_path / "store").exists()


def test_the_extra_that_is_missing_is_named(
    tree: Path, main: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = main("scan", tree, "--watch", "--store", tmp_path / "store")
    assert done.code == 2
    assert "pip install 'codebatch[watch]'" in done.err
    assert not (tmp_path / "store").exists()
