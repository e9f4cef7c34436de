"""Findings as people read them, and the exit code that says what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned
from terminals import InTerminal

import codebatch
from codebatch.cli.render import source

Main = Callable[..., Outcome]
RANKS = {"error": 0, "warning": 1, "info": 2}
LINE = re.compile(r"(.+?):(\d+):(\d+): (error|warning|info) (\S+) .+")


def on_terminal(*words: object, height: int = 200, width: int = 100, **env: str) -> list[str]:
    """The lines that a command writes to a terminal without a pager, below the name of the tree."""
    with InTerminal(*words, height=height, width=width, env={"NO_COLOR": "1", **env}) as terminal:
        assert terminal.end() == 0
        return terminal.written.decode().splitlines()[1:]


def findings_of(scanned: Scanned, main: Main, *words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        main("errors", "--json", "--store", scanned.path, *words).stdout
    )
    return found


def order(row: dict[str, Any]) -> tuple[int, bytes, int, int]:
    return RANKS[row["severity"]], row["path"].encode(), row["line"], row["column"]


# -- order and form --------------------------------------------------------------------------------


def test_a_pipe_gets_a_line_each_the_most_severe_first(scanned: Scanned, main: Main) -> None:
    *lines, last = main("errors", "--store", scanned.path).out.splitlines()
    found = findings_of(scanned, main)
    assert [LINE.fullmatch(line)[3] for line in lines if LINE.fullmatch(line)]  # type: ignore[index]
    assert [line.split(": ")[0] for line in lines] == [
        f"{row['path']}:{row['line']}:{row['column']}" for row in sorted(found, key=order)
    ]
    errors = sum(row["severity"] == "error" for row in found)
    assert last.startswith(f"{len(found)} findings: {errors} errors, ")
    assert "; by code: L101 " in last


def test_machine_forms_are_by_path(scanned: Scanned, main: Main) -> None:
    paths = [row["path"].encode() for row in findings_of(scanned, main)]
    assert paths == sorted(paths)


def test_a_limit_leaves_the_most_severe(scanned: Scanned, main: Main) -> None:
    first, last = main("errors", "--limit", 1, "--store", scanned.path).out.splitlines()
    assert " error E0001 " in first
    assert last.endswith("; 1 shown")


def test_sort_is_obeyed(scanned: Scanned, main: Main) -> None:
    words = ("errors", "--sort", "line", "--store", scanned.path)
    for lines in (main(*words).out.splitlines(), on_terminal(*words)):
        numbers = [int(match[2]) for match in map(LINE.fullmatch, lines) if match]
        assert len(numbers) > 3
        assert numbers == sorted(numbers)


def test_a_terminal_groups_them_with_their_source(scanned: Scanned) -> None:
    lines = on_terminal("errors", "--store", scanned.path)
    assert lines[0] == "3 errors"
    heads = [line for line in lines if re.fullmatch(r"\d+ (errors?|warnings?|info)", line)]
    assert [head.split()[1].rstrip("s") for head in heads] == ["error", "warning", "info"]
    at = lines.index("pkg/broken.py")
    assert lines[at + 1].startswith("  1:12 error E0001 ")
    assert lines[at + 2] == "    1 | def broken(:"
    assert lines[at + 3] == "      |            ^"


def test_plain_is_a_line_each_on_a_terminal(scanned: Scanned, main: Main) -> None:
    words = ("errors", "--plain", "--store", scanned.path)
    assert on_terminal(*words) == main(*words).out.splitlines()


def test_without_a_pager_there_is_a_first_page(scanned: Scanned, main: Main) -> None:
    number = len(findings_of(scanned, main))
    words = ("errors", "--plain", "--store", scanned.path)
    *lines, more, last = on_terminal(*words, height=8)
    assert more == f"… {number - len(lines)} more (all: --all)"
    assert 5 <= len(lines) < number
    assert last.startswith(f"{number} findings: ")
    assert len(on_terminal(*words, "--all", height=8)) == number + 1


def test_damaged_source_is_said_and_the_findings_are_shown(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a.py").write_text("import os\n")
    store = tmp_path / "store"
    codebatch.scan(tmp_path / "tree", store, scheduler="sync")
    for name in store.glob("objects/**/*"):
        if name.is_file():
            name.chmod(0o644)
            name.write_bytes(b"x")
    text = "\n".join(on_terminal("errors", "--store", store))
    assert "the source cannot be shown: " in text
    assert "1:8 warning L101" in text


# -- source lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "column", "before"),
    [
        ("\tx", 2, 4),
        ("a\tx", 3, 4),
        ("名前 x", 4, 5),
        ("e\u0301e\u0301x", 5, 2),
        ("\x1b[2Jx", 5, 7),
        ("\u202ex", 2, 6),
    ],
    ids=["tab", "tab stop", "wide", "combining", "escape", "direction"],
)
def test_the_caret_is_under_its_column(line: str, column: int, before: int) -> None:
    text, caret = source.with_caret(1, line, column, 1)
    assert caret == f"\x1b[2m  |\x1b[0m {' ' * before}^"
    assert "\x1b[2J" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("column", [1, 50, 1_000_000, 2_000_000])
def test_a_very_long_line_is_cut_around_the_column(
    column: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    line = "名" * (column - 1) + "!" + "x" * (2_000_000 - column)
    text, caret = (
        re.sub("\x1b\\[\\d*m", "", part) for part in source.with_caret(1, line, column, 1)
    )
    columns = [part for character in text for part in (character, *"." * (character == "名"))]
    assert len(columns) <= 60
    assert columns[len(caret) - 1] == "!"


# -- exit codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "level", "code"),
    [
        ((), "error", 1),
        (("--severity", "warning"), "error", 0),
        (("--severity", "warning"), "warning", 1),
        (("--path", "pkg/cart.py"), "error", 0),
        (("--path", "pkg/cart.py"), "info", 1),
        (("--limit", 0), "error", 1),
        (("--code", "L001"), "warning", 0),
    ],
)
def test_fail_on_looks_at_what_is_chosen(
    words: tuple[object, ...], level: str, code: int, scanned: Scanned, main: Main
) -> None:
    for form in ((), ("--json",), ("--format", "jsonl"), ("--format", "csv")):
        done = main("errors", *words, "--fail-on", level, *form, "--store", scanned.path)
        assert done.code == code, form
        assert (f"exit code 1: --fail-on {level}, " in done.err) == (code == 1)


@pytest.mark.parametrize("command", ["scan", "run", "resume"])
@pytest.mark.parametrize("form", ["", "--json", "--quiet"])
def test_runs_fail_on_what_the_batch_has(
    command: str, form: str, scanned: Scanned, main: Main
) -> None:
    where = [scanned.tree] if command == "scan" else []
    words = (command, *where, "--scheduler", "sync", *form.split(), "--store", scanned.path)
    done = main(*words, "--fail-on", "error")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "exit code 1: --fail-on error, 3 findings: 3 errors"
    plain = main(*words)
    assert plain.code == 0
    if form == "--quiet":
        assert plain.stdout == done.stdout


@pytest.mark.parametrize(("fail_on", "code"), [((), 0), (("--fail-on", "error"), 4)])
def test_a_batch_that_is_removed_when_it_is_done(
    fail_on: tuple[str, ...],
    code: int,
    tmp_path: Path,
    main: Main,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One document is printed: the report, or the error where the findings are asked for."""
    run = codebatch.Batch.run

    def run_and_remove(batch: codebatch.Batch, *words: Any, **options: Any) -> object:
        report = run(batch, *words, **options)
        codebatch.open_store(batch.path).remove_batch(batch.id)
        return report

    monkeypatch.setattr(codebatch.Batch, "run", run_and_remove)
    (tmp_path / "a.py").write_text("import os\n")
    where = ("--scheduler", "sync", "--store", tmp_path / "store", "--json")
    done = main("scan", tmp_path, *fail_on, *where)
    assert done.code == code, done
    assert ("error" in json.loads(done.stdout)) == bool(fail_on)


def test_a_run_without_such_findings_is_fine(tmp_path: Path, main: Main) -> None:
    (tmp_path / "a.py").write_text("import os\n")
    words = ("scan", tmp_path, "--scheduler", "sync", "--store", tmp_path / "store", "--fail-on")
    assert [main(*words, level).code for level in ("error", "warning", "info")] == [0, 1, 1]


def test_a_run_that_is_left_to_a_cluster_cannot_fail_on(scanned: Scanned, main: Main) -> None:
    done = main("run", "--detach", "--fail-on", "error", "--store", scanned.path)
    assert (done.code, "leave out --detach" in done.err) == (2, True)
