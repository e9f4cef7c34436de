"""The files that ``task new`` writes: a task that works, and its test."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping

from codebatch.model.errors import TaskInvalidError
from codebatch.tasks.registry import BUILT_IN

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")

_TASK = '''"""A task of CodeBatch: try it with `codebatch task run NAME.py:NAME PATH`."""

import codebatch


@codebatch.task(version=1, config={"words": ["TODO", "FIXME"]})
def NAME(file: codebatch.File, config):
    """Lines that say that something is to be done."""
    for number, line in enumerate(file.lines, 1):
        for word in config["words"]:
            if word in line:
                yield codebatch.Diagnostic(
                    code=word, severity="info", line=number, message=line.strip()
                )
'''
_TEST = """from NAME import NAME

from codebatch.testing import run_task


def test_a_line_is_found():
    (found,) = run_task(NAME, "x = 1\\n# TODO: more of it\\n")
    assert (found["code"], found["line"]) == ("TODO", 2)


def test_words_are_a_setting():
    assert run_task(NAME, "# TODO\\n", config={"words": ["XXX"]}) == []
"""


def files_of(name: str) -> Mapping[str, str]:
    """Return the text of each file of a new task, by its name."""
    hints = ["lower-case letters, digits and '_', as in dead_code"]
    if not _NAME.match(name) or keyword.iskeyword(name):
        raise TaskInvalidError(f"not a name for a task and its module: {name!r}", hints=hints)
    if name in BUILT_IN or name in sys.stdlib_module_names or name == "codebatch":
        raise TaskInvalidError(f"the name {name} is taken: choose another")
    texts = {f"{name}.py": _TASK, f"test_{name}.py": _TEST}
    return {file: text.replace("NAME", name) for file, text in texts.items()}
