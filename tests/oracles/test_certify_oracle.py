"""``tool certify`` on a real package: what ruff, mypy and formatters are known to depend on."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from corpora import fetch

import codebatch
from codebatch.model.resources import load_tool_document

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def flask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flask")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "flask==3.0.3", "--no-deps"]
    fetch([*command, "--dest", str(folder)], folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "tree")
    return folder / "tree"


def changed(name: str, *more: str, **fields: Any) -> codebatch.Task:
    """A packaged tool with more words behind its name and its subcommand, and other fields."""
    document = load_tool_document(name)
    run = [*document["run"][:2], *more, *document["run"][2:]]
    return codebatch.tool(**{**document, "run": run, **fields})


def test_all_rules_of_ruff_depend_on_siblings(flask: Path) -> None:
    everything = changed("ruff", "--select", "ALL", depends="content", siblings=[])
    found = codebatch.certify(everything, flask)
    assert (found.depends, found.siblings, found.holds) == ("siblings", ("__init__.py",), False)
    assert {one.code for each in found.differences for one in each.added} == {"INP001"}


def test_without_that_rule_they_do_not(flask: Path) -> None:
    rest = changed("ruff", "--select", "ALL", "--ignore", "INP", depends="path", siblings=[])
    found = codebatch.certify(rest, flask, rounds=4)
    assert (found.depends, found.holds) == ("path", True)


@pytest.mark.parametrize("name", ["ruff", "mypy"])
def test_packaged_descriptions_hold(flask: Path, name: str) -> None:
    assert codebatch.certify(name, flask).holds


@pytest.mark.parametrize("described", ["content", "path"])
def test_mypy_depends_on_the_project(flask: Path, described: str) -> None:
    found = codebatch.certify(changed("mypy", depends=described), flask)
    assert (found.depends, found.holds) == ("project", False)
    assert any(one.code == "attr-defined" for each in found.differences for one in each.added)
