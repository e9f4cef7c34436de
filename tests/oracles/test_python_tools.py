"""Tools for Python as tasks, against the same tools called by hand over a copy of the tree.

What the tools print is read here in a few lines of each case's own, mostly from another format or
another call than the description has. Each is then run again, over nothing new, and over one file
that has changed: a wrapper of the program writes down what it is given.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Note
from corpora import fetch

import codebatch
from codebatch.model.resources import load_tool_document
from codebatch.tasks.tools.program import find_program

pytestmark = pytest.mark.oracle

FEWEST = 25  # tools that are tried where the extra of them is installed, as in CI

RISKY = '''\
"""Teh module that has somthing for every tool."""
import sys, os
import pickle
import json as unused


def risky(text, found=[]):
    # os.system(text)
    if text == None: return eval(text)
    os.system(text)
    password = "hunter2-Zq9x7Lw3"
    assert text
    return 1 + "a", pickle.loads(text), "%s" % (text,), password, set([1])


def branches(n):
'''
RISKY += "".join(f"    if n == {n}:\n        return {n + 1}\n" for n in range(20))
PROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = ["click", "requests"]\n'

Found = tuple[str, int, int, str, str]  # path, line, column, rule, message
Read = Callable[[str], Iterable[Found]]


class Case(NamedTuple):
    """A call by hand, and how what it prints is read. ``only`` is the part of the tree that a slow
    tool is tried on; ``settings`` are files that are beside the tree's own."""

    command: list[str]
    read: Read
    only: str = ""
    stream: str = "stdout"
    files: str = ""  # a pattern: all such files are named in the command
    settings: dict[str, str] = {}


def objects(*keys: str, at: str = "", base: int = 1, line_base: int = 1) -> Read:
    """Return what reads a list of objects, or one on each line, in JSON; keys of the path, line,
    column, rule and message, ``a.b`` within others."""

    def value(found: Any, path: str) -> Any:
        for key in path.split("."):
            found = (found or {}).get(key)
        return found

    def read(text: str) -> Iterator[Found]:
        if at == "lines":
            found = [json.loads(line) for line in text.splitlines()]
        else:
            found = value(json.loads(text), at) if at else json.loads(text)
        for one in found:
            path, line, column, rule, message = (value(one, key) for key in keys)
            line = max(1, (line or 0) + 1 - line_base)
            column = max(1, (line_base if column is None else column) + 1 - base)
            yield path, line, column, rule, message

    return read


def lines(pattern: str, rule: str = "") -> Read:
    """Return what reads lines, by the groups p, l, c, r and m."""

    def read(text: str) -> Iterator[Found]:
        for match in re.finditer(pattern, text, re.MULTILINE):
            group = match.groupdict()
            number = [int(group.get(name) or 1) for name in "lc"]
            yield group["p"], number[0], number[1], group.get("r") or rule, group["m"]

    return read


def bandit(text: str) -> Iterator[Found]:
    document = json.loads(text)
    for one in document["results"]:
        at = one["line_number"], one["col_offset"] + 1
        yield one["filename"], *at, one["test_id"], one["issue_text"]
    for one in document["errors"]:
        yield one["filename"], 1, 1, "unreadable", one["reason"]


def secrets(text: str) -> Iterator[Found]:
    for path, found in json.loads(text)["results"].items():
        for one in found:
            yield path, one["line_number"], 1, one["type"], one["type"]


def typos(text: str) -> Iterator[Found]:
    for one in map(json.loads, text.splitlines()):
        message = f"`{one['typo']}` should be {', '.join(one['corrections'])}"
        yield one["path"], one["line_num"], one["byte_offset"] + 1, "typo", message


def ty(text: str) -> Iterator[Found]:
    for one in json.loads(text):
        begin = one["location"]["positions"]["begin"]
        message = one["description"].removeprefix(f"{one['check_name']}: ")
        yield one["location"]["path"], begin["line"], begin["column"], one["check_name"], message


STYLE = lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?P<r>[A-Z]\w*\d+) (?P<m>.+)$")
RUFF = ["ruff", "check", "--isolated", "--no-cache", "--quiet", "--config", "src = []"]
RUFF = [*RUFF, "--output-format", "json-lines"]
ROWS = objects("filename", "location.row", "location.column", "code", "message", at="lines")
AS_313 = ["--python-version", "3.13", "--platform", "linux"]
NO_PACKAGES = {
    ".no-environment/pyvenv.cfg": "home = /usr/bin",
    ".no-environment/lib/python3.13/site-packages/.keep": "",
}
RULES = load_tool_document("ast-grep")["run"]
FINDINGS = {
    "ruff": Case([*RUFF, "."], ROWS),
    "ruff-all": Case([*RUFF, "--select=ALL", "--ignore=EXE001,EXE002", "."], ROWS),
    "ruff-docstrings": Case(
        [*RUFF, "--select=D", "--config=lint.pydocstyle.convention='pep257'", "."], ROWS
    ),
    "mypy": Case(
        # fmt: off
        ["mypy", "--config-file=", "--no-incremental", "--cache-dir=/dev/null", "--output=json",
         "--explicit-package-bases", "--no-site-packages", "--ignore-missing-imports",
         "--disable-error-code=import-untyped", *AS_313, "."],
        # fmt: on
        objects("file", "line", "column", "code", "message", at="lines", base=0),
    ),
    "basedpyright": Case(
        ["basedpyright", "--outputjson", "."],
        objects(
            *("file", "range.start.line", "range.start.character", "rule", "message"),
            at="generalDiagnostics",
            base=0,
            line_base=0,
        ),
        only="json",
        settings=load_tool_document("basedpyright")["config_files"],
    ),
    "ty": Case(
        # fmt: off
        ["ty", "check", "--no-progress", "--output-format=gitlab", "--python=.no-environment",
         "--python-version=3.13", "--python-platform=linux",
         "--config=analysis.allowed-unresolved-imports=['**']", "."],
        # fmt: on
        ty,
        settings={"ty.toml": "", **NO_PACKAGES},
    ),
    "pyrefly": Case(
        # fmt: off
        ["pyrefly", "check", "--output-format=json", "--skip-interpreter-query",
         "--python-version=3.13", "--python-platform=linux", "--search-path=.",
         "--search-path=src", "--ignore-missing-imports=*", "."],
        # fmt: on
        objects("path", "line", "column", "name", "concise_description", at="errors"),
        settings={"pyrefly.toml": ""},
    ),
    "zuban": Case(
        # fmt: off
        ["zuban", "check", "--show-column-numbers", "--ignore-missing-imports", *AS_313,
         "--python-executable=.no-environment/bin/python", "."],
        # fmt: on
        lines(
            r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?:error|note): (?P<m>.+?)(?:  \[(?P<r>.+)\])?$",
            "zuban",
        ),
        settings={"mypy.ini": "[mypy]"},
    ),
    "bandit": Case(["bandit", "-q", "-f", "json", "-r", "."], bandit),
    "pylint": Case(
        # fmt: off
        ["pylint", "--rcfile=/dev/null", "--output-format=json", "--disable=import-error",
         "--recursive=y", "."],
        # fmt: on
        objects("path", "line", "column", "symbol", "message", base=0),
        only="json",
    ),
    "flake8": Case(["flake8", "--isolated", "."], STYLE),
    "pycodestyle": Case(["pycodestyle", "."], STYLE, settings={"setup.cfg": "[pycodestyle]"}),
    "pyflakes": Case(
        ["pyflakes", "."], lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?P<m>.+)$", "pyflakes")
    ),
    "vulture": Case(
        ["vulture", "."],
        lines(r"^(?P<p>.+?):(?P<l>\d+): (?P<m>(?P<r>unused \w+|unreachable code|invalid syntax).*)"),
    ),
    "deptry": Case(
        ["deptry", "--no-ansi", "."],
        lines(r"^(?P<p>.+?):(?:(?P<l>\d+):(?P<c>\d+):)? (?P<r>DEP\d+) (?P<m>.+)$"),
        stream="stderr",
    ),
    "codespell": Case(
        ["codespell", "--check-hidden", "."],
        lines(r"^(?P<p>.+?):(?P<l>\d+): (?P<m>.+ ==> .+)$", "misspelling"),
    ),
    "typos": Case(["typos", "--isolated", "--no-check-filenames", "--format=json", "."], typos),
    "detect-secrets": Case(
        ["detect-secrets", "scan", "--all-files", "--no-verify", "."], secrets, only="json"
    ),
    "lizard": Case(
        ["lizard", "-w", "."],
        lines(r"^(?P<p>.+?):(?P<l>\d+): warning: (?P<m>.+)$", "complexity"),
    ),
    "ast-grep": Case(
        [*RULES[: RULES.index("--json=stream")], "--json=compact", "."],
        objects(
            *("file", "range.start.line", "range.start.column", "ruleId", "message"),
            base=0,
            line_base=0,
        ),
    ),
    "semgrep": Case(
        # fmt: off
        ["semgrep", "scan", "--config=semgrep.yml", "--metrics=off", "--disable-version-check",
         "--no-git-ignore", "--quiet", "--json", "."],
        # fmt: on
        objects("path", "start.line", "start.col", "check_id", "extra.message", at="results"),
        settings=load_tool_document("semgrep")["config_files"],
        only="json",
    ),
    "black": Case(
        ["black", "--config=/dev/null", "--check", "."],
        lines(r"^(?:error: )?(?P<m>would reformat|cannot format|cannot parse:) (?P<p>[^:\n]+)"
              r"(?::(?P<l>\d+):(?P<c>\d+))?", "format"),
        stream="stderr",
    ),
    "isort": Case(
        ["isort", "--check-only", "--settings-file=.isort.cfg", "."],
        lines(r"^ERROR: (?P<p>.+?) (?P<m>Imports are .+)$", "unsorted-imports"),
        stream="stderr",
        settings=load_tool_document("isort")["config_files"],
    ),
}
