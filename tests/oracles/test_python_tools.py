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
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from conftest import Note
from corpora import fetch

import codebatch
from codebatch.model.digest import digest_bytes
from codebatch.model.resources import load_tool_document
from codebatch.tasks.tools.program import find_program

pytestmark = pytest.mark.oracle

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

FILES = "*.py"  # as the last word of a command: all such files of the tree

Found = tuple[str, int, int, str, str]  # path, line, column, rule, message
Row = tuple[str, int, int, str | None, str]  # as a tool says it, whose rule may have no name
Read = Callable[[str], Iterable[Row]]


class Case(NamedTuple):
    """A call by hand, and how what it prints is read. ``only`` is the part of the tree that a slow
    tool is tried on; ``settings`` are files that are beside the tree's own."""

    command: list[str]
    read: Read
    only: str = ""
    stream: str = "stdout"
    settings: Mapping[str, str] = MappingProxyType({})


def objects(*keys: str, at: str = "", base: int = 1, line_base: int = 1) -> Read:
    """Return what reads a list of objects, or one on each line, in JSON; keys of the path, line,
    column, rule and message, ``a.b`` within others."""

    def value(found: Any, path: str) -> Any:
        for key in path.split("."):
            found = (found or {}).get(key)
        return found

    def read(text: str) -> Iterator[Row]:
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

    def read(text: str) -> Iterator[Row]:
        for match in re.finditer(pattern, text, re.MULTILINE):
            group = match.groupdict()
            number = [int(group.get(name) or 1) for name in "lc"]
            yield group["p"], number[0], number[1], group.get("r") or rule, group["m"]

    return read


def bandit(text: str) -> Iterator[Row]:
    document = json.loads(text)
    for one in document["results"]:
        at = one["line_number"], one["col_offset"] + 1
        yield one["filename"], *at, one["test_id"], one["issue_text"]
    for one in document["errors"]:
        yield one["filename"], 1, 1, "unreadable", one["reason"]


def secrets(text: str) -> Iterator[Row]:
    for path, found in json.loads(text)["results"].items():
        for one in found:
            yield path, one["line_number"], 1, one["type"], one["type"]


def typos(text: str) -> Iterator[Row]:
    for one in map(json.loads, text.splitlines()):
        message = f"`{one['typo']}` should be {', '.join(one['corrections'])}"
        yield one["path"], one["line_num"], one["byte_offset"] + 1, "typo", message


def ty(text: str) -> Iterator[Row]:
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
        [
            "mypy",
            "--config-file=",
            "--no-incremental",
            "--cache-dir=/dev/null",
            "--output=json",
            "--explicit-package-bases",
            "--no-site-packages",
            "--ignore-missing-imports",
            "--disable-error-code=import-untyped",
            *AS_313,
            ".",
        ],
        objects("file", "line", "column", "code", "message", at="lines", base=0),
        only="flask/json",  # a file that is no Python would be all that it looks at
    ),
    "basedpyright": Case(
        ["basedpyright", "--outputjson", "."],
        objects(
            *("file", "range.start.line", "range.start.character", "rule", "message"),
            at="generalDiagnostics",
            base=0,
            line_base=0,
        ),
        only="flask/json",
        settings=load_tool_document("basedpyright")["config_files"],
    ),
    "ty": Case(
        [
            "ty",
            "check",
            "--no-progress",
            "--output-format=gitlab",
            "--python=.no-environment",
            "--python-version=3.13",
            "--python-platform=linux",
            "--config=analysis.allowed-unresolved-imports=['**']",
            ".",
        ],
        ty,
        settings={"ty.toml": "", **NO_PACKAGES},
    ),
    "pyrefly": Case(
        [
            "pyrefly",
            "check",
            "--output-format=json",
            "--skip-interpreter-query",
            "--python-version=3.13",
            "--python-platform=linux",
            "--search-path=.",
            "--ignore-missing-imports=*",
            ".",
        ],
        objects("path", "line", "column", "name", "concise_description", at="errors"),
        settings={"pyrefly.toml": ""},
    ),
    "zuban": Case(
        [
            "zuban",
            "check",
            "--show-column-numbers",
            "--ignore-missing-imports",
            *AS_313,
            "--python-executable=.no-environment/bin/python",
            ".",
        ],
        lines(
            r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?:error|note): (?P<m>.+?)(?:  \[(?P<r>.+)\])?$",
            "zuban",
        ),
        settings={"mypy.ini": "[mypy]"},
    ),
    "bandit": Case(["bandit", "-q", "-f", "json", "-r", "."], bandit),
    "pylint": Case(
        [
            "pylint",
            "--rcfile=/dev/null",
            "--output-format=json",
            "--disable=import-error",
            FILES,
        ],
        objects("path", "line", "column", "symbol", "message", base=0),
        only="flask/json",
    ),
    "flake8": Case(["flake8", "--isolated", "."], STYLE, only="flask/json"),
    "pycodestyle": Case(["pycodestyle", "."], STYLE, settings={"setup.cfg": "[pycodestyle]"}),
    "pyflakes": Case(
        ["pyflakes", "."],
        lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?P<m>.+)$", "pyflakes"),
        stream="both",
    ),
    "vulture": Case(
        ["vulture", "."],
        lines(
            r"^(?P<p>.+?):(?P<l>\d+): (?P<m>(?P<r>unused \w+|unreachable code|invalid syntax).*)"
        ),
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
    "typos": Case(
        [
            "typos",
            "--isolated",
            "--hidden",
            "--no-ignore",
            "--no-check-filenames",
            "--format=json",
            ".",
        ],
        typos,
    ),
    "detect-secrets": Case(
        ["detect-secrets", "scan", "--all-files", "--no-verify", "."], secrets, only="flask/json"
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
        [
            "semgrep",
            "scan",
            "--config=semgrep.yml",
            "--metrics=off",
            "--disable-version-check",
            "--no-git-ignore",
            "--quiet",
            "--json",
            ".",
        ],
        objects("path", "start.line", "start.col", "check_id", "extra.message", at="results"),
        settings=load_tool_document("semgrep")["config_files"],
        only="flask/json",
    ),
    "black": Case(
        ["black", "--config=/dev/null", "--check", "."],
        lines(
            r"^(?:error: )?(?P<m>would reformat|cannot format|cannot parse:) (?P<p>[^:\n]+)"
            r"(?::(?P<l>\d+):(?P<c>\d+))?",
            "format",
        ),
        only="flask/json",
        stream="stderr",
    ),
    "isort": Case(
        ["isort", "--check-only", "--settings-file=.isort.cfg", "."],
        lines(r"^ERROR: (?P<p>.+?) (?P<m>Imports are .+)$", "unsorted-imports"),
        only="flask/json",
        stream="stderr",
        settings=load_tool_document("isort")["config_files"],
    ),
}


# What is written, as by the tool itself.
CHANGES = {
    "ruff-format": ["ruff", "format", "--isolated", "--no-cache", "."],
    "autoflake": [
        *("autoflake", "-i", "-r", "--remove-all-unused-imports", "--remove-unused-variables", "."),
    ],
    "autopep8": ["autopep8", "-i", "-r", "."],
    "docformatter": ["docformatter", "-i", "-r", "."],
    "eradicate": ["eradicate", "-i", "-r", "."],
    "flynt": ["flynt", "."],
    "pyupgrade": ["pyupgrade", FILES],
    "add-trailing-comma": ["add-trailing-comma", FILES],
}

IN_INI = """
[flake8]
max-line-length = 20
[pycodestyle]
max-line-length = 20
[pep8]
max-line-length = 20
[mypy]
plugins = nothing.py
[isort]
line_length = 20
[autoflake]
check = true
[codespell]
ignore-words-list = teh
"""
IN_TOML = """
[tool.black]
line-length = 20
[tool.isort]
line_length = 20
[tool.autoflake]
check = true
[tool.autopep8]
max_line_length = 20
[tool.docformatter]
wrap-summaries = 20
[tool.flynt]
line_length = 1
[tool.codespell]
ignore-words-list = "teh"
[tool.typos.default]
extend-ignore-re = [".*"]
[tool.vulture]
min_confidence = 100
[tool.pylint.main]
disable = "all"
[tool.mypy]
plugins = "nothing.py"
[tool.ruff.lint]
select = ["Q"]
[tool.ty.rules]
all = "ignore"
[tool.pyrefly]
preset = "off"
[tool.basedpyright]
typeCheckingMode = "off"
"""
SETTINGS_ABOVE = {
    "setup.cfg": IN_INI,
    "tox.ini": IN_INI,
    "pyproject.toml": IN_TOML,
    "mypy.ini": "[mypy]\nplugins = nothing.py\n",
    "ruff.toml": 'lint.select = ["Q"]\nformat.quote-style = "single"\n',
    "typos.toml": 'default.extend-ignore-re = [".*"]\n',
    ".isort.cfg": "[settings]\nline_length = 20\n",
    ".flake8": "[flake8]\nmax-line-length = 20\n",
    ".pylintrc": "[MAIN]\ndisable=all\n",
    "pyrightconfig.json": '{"typeCheckingMode": "off"}',
    "ty.toml": 'rules.all = "ignore"\n',
    "sgconfig.yml": "ruleDirs: [nothing]\n",
}


def installed(name: str) -> bool:
    return bool(find_program(load_tool_document(name)["run"][0]))


def need(name: str) -> None:
    if not installed(name):
        pytest.skip(
            f"{name} is not installed: pip install {load_tool_document(name)['install']['pip']}"
        )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flask, with files in which every tool finds something."""
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "flask==3.0.3"]
    fetch([*command, "--dest", str(folder)], folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "tree")
    tree = folder / "tree"
    shutil.rmtree(next(tree.glob("*.dist-info")))
    for name, content in {
        "flask/json/risky.py": RISKY,
        "flask/json/other.py": RISKY.replace('"""Teh', '# f(x).g = 1\n"""Teh'),
        "broken.py": "def broken(:\n",
        "pyproject.toml": PROJECT,
    }.items():
        (tree / name).write_text(content)
    return tree


class LoggedTool:
    """A tool as a task, whose program is one that writes down what it is given and goes on as the
    tool's own.
    """

    def __init__(self, name: str, folder: Path) -> None:
        document = load_tool_document(name)
        program, *words = document["run"]
        self._log, wrapper = folder / "log", folder / program
        wrapper.write_text(
            "#!/bin/sh\nfor word; do case $word in\n"
            '@*) cat "${word#@}";;\n*) printf \'%s\\n\' "$word";;\nesac; done '
            f'>> {self._log}\nexec {find_program(program)} "$@"\n'
        )
        wrapper.chmod(0o755)
        self._task = codebatch.tool(**document | {"run": [str(wrapper), *words]})
        self._store = folder / "store"

    def run(self, tree: Path) -> tuple[codebatch.Batch, codebatch.RunReport, list[str]]:
        """Return the batch of a run over a tree, its report, and what files, or folders, the
        program was given.
        """
        self._log.write_text("")
        batch, report = codebatch.scan(tree, self._store, tasks=[self._task], scheduler="sync")
        assert report.status == "done", report.errors
        words = self._log.read_text().splitlines()
        return batch, report, [one for one in words if one.endswith((".py", ".toml", "/files"))]


def found_by(batch: codebatch.Batch) -> set[Found]:
    keys = ("path", "line", "column", "rule", "message")
    rows = [tuple(one[key] for key in keys) for one in batch.records(kind="diagnostic")]
    assert len({*rows}) == len(rows)
    return {*rows}


def by_hand(name: str, tree: Path) -> set[Found]:
    """Return what a tool says of a tree when it is called there."""
    case, nameless = FINDINGS[name], load_tool_document(name)["output"].get("code", name)
    for path, content in case.settings.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
    printed = call(case.command, tree, case.stream)
    return {
        (
            os.path.relpath(tree / path, tree),
            *place,
            rule or nameless,
            message.replace(f"{tree}/", "").strip(),
        )
        for path, *place, rule, message in case.read(printed)
    }


def call(command: list[str], tree: Path, stream: str = "stdout") -> str:
    program, *words = command
    if words[-1] == FILES:
        words[-1:] = [str(path.relative_to(tree)) for path in sorted(tree.rglob(FILES))]
    own = {"HOME": str(tree.parent), "MYPYPATH": "src", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [find_program(program), *words],
        cwd=tree,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    streams = {"stdout": done.stdout, "stderr": done.stderr, "both": done.stdout + done.stderr}
    return streams[stream]


@pytest.fixture
def hand() -> Iterator[Path]:
    """A folder for copies, whose path does not say "test", which vulture would heed."""
    with tempfile.TemporaryDirectory(prefix="hand-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def settings_above(hand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of others in the folder that those of tools are made in."""
    above = hand / "above"
    above.mkdir()
    for name, content in SETTINGS_ABOVE.items():
        (above / name).write_text(content)
    monkeypatch.setattr(tempfile, "tempdir", str(above))


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_are_those_of_the_tool(
    name: str, package: Path, tmp_path: Path, hand: Path, settings_above: None, note: Note
) -> None:
    need(name)
    only = FINDINGS[name].only
    tree = shutil.copytree(package / only, tmp_path / "tree")
    tool = LoggedTool(name, tmp_path)
    batch, _, given = tool.run(tree)
    found = found_by(batch)
    assert found == by_hand(name, shutil.copytree(tree, hand / "first/files"))
    assert found
    assert given
    note(f"{name}: {len(found)} findings")

    _, report, given = tool.run(tree)
    assert (report.files["computed"], report.nodes["computed"], given) == (0, 0, [])

    changed = "risky.py" if only else "flask/json/risky.py"
    with (tree / changed).open("a") as file:
        file.write("\n\nprint( eval(unused.dumps(1)) )  # recieve\n")
    batch, report, given = tool.run(tree)
    if load_tool_document(name)["depends"] != "project":
        assert (report.files["computed"], len(given)) == (1, 1)
    assert found_by(batch) == by_hand(name, shutil.copytree(tree, hand / "second/files"))


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_those_of_the_tool(
    name: str, package: Path, tmp_path: Path, hand: Path, settings_above: None, note: Note
) -> None:
    need(name)
    tree = shutil.copytree(package / "flask/json", tmp_path / "tree")
    tool = LoggedTool(name, tmp_path)
    batch, _, given = tool.run(tree)
    copy = shutil.copytree(tree, hand / "files")
    call(CHANGES[name], copy)
    after = {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob(FILES)}
    patches = {one["path"]: one["result"] for one in batch.records(kind="patch")}
    assert patches == {
        path: digest_bytes(content)
        for path, content in after.items()
        if content != (tree / path).read_bytes()
    }
    assert patches
    assert given
    note(f"{name}: {len(patches)} files change")

    _, report, given = tool.run(tree)
    assert (report.files["computed"], given) == (0, [])

    (tree / "risky.py").write_text("x = 1\n")
    _, report, given = tool.run(tree)
    assert (report.files["computed"], len(given)) == (1, 1)


def test_as_many_tools_are_tried_as_are_described(note: Note) -> None:
    missing = [name for name in [*FINDINGS, *CHANGES] if not installed(name)]
    note(f"not installed: {', '.join(missing) or 'none'}")
    if "CI" in os.environ:
        assert set(missing) <= {"semgrep"}
