"""What is said of a task that a plan names and nothing here has."""

from __future__ import annotations

import pytest

from codebatch.model.errors import TaskNotFoundError
from codebatch.model.records import PlannedTask
from codebatch.tasks.registry import task_of

DIGEST = f"sha256:{'0' * 64}"


def hint_for(source: str) -> str:
    """Return the first hint where a plan says that its task has this address."""
    task = PlannedTask(
        "own", "own", (), {}, (), DIGEST, {"code": {"digest": DIGEST}}, source=source
    )
    with pytest.raises(TaskNotFoundError, match="task own of the batch is not known") as missing:
        task_of(task)
    return missing.value.hints[0]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("own.py:answers", "own.py:answers"),
        ("pkg.own:Tasks.answers", "pkg.own:Tasks.answers"),
        ("my tasks/own.py:answers", "'my tasks/own.py:answers'"),
        ("it's.py:answers", "'it'\"'\"'s.py:answers'"),
        ("$(id); touch x.py:answers", "'$(id); touch x.py:answers'"),
        ("é/ñ.py:größe", "'é/ñ.py:größe'"),
    ],
)
def test_an_address_is_one_word_of_a_shell(source: str, word: str) -> None:
    assert hint_for(source) == f"name it: --task {word}"


@pytest.mark.parametrize(
    "source",
    [
        *("", "x", "-rf.py:x", "--json:x", "$(id):x", "a b:x", "a.py:x; id", "a.py:x\n", "a.py:"),
        *("a\n.py:x", "a\x1b[2J.py:x", "a\u202e.py:x", "a\udcff.py:x", "a.py:x y", "..a:x"),
    ],
)
def test_what_is_no_plain_address_is_not_shown(source: str) -> None:
    assert hint_for(source) == "name it: --task FILE.py:NAME"
