"""The descriptions of tools that the package brings."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from codebatch.model.resources import list_tools, load_tool_document
from codebatch.tasks.languages.detect import LANGUAGES
from codebatch.tasks.tools import load_tool


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


def test_no_two_descriptions_are_of_one_command() -> None:
    commands = Counter(json.dumps(load_tool_document(name)["run"]) for name in list_tools())
    assert [command for command, count in commands.items() if count > 1] == []
