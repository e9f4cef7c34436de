"""The pager: which one, when, and what is left as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Scanned
from terminals import InTerminal

# A pager that says how it was called and what it was given.
MARK = "==paged=="
SHOUTING = f"{{ echo {MARK} $LESS; cat; }}"


def shown(*words: object, **env: str | None) -> tuple[int, str]:
    """Exit code, and all that a command writes to a terminal of 10 rows."""
    with InTerminal(*words, height=10, env={"NO_COLOR": "1", **env}) as terminal:
        code = terminal.end()
        return code, terminal.written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", ["errors", "query outputs", "files", "inspect pkg/cart.py"])
def test_what_is_longer_than_the_screen_is_paged(command: str, scanned: Scanned) -> None:
    words = (*command.split(), "--store", scanned.path)
    code, text = shown(*words, CODEBATCH_PAGER=SHOUTING, PAGER="false")
    assert (code, text.count(MARK)) == (0, 1)
    assert len(text.splitlines()) > 10


@pytest.mark.parametrize(
    ("env", "before", "after"),
    [
        ({"CODEBATCH_PAGER": ""}, [], []),
        ({"CODEBATCH_PAGER": "cat"}, [], []),
        ({"TERM": "dumb"}, [], []),
        ({}, ["--no-pager"], []),
        ({}, [], ["--json"]),
        ({}, [], ["--format", "jsonl"]),
        ({}, [], ["--limit", "1", "--plain"]),
        ({"CODEBATCH_PAGER": "nowhere-to-be-found"}, [], []),
    ],
    ids=["empty", "cat", "dumb", "option", "json", "jsonl", "short", "missing"],
)
def test_there_is_no_pager(
    env: dict[str, str | None], before: list[str], after: list[str], scanned: Scanned
) -> None:
    words = (*before, "errors", "--all", "--store", scanned.path, *after)
    code, text = shown(*words, **{"CODEBATCH_PAGER": SHOUTING, **env})
    assert (code, MARK in text) == (0, False)
    assert "E0001" in text


def test_the_pager_of_the_environment_gets_git_s_defaults(scanned: Scanned) -> None:
    words = ("errors", "--store", scanned.path)
    assert f"{MARK} FRX" in shown(*words, CODEBATCH_PAGER=None, PAGER=SHOUTING, LESS=None)[1]
    assert f"{MARK} -S" in shown(*words, CODEBATCH_PAGER=None, PAGER=SHOUTING, LESS="-S")[1]


def test_leaving_the_pager_early_is_quiet_and_keeps_the_exit_code(scanned: Scanned) -> None:
    words = ("errors", "--store", scanned.path, "--fail-on", "error")
    code, text = shown(*words, CODEBATCH_PAGER="head -n 2")
    assert code == 1
    assert "Traceback" not in text
    assert text.splitlines()[-1].startswith("exit code 1: --fail-on error, ")


def test_notes_wait_for_the_end_of_the_pager(scanned: Scanned) -> None:
    words = ("query", "symbols", "--store", scanned.path)
    _, text = shown(*words, CODEBATCH_PAGER=f"cat; echo {MARK};", COLUMNS="50")
    assert text.index(MARK) < text.index("cut to the terminal")


def test_a_pager_is_not_taken_from_the_current_folder(
    scanned: Scanned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "planted-pager"
    planted.write_text(f"#!/bin/sh\necho {MARK}\n")
    planted.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join([".", str(tmp_path), os.environ["PATH"]])
    _, text = shown("errors", "--store", scanned.path, CODEBATCH_PAGER="planted-pager", PATH=path)
    assert MARK not in text
