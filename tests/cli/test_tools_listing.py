"""``tools``: the packaged tools, with what is installed here and how to get the rest."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from conftest import Outcome
from terminals import InTerminal

import codebatch
from codebatch.model.resources import list_tools, load_schema, load_tool_document

Main = Callable[..., Outcome]


# Each of the tools that are installed would be asked for its version, which takes seconds.
ABSENT = "none"


def install(folder: Path, name: str, version: str) -> None:
    """Make a program that says this version."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)


@pytest.fixture
def only_mypy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all tools there is one, on the path."""
    install(tmp_path, "mypy", "mypy 9.8.7rc1 (made here)")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ABSENT))


@pytest.fixture
def some_tools(tmp_path: Path) -> dict[str, str | None]:
    """The environment of a process that finds no tool but every third, made here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in list_tools()[::3]:
        program = load_tool_document(name)["run"][0]
        install(programs, program, f"{name} 2026.12.1-beta.3+build.20261201 (made here)")
    text = f"import sys\nsys.prefix = {str(tmp_path / ABSENT)!r}\n"
    (tmp_path / "sitecustomize.py").write_text(text)
    return {"PATH": str(programs), "PYTHONPATH": str(tmp_path)}


@pytest.mark.usefixtures("only_mypy")
def test_tools_are_listed_with_what_is_installed(main: Main) -> None:
    document = json.loads(main("tools", "--json").stdout)
    jsonschema.Draft202012Validator(load_schema("cli.tools")).validate(document)
    assert document == codebatch.tools()
    assert [one["name"] for one in document] == list_tools()
    versions = {one["name"]: one["version"] for one in document if one["version"]}
    assert versions == {"mypy": "mypy 9.8.7rc1 (made here)"}
    mypy = next(one for one in document if one["name"] == "mypy")
    described = load_tool_document("mypy")
    assert mypy["languages"] == described["files"]["languages"]
    assert mypy["depends"] == described["depends"]
    assert mypy["install"] == ["pip install mypy"]


@pytest.mark.usefixtures("only_mypy")
def test_tables_of_what_is_here_and_what_is_not(main: Main) -> None:
    lines = main("tools").out.splitlines()
    assert lines[0].split()[:4] == ["name", "version", "depends", "languages"]
    assert lines[1].split()[:3] == ["mypy", "9.8.7rc1", "project"]
    assert lines[2:4] == ["", "not installed:"]
    ruff = next(line for line in lines if line.startswith("ruff "))
    assert "pip install ruff" in ruff
    assert lines[-1] == "next: codebatch scan . --tool mypy"


@pytest.mark.parametrize("width", [60, 100, 160])
def test_the_tables_fit(width: int, some_tools: dict[str, str | None]) -> None:
    environment = {**some_tools, "NO_COLOR": "1", "CODEBATCH_PAGER": "/bin/cat"}
    with InTerminal("tools", width=width, height=200, env=environment) as terminal:
        assert terminal.end() == 0
        lines = terminal.written.decode().splitlines()
    rows = [line for line in lines if not line.startswith("cut to the terminal")]
    assert rows.index("not installed:") > len(list_tools()) / 4
    assert max(map(len, rows)) <= width
    assert {line.split()[0] for line in rows if line} >= {*list_tools()}


@pytest.mark.usefixtures("only_mypy")
def test_every_tool_can_be_found() -> None:
    for one in codebatch.tools():
        assert one["install"], one["name"]
        assert one["link"].startswith("https://"), one["name"]
        assert one["summary"], one["name"]
