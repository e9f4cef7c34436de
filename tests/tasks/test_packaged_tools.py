"""The descriptions of tools that the package brings."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import write_tree

import codebatch
from codebatch.model.resources import list_tools, load_tool_document
from codebatch.tasks.languages.detect import LANGUAGES
from codebatch.tasks.tools import load_tool
from codebatch.tasks.tools.program import find_program


@pytest.mark.parametrize("name", list_tools())
def test_a_description_is_whole(name: str) -> None:
    task, document = load_tool(name), load_tool_document(name)  # which checks it
    assert task.name == document["name"] == name
    assert document["summary"] == task.summary
    assert document["link"].startswith("https://")
    assert document["install"]
    assert {*document.get("files", {}).get("languages", ())} <= {*LANGUAGES}
    assert document["success_codes"]
    assert document["depends"]


@pytest.mark.oracle
def test_pyflakes_says_what_is_no_python_but_not_what_that_says(tmp_path: Path) -> None:
    if find_program("pyflakes") == "":
        pytest.skip("pyflakes is not installed")
    write_tree(tmp_path / "tree", {"bad.py": "good.py:3:1: x\n", "good.py": "import os\n"})
    batch, report = codebatch.scan(
        tmp_path / "tree", tmp_path / "store", tasks=[load_tool("pyflakes")], scheduler="sync"
    )
    assert report.status == "done"
    assert sorted(
        (str(row["path"]), row["line"], str(row["message"]))
        for row in batch.records(kind="diagnostic")
    ) == [
        ("bad.py", 1, "invalid syntax"),
        ("good.py", 1, "'os' imported but unused"),
    ]


def test_no_two_descriptions_are_of_one_command() -> None:
    commands = Counter(json.dumps(load_tool_document(name)["run"]) for name in list_tools())
    assert [command for command, count in commands.items() if count > 1] == []
