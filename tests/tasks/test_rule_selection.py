"""Rules of ruff beside our own: which are run, what their findings are called, what is refused."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome

import codebatch
from codebatch.model.errors import TaskInvalidError
from codebatch.tasks.languages.detect import visibility
from codebatch.tasks.languages.python.ruff import RUFF, RuffInput, RuffRun
from codebatch.tasks.languages.python.ruff_rules import (
    NOT_HERE,
    arguments,
    asked_of_ruff,
    is_own,
    selected_rules,
)
from codebatch.tasks.registry import find_task
from codebatch.testing import run_task

SOURCE = """import os
def f(x=[], id=None):
    y = 1
    return x == None
"""
LONG = "x = '{}'{}\n"


def found(source: str, path: str = "m.py", **config: Any) -> list[tuple[str, str, str]]:
    """Code, rule and severity of the findings in a source."""
    records = run_task("lint", source, path=path, config=config)
    return [(r["code"], r["rule"], r["severity"]) for r in records if r["kind"] == "diagnostic"]


def codes(source: str, path: str = "m.py", **config: Any) -> list[str]:
    return [code for code, _, _ in found(source, path, **config)]


E711 = ("E711", "none-comparison", "warning")
OURS = [
    ("L101", "F401", "warning"),
    ("L103", "A002", "info"),
    ("L102", "F841", "warning"),
]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, OURS),
        ({"select": ["F", "A"]}, OURS),
        ({"select": ["L101"]}, OURS),
        (
            {"select": ["B", "E711"]},
            [
                OURS[0],
                ("B006", "mutable-argument-default", "warning"),
                *OURS[1:],
                E711,
            ],
        ),
        ({"select": ["B", "E711"], "ignore": ["B0", "E"]}, [*OURS, E711]),
        ({"ignore": ["L1"]}, []),
        ({"ignore": ["F"]}, OURS[1:2]),
        ({"ignore": ["F", "L103"], "select": ["F841"]}, OURS[2:]),
        ({"rules": [], "select": ["F4"]}, OURS[:1]),
        ({"rules": [], "select": ["B"], "severities": {"B": "info", "B006": "error"}},
         [("B006", "mutable-argument-default", "error")]),
        ({"rules": [], "select": ["F", "D103"], "ignore": ["ALL"]},
         [("D103", "undocumented-public-function", "info"), OURS[0], OURS[2]]),
    ],
)  # fmt: skip
def test_what_is_found(config: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert sorted(found(SOURCE, **config)) == sorted(expected)


def test_what_stops_a_build_is_an_error() -> None:
    assert found("print(absent)\n", select=["F82"]) == [("F821", "undefined-name", "error")]


@pytest.mark.parametrize(
    ("length", "comment", "expected"),
    [
        (90, "", ["E501"]),
        (150, "", ["L003"]),
        (150, "  # noqa: L003", []),
        (150, "  # noqa: E501", []),
        (150, "  # noqa", []),
        (90, "  # noqa: B008", ["E501"]),
    ],
)
def test_nothing_is_reported_twice(length: int, comment: str, expected: list[str]) -> None:
    assert codes(LONG.format("a" * length, comment), select=["E501"]) == expected


def test_comments_for_rules_that_are_not_run_are_not_called_useless() -> None:
    source = "import a  # noqa: I001\nimport b  # noqa: L101\nimport c  # noqa: E501\n"
    assert codes(source, select=["RUF100"]) == ["L101", "L101", "RUF100"]


def test_private_modules_need_no_docstrings() -> None:
    for path, expected in (
        ("a/m.py", ["D100"]),
        ("a/_m.py", []),
        ("_a/m.py", []),
        ("a/__init__.py", ["D104"]),
        ("_a/__init__.py", []),
        ("a/__main__.py", ["D100"]),
    ):
        assert codes("x = 1\n", path, select=["D1"]) == expected, path


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("F999", "unknown rule 'F999'; did you mean 'F"),
        ("f401", "unknown rule 'f401'; did you mean 'F401'?"),
        ("unused-import", "unknown rule 'unused-import'"),
        ("--fix", "unknown rule '--fix'"),
        ("L9", "unknown rule 'L9'; did you mean 'L"),
        ("ANN101", "was removed"),
        ("E302", "E302 is a preview rule of ruff"),
        ("I", "I is not available: it depends on the files around the file"),
        ("N999", "N999 is not available: it depends on the name of the file"),
    ],
)
def test_what_selects_nothing_is_one_line_of_error(selector: str, message: str) -> None:
    with pytest.raises(TaskInvalidError, match="config: select: ") as caught:
        run_task("lint", "x = 1\n", config={"select": ["B", selector]})
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_every_rule_has_a_title_a_help_and_a_link() -> None:
    config = find_task("lint").resolve_config({"select": ["ALL"]})
    rules = selected_rules(config)
    assert len(rules) > 500
    assert NOT_HERE.keys().isdisjoint(rule.code for rule in rules)
    assert all(rule.title and rule.link for rule in rules)
    assert sum(not rule.help for rule in rules) < 20


def test_rules_on_the_command_line(main: Callable[..., Outcome], tmp_path: Path) -> None:
    tree, store = tmp_path / "tree", tmp_path / "store"
    tree.mkdir()
    (tree / "m.py").write_text(SOURCE)
    (tree / "ruff.toml").write_text('lint.ignore = ["B006"]\n')
    done = main(
        "scan", tree, "--store", store, "--select", "B,E711", "--ignore", "L101, L102", "-q"
    )
    assert done.code == 0, done.stderr
    shown = main("errors", "--store", store, "--json")
    assert [r["code"] for r in json.loads(shown.stdout)] == ["B006", "L103", "E711"]
    inspected = json.loads(main("inspect", "m.py", "--store", store, "--json").stdout)
    (rule,) = [one for one in inspected["rules"] if one["code"] == "B006"]
    assert (rule["title"], rule["name"]) == ("Mutable argument default", "mutable-argument-default")
    assert rule["link"].endswith("/rules/mutable-argument-default")
    wrong = main("plan", "--store", store, "--select", "B06")
    assert (wrong.code, wrong.said.count("\n")) == (2, 1)


def test_a_document_says_where_the_unknown_rule_is(
    main: Callable[..., Outcome], tmp_path: Path
) -> None:
    task = {"id": "lint", "task": "lint", "config": {"select": ["B", "F999"]}}
    (tmp_path / "p.json").write_text(json.dumps({"name": "p", "tasks": [task]}))
    done = main("pipeline", "validate", tmp_path / "p.json")
    assert done.code == 2
    assert "/tasks/0/config/select/1: unknown rule 'F999'" in done.out


def test_settings_are_for_tasks_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(SOURCE)
    with pytest.raises(codebatch.CodeBatchError, match="no task 'lint'"):
        codebatch.scan(
            tmp_path, tmp_path / "s", pipeline="parse", settings={"lint": {"select": ["B"]}}
        )


def library() -> Iterator[tuple[Path, bytes]]:
    """Some sources of the standard library with what they hold."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(p for p in root.rglob("*.py") if "site-packages" not in p.parts)[::25]:
        content = path.read_bytes()
        if b"coding" not in b"".join(content.splitlines()[:2]):
            yield path, content


@pytest.mark.slow
def test_all_rules_find_by_content_and_facets_what_they_find_in_place(tmp_path: Path) -> None:
    """A rule that looks at anything else differs here, and has to be in `NOT_HERE`."""
    files = dict(library())
    root = Path(sysconfig.get_paths()["stdlib"])
    rules = arguments(asked_of_ruff(find_task("lint").resolve_config({"select": ["ALL"]})))
    (tmp_path / "list").write_text("\n".join(map(str, files)))
    command = [RUFF.binary(), "check", "--isolated", "--no-cache", "--exit-zero", "--quiet"]
    command += ["--target-version", "py310", "--output-format", "json-lines", *rules]
    out = subprocess.run([*command, f"@{tmp_path / 'list'}"], capture_output=True, check=True)
    places = {str(path): place for place, path in enumerate(files)}
    theirs = {
        (places[item["filename"]], item["location"]["row"], item["code"])
        for item in map(json.loads, out.stdout.splitlines())
        if item["code"] and item["code"] != "invalid-syntax"
    }
    inputs = [
        RuffInput(
            content,
            "init" if path.name == "__init__.py" else "module",
            visibility(path.relative_to(root).as_posix()) == "private",
        )
        for path, content in files.items()
    ]
    ours = {
        (place, one.line, one.rule if is_own(one.code) else one.code)
        for place, some in enumerate(RuffRun(inputs, rules).findings())
        for one in some
        if not one.is_silenced
    }
    assert len(ours) > 1000
    # ``telnetlib.Telnet`` in telnetlib.py itself.
    assert [found for found in sorted(ours ^ theirs) if found[2] != "S312"] == []
