"""Tools for other languages than Python as tasks, against the same tools called by hand.

The tree is of real packages, with files beside them in which each tool finds something. What the
tools print is read here by a few lines of each case's own, from another format where there is one.
Each is then run again, over nothing new, and over one file that has changed: a wrapper of the
program writes down which files it is given.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from conftest import Note
from corpora import fetch, npm_package

import codebatch
from codebatch.model.resources import load_tool_document
from codebatch.tasks.tools.program import find_program

pytestmark = pytest.mark.oracle

Row = tuple[str, int, int, str, str]  # path, line, column, rule, message
Read = Callable[[str], Iterable[Row]]

NPM = [
    *("eslint@10.15.0", "@biomejs/biome@2.6.8", "prettier@3.10.1", "typescript@7.0.2"),
    *("markdownlint-cli@0.48.0", "htmlhint@1.9.2", "jshint@2.13.6", "stylelint@16.26.1"),
]
PYPI = {"pyzmq==27.3.0": "--no-binary=pyzmq", "pg_activity==3.6.2": "--only-binary=:all:"}
WORKFLOW = ".github/workflows"
MISTAKES = {
    "bad/a.js": "debugger\nif (x == NaN) { y = { a: 1, a: 2 } }\nfunction f() { var unused }\n",
    "bad/b.js": "var a = ;\n",
    "bad/c.ts": "let n: number = 'text'\ndebugger\nexport default m\n",
    "bad/a.css": "a { color: #ggg; colour: red }\nb {}\n",
    "bad/a.html": "<html><body><img src=x><DIV>{{ x }}\n",
    "bad/a.sh": "#!/bin/sh\necho $1\nif [ $a == b ]; then\n  cd x\nfi\nfor i in `ls`; do  :;done\n",
    "bad/b.sh": "#!/bin/bash\nif\n",
    "bad/a.yaml": "a: 1\na: 2\nb:  [1,2 ]\n",
    "bad/b.yml": "a: [\n",
    "bad/a.toml": "a = 1\na = 2\nb = [\n",
    "bad/b.toml": "[x]\ny = 1\n[x]\n",
    "bad/Dockerfile": "FROM debian\nRUN cd /x && apt-get install y\nMAINTAINER me\n",
    "bad/a.sql": "select A,b from  t where x = 1 \n",
    "bad/b.sql": "SELECT ((\n",
    "bad/a.proto": 'syntax = "proto3";\nmessage a { string B = 1; }\n',
    "bad/.env": "a=1\n b =2\n",
    "bad/a.md": "# A\n### B\ntext  text very very bad \n[y](#no)\n",
    "bad/b.md": "* a\n- b\n",
    "bad/a.rst": "Title\n===\n\n.. foo::\n\n`a`_ ``b`\n" + "x " * 60 + "\n",
    "bad/a.c": "int main(void) {\n int a[2]; int *p = 0; char b[3]; *p = 1; return a[5]; }\n",
    "bad/b.cpp": '#include "b.h"\nvoid f(char*a){char b[3];strcpy(b,a);if(a);}\n',
    "bad/b.h": "#include <string.h>\nint g(int x) { if (x = 1) return 2; return 3/0; }\n",
    "bad/CMakeLists.txt": "IF( A )\nset(x  y)\nENDIF()\n",
    "bad/a.f90": "program a\nreal :: x\nx=1.0d0\nend\n",
    "bad/a.vim": 'set nocp\necho "a" == "b"\n',
    "bad/a.j2": "{%if x%}{{a}}{%endif%}\n",
    "bad/a.xml": "<a><b></a>\n",
    "bad/a.rs": 'fn main(){let x=1;println!("{}",x)}\n',
    "bad/a.tf": 'resource "a" "b" {\nx=1\n}\n',
    "bad/a.template.yaml": "Resources:\n  A:\n    Type: AWS::S3::Bucket\n    Properties: {X: 1}\n",
    "bad/docker-compose.yml": "services:\n  a:\n    image: 3\n",
    "bad/.gitlab-ci.yml": "job:\n  script: {a: 1}\n",
    "bad/azure-pipelines.yml": "steps: 3\n",
    "bad/action.yml": "name: x\nruns: {using: 3}\n",
    "bad/.readthedocs.yaml": "version: 7\n",
    f"{WORKFLOW}/bad.yml": "on: push\njobs:\n  a:\n    runs-on: 3\n    steps: x\n",
    f"{WORKFLOW}/broken.yml": "on: [\n",
    ".github/dependabot.yml": "version: 7\n",
}


class Case(NamedTuple):
    """A call by hand with the files that match, and how what it prints is read. ``edit`` is the
    file that is then changed, and ``more`` what it then ends in.
    """

    command: list[str]
    files: str
    read: Read
    edit: str
    more: str = "\n"
    stream: str = "stdout"
    settings: dict[str, str] = {}  # noqa: RUF012 - never changed


def lines(pattern: str, rule: str = "", base: int = 1) -> Read:
    """Return what reads lines, by the groups p, l, c, r and m."""

    def read(text: str) -> Iterator[Row]:
        for match in re.finditer(pattern, text, re.MULTILINE):
            group = match.groupdict()
            line = max(1, int(group.get("l") or 1))
            column = int(group.get("c") or base) + 1 - base
            yield group["p"], line, column, group.get("r") or rule, group.get("m") or rule

    return read


def checkstyle(rule: str = "") -> Read:
    def read(text: str) -> Iterator[Row]:
        for file in ET.fromstring(text):
            for one in file:
                place = [int(one.get(key) or 1) for key in ("line", "column")]
                source = one.get("source") or rule
                yield file.get("name", ""), place[0], place[1], source, one.get("message", "")

    return read


def objects(*keys: str, at: Callable[[Any], Iterable[Any]] = iter, rule: str = "") -> Read:
    """Return what reads objects in JSON by the keys of path, line, column, rule and message."""

    def value(found: Any, path: str) -> Any:
        for key in path.split("."):
            found = (found or {}).get(key)
        return found

    def read(text: str) -> Iterator[Row]:
        for one in at(json.loads(text)):
            path, line, column, code, message = (value(one, key) for key in keys)
            yield path, line or 1, column or 1, code or rule, message

    return read


def sarif(text: str) -> Iterator[Row]:
    for run in json.loads(text)["runs"]:
        for one in run["results"]:
            place = one["locations"][0]["physicalLocation"]
            region = place["region"]
            at = region["startLine"], region.get("startColumn", 1)
            message = one["message"]["text"].removeprefix(f"{one['ruleId']}: ")
            rule = one["ruleId"].replace("????", "syntax-error")
            yield place["artifactLocation"]["uri"], *at, rule, message


def messages(document: Any) -> Iterator[Any]:
    """Yield the findings of each file, with its path, of what ESLint and Stylelint print."""
    for file in document:
        for one in file.get("messages", file.get("warnings")):
            yield {"path": file.get("filePath", file.get("source")), **one}


def schema(text: str) -> Iterator[Row]:
    document = json.loads(text)
    for one in document["errors"]:
        best = one.get("best_deep_match", one)
        yield one["filename"], 1, 1, "schema", f"{best['path']}: {best['message']}"
    for one in document.get("parse_errors", []):
        yield one["filename"], 1, 1, "schema", one["message"]


def markdownlint(text: str) -> Iterator[Row]:
    for one in json.loads(text):
        words = filter(None, (one["ruleDescription"], one["errorDetail"]))
        column = (one["errorRange"] or [1])[0]
        yield one["fileName"], one["lineNumber"], column, one["ruleNames"][0], ": ".join(words)


def prettier(text: str) -> Iterator[Row]:
    for path in re.findall(r"^\[warn\] (\S+)$", text, re.MULTILINE):
        yield path, 1, 1, "unformatted", "unformatted"
    place = r"^\[error\] (\S+): (SyntaxError): (.+) \((\d+):(\d+)\)$"
    for path, rule, message, line, column in re.findall(place, text, re.MULTILINE):
        yield path, int(line), int(column), rule, message


def shellcheck(text: str) -> Iterator[Row]:
    """Read the format of GCC, where codes come last."""
    pattern = r"^(.+?):(\d+):(\d+): \w+: (.+) \[(SC\d+)\]$"
    for path, line, column, message, rule in re.findall(pattern, text, re.MULTILINE):
        yield path, int(line), int(column), rule, message


def validated(name: str, files: str, edit: str, more: list[str]) -> Case:
    command = ["check-jsonschema", "--builtin-schema", f"vendor.{name}", *more, "-o", "json"]
    return Case(command, files, schema, edit)


GCC = r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): \w+: (?P<m>.+) \[(?:-W)?(?P<r>[^\]]+)\]$"
JS = r".*\.(js|mjs|cjs)"
BASH, YAML, TOML, MARKDOWN = r".*\.sh", r".*\.ya?ml|.*/\.clang-format", r".*\.toml", r".*\.md"
PROSE = r".*\.(md|rst)"
CODE = r".*\.(c|cpp|h)"
UNITS = r".*\.(c|cpp)"
CMAKE = r".*/CMakeLists\.txt|.*\.cmake|CMakeLists\.txt"
WORKFLOWS = rf"{WORKFLOW}/.*\.yml"
MAX = "--max-diagnostics=none"
CASES = {
    "oxlint": Case(
        ["oxlint", "--format=unix"],
        r".*\.(js|mjs|cjs|jsx|ts|tsx)",
        lines(
            r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?P<m>.+) \[\w+(?:/(?P<r>.+))?\]$", "syntax-error"
        ),
        "bad/a.js",
        "debugger\n",
    ),
    "eslint": Case(
        load_tool_document("eslint")["run"][:-1],
        JS,
        objects("path", "line", "column", "ruleId", "message", at=messages, rule="syntax-error"),
        "bad/a.js",
        "debugger\n",
    ),
    "biome": Case(
        ["biome", "lint", "--colors=off", MAX, "--reporter=json"],
        r".*\.(js|mjs|cjs|jsx|ts|tsx|css|json)",
        objects(
            *("location.path", "location.start.line", "location.start.column"),
            *("category", "message"),
            at=lambda document: document["diagnostics"],
        ),
        "bad/a.js",
        "debugger\n",
    ),
    "tsc": Case(
        ["tsc", "--pretty", "false", "--project", "tsconfig.json"],
        "",
        lines(r"^(?P<p>.+?)\((?P<l>\d+),(?P<c>\d+)\): error (?P<r>TS\d+): (?P<m>.+)$"),
        "bad/c.ts",
        "let text: string = 1\n",
        settings=load_tool_document("tsc")["config_files"],
    ),
    "prettier": Case(
        ["prettier", "--check", "--no-config", "--no-editorconfig", "--ignore-path=x"],
        r".*\.(js|ts|jsx|tsx|css|html|json|md|vue|ya?ml|webmanifest|scss)",
        prettier,
        "bad/a.css",
        "a{}\n",
        stream="stderr",
    ),
    "stylelint": Case(
        ["stylelint", "--formatter", "json"],
        r".*\.css",
        objects("path", "line", "column", "rule", "text", at=messages),
        "bad/a.css",
        "c {}\n",
        stream="stderr",
        settings=load_tool_document("stylelint")["config_files"],
    ),
    "jshint": Case(["jshint", "--reporter=checkstyle"], JS, checkstyle(), "bad/a.js", "debugger\n"),
    "htmlhint": Case(["htmlhint", "-f", "checkstyle"], r".*\.html", checkstyle(), "bad/a.html"),
    "shellcheck": Case(
        ["shellcheck", "--norc", "--format=gcc"], BASH, shellcheck, "bad/a.sh", "echo $2\n"
    ),
    "shfmt": Case(
        ["shfmt", "-l"], BASH, lines(r"^(?P<p>.+)$", "unformatted"), "bad/a.sh", "echo  2\n"
    ),
    "bashate": Case(
        ["bashate"],
        BASH,
        lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?P<r>E\d+) (?P<m>.+)$"),
        "bad/a.sh",
        "  echo  2\n",
    ),
    "yamllint": Case(
        ["yamllint", "-d", "default", "-f", "parsable"],
        YAML,
        lines(
            r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): \[\w+\] (?P<m>.+?)(?: \((?P<r>[a-z-]+)\))?$",
            "syntax",
        ),
        "bad/a.yaml",
        "c:  1\n",
    ),
    "taplo": Case(
        ["taplo", "lint", "--no-schema", "--no-auto-config", "--colors", "never"],
        TOML,
        lines(r"^error: (?P<m>.+)\n\s+┌─ (?P<p>.+):(?P<l>\d+):(?P<c>\d+)$", "taplo"),
        "bad/b.toml",
        "[x]\n",
        stream="stderr",
    ),
    "tombi": Case(
        ["tombi", "lint", "--offline"],
        TOML,
        lines(r"(?:Error|Warning): (?P<m>.+)\n\s+at (?P<p>.+):(?P<l>\d+):(?P<c>\d+)$", "tombi"),
        "bad/b.toml",
        "[x]\n",
        stream="stderr",
        settings={"tombi.toml": ""},
    ),
    "hadolint": Case(
        ["hadolint", "--format", "checkstyle"],
        r"(.*/)?Dockerfile|.*\.Dockerfile",
        checkstyle(),
        "bad/Dockerfile",
        "RUN sudo x\n",
    ),
    "zizmor": Case(
        ["zizmor", "--offline", "--no-config", "--format", "github"],
        rf"{WORKFLOWS}|.github/dependabot.yml|.*action.yml",
        lines(r"^::\w+ file=(?P<p>.+?),line=(?P<l>\d+),title=(?P<r>.+?)::[^ ]+ (?P<m>.+)$"),
        f"{WORKFLOW}/test.yml",
    ),
    "sqlfluff": Case(
        ["sqlfluff", "lint", "--dialect=ansi", "--ignore-local-config", "-f", "github-annotation"],
        r".*\.sql",
        objects(
            "file",
            "start_line",
            "start_column",
            "code",
            "text",
            at=lambda found: (
                {
                    **one,
                    "code": one["message"].partition(": ")[0],
                    "text": one["message"].partition(": ")[2],
                }
                for one in found
            ),
        ),
        "bad/a.sql",
        "select  1\n",
    ),
    "sqruff": Case(
        ["sqruff", "lint", "-f", "sarif"], r".*\.sql", sarif, "bad/a.sql", "select  1\n"
    ),
    "check-github-workflows": validated("github-workflows", WORKFLOWS, f"{WORKFLOW}/bad.yml", []),
    "check-github-actions": validated("github-actions", r".*action\.yml", "bad/action.yml", []),
    "check-dependabot": validated(
        "dependabot", r"\.github/dependabot\.yml", ".github/dependabot.yml", []
    ),
    "check-gitlab-ci": validated(
        "gitlab-ci", r".*\.gitlab-ci\.yml", "bad/.gitlab-ci.yml", ["--data-transform=gitlab-ci"]
    ),
    "check-azure-pipelines": validated(
        *("azure-pipelines", r".*/azure-pipelines\.yml", "bad/azure-pipelines.yml"),
        ["--data-transform=azure-pipelines"],
    ),
    "check-compose": validated("compose-spec", r".*compose\.yml", "bad/docker-compose.yml", []),
    "check-readthedocs": validated(
        "readthedocs", r".*\.readthedocs\.yaml", "bad/.readthedocs.yaml", []
    ),
    "buf": Case(
        ["buf", "lint", "--error-format", "gitlab-code-quality"],
        "",
        objects(
            *("location.path", "location.positions.begin.line"),
            *("location.positions.begin.column", "check_name", "description"),
        ),
        "bad/a.proto",
    ),
    "dotenv-linter": Case(
        ["dotenv-linter"],
        r".*/\.env",
        lines(r"^(?P<p>.+?):(?P<l>\d+) (?P<r>\d+) (?P<m>.+)$"),
        "bad/.env",
        "c=1\n",
        stream="stderr",
    ),
    "cfn-lint": Case(
        ["cfn-lint", "--format", "parseable"],
        r".*\.template\.yaml",
        lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+):\d+:\d+:(?P<r>[EWI]\d+):(?P<m>.+)$"),
        "bad/a.template.yaml",
    ),
    "djlint": Case(
        ["djlint", "--lint", "--linter-output-format", "{code}|{line}|{filename}|{message}"],
        r".*\.html",
        lines(r"^(?P<r>\w+)\|(?P<l>\d+):(?P<c>\d+)\|(?P<p>.+?)\|(?P<m>.+)$", base=0),
        "bad/a.html",
        "<B>\n",
        settings={"djlint.toml": ""},
    ),
    "xmllint": Case(
        ["xmllint", "--noout"],
        r".*\.(xml|svg)",
        lines(r"^(?P<p>.+?):(?P<l>\d+): (?P<r>parser) error : (?P<m>.+)$"),
        "bad/a.xml",
        "<b>\n",
        stream="stderr",
    ),
    "rumdl": Case(
        ["rumdl", "check", "--isolated", "--no-cache", "--color=never", "--disable=MD057"],
        MARKDOWN,
        lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): \[(?P<r>MD\d+)\] (?P<m>.+?)(?: \[\*\])?$"),
        "bad/a.md",
        "#x\n",
    ),
    "markdownlint": Case(
        ["markdownlint", "--json"], MARKDOWN, markdownlint, "bad/a.md", "#x\n", stream="stderr"
    ),
    "pymarkdown": Case(
        ["pymarkdown", "scan"],
        MARKDOWN,
        lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?P<r>[A-Z]+\d+): (?P<m>.+)$"),
        "bad/a.md",
        "#x\n",
    ),
    "proselint": Case(
        ["proselint", "check", "--output-format", "json"],
        PROSE,
        lambda text: (
            (path.removeprefix("file://"), *one["pos"], one["check_path"], one["message"])
            for path, file in json.loads(text)["result"].items()
            for one in file.get("diagnostics", ())
        ),
        "bad/a.md",
        "very very\n",
    ),
    "mdformat": Case(
        ["mdformat", "--check"],
        MARKDOWN,
        lines(r'File\s+"(?P<p>.+)"\s+is\s+not\s+formatted', "unformatted"),
        "bad/a.md",
        stream="stderr",
    ),
    "sphinx-lint": Case(
        ["sphinx-lint"],
        r".*\.rst",
        lines(r"^(?P<p>.+?):(?P<l>\d+): (?P<m>.+) \((?P<r>[a-z-]+)\)$"),
        "bad/a.rst",
        "``c`\n",
        stream="stderr",
    ),
    "clang-tidy": Case(
        ["clang-tidy", "--quiet", load_tool_document("clang-tidy")["run"][2], "*", "--"],
        UNITS,
        lines(GCC),
        "bad/b.h",
        "int h;\n",
    ),
    "cppcheck": Case(
        [
            *("cppcheck", "--quiet", "--enable=warning,style,performance,portability"),
            "--template={id}|{message}|{file}|{line}|{column}",
        ],
        UNITS,
        lines(r"^(?P<r>\w+)\|(?P<m>.+)\|(?P<p>.+)\|(?P<l>\d+)\|(?P<c>\d+)$"),
        "bad/b.h",
        "int h;\n",
        stream="stderr",
    ),
    "clang-format": Case(
        ["clang-format", "--dry-run", "--style=LLVM"],
        CODE,
        lines(GCC),
        "bad/a.c",
        "int  h;\n",
        stream="stderr",
    ),
    "cpplint": Case(
        ["cpplint", "--repository=.", load_tool_document("cpplint")["run"][3], "--output=eclipse"],
        CODE,
        lines(r"^(?P<p>.+?):(?P<l>\d+): warning: (?P<m>.+)  \[(?P<r>\S+)\] \[\d\]$"),
        "bad/a.c",
        "int  h;;\n",
        stream="stderr",
    ),
    "flawfinder": Case(["flawfinder", "--sarif"], CODE, sarif, "bad/b.cpp", "char x[3];\n"),
    "cmake-lint": Case(
        ["cmake-lint"],
        CMAKE,
        lines(r"^(?P<p>.+?):(?P<l>\d+)(?:,(?P<c>\d+))?: \[(?P<r>\w+)\] (?P<m>.+)$", base=0),
        "bad/CMakeLists.txt",
        "SET(x y)\n",
    ),
    "cmakelint": Case(
        ["cmakelint"],
        CMAKE,
        lines(r"^(?P<p>.+?):(?P<l>\d+): (?P<m>.+) \[(?P<r>\S+)\]$"),
        "bad/CMakeLists.txt",
        "SET( x y)\n",
    ),
    "gersemi": Case(
        ["gersemi", "--check"],
        CMAKE,
        lines(r"^(?P<p>.+) (?P<m>would be reformatted)$", "unformatted"),
        "bad/CMakeLists.txt",
        "SET(x y)\n",
        stream="stderr",
    ),
    "fortitude": Case(
        ["fortitude", "check", "--output-format", "concise"],
        r".*\.f90",
        lines(r"^(?P<p>.+?):(?P<l>\d+):(?P<c>\d+): (?P<r>[A-Z]+\d+) (?:\[\*\] )?(?P<m>.+)$"),
        "bad/a.f90",
        "subroutine b\nend\n",
    ),
    "vint": Case(
        ["vint", "-f", "{file_path}|{line_number}|{column_number}|{policy_name}|{description}"],
        r".*\.vim",
        lines(r"^(?P<p>.+?)\|(?P<l>\d+)\|(?P<c>\d+)\|(?P<r>\w+)\|(?P<m>.+)$"),
        "bad/a.vim",
        'echo "c"\n',
    ),
    "j2lint": Case(
        ["j2lint", "--json"],
        r".*\.j2",
        objects(
            "filename",
            "line_number",
            "none",
            "id",
            "message",
            at=lambda document: document["ERRORS"] + document["WARNINGS"],
        ),
        "bad/a.j2",
        "{{b}}\n",
    ),
    "rustfmt": Case(
        ["rustfmt", "--check", "--edition=2021", "--color=never"],
        r".*\.rs",
        lines(r"^Diff in (?P<p>.+?):(?P<l>\d+):", "unformatted"),
        "bad/a.rs",
        "fn f( ){}\n",
    ),
    "terraform-fmt": Case(
        ["terraform", "fmt", "-check"],
        r".*\.tf",
        lines(r"^(?P<p>.+)$", "unformatted"),
        "bad/a.tf",
        "\n",
    ),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of packages of PyPI and of npm, and some with mistakes."""
    folder = tmp_path_factory.mktemp("packages")
    for package, kind in PYPI.items():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", kind, package]
        fetch([*command, "--dest", str(folder)], folder)
    made = folder / "tree"
    with tarfile.open(next(folder.glob("pyzmq*.tar.gz"))) as sdist:
        for member in sdist.getmembers():
            name = member.name.partition("/")[2]
            wanted = not name.endswith((".py", ".pyi", ".ipynb", ".gitignore"))
            wanted = wanted and not name.startswith(("RELICENSE/", "docs/source/", "licenses/"))
            if member.isfile() and wanted:
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                stream = sdist.extractfile(member)
                assert stream is not None
                (made / name).write_bytes(stream.read())
    with zipfile.ZipFile(next(folder.glob("pg_activity*.whl"))) as wheel:
        for name in [name for name in wheel.namelist() if name.endswith("get_waiting_oldest.sql")]:
            wheel.extract(name, made)
    if shutil.which("npm") is not None:
        packages = npm_package(tmp_path_factory.mktemp("npm"))
        for part in ("index.js", "template-qwik-ts", "template-vue", "template-lit"):
            source = next(packages.glob("create-vite*")) / "package" / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, made / part)
    for name, content in MISTAKES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content)
    return made


@pytest.fixture(scope="module", autouse=True)
def node_tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs from the npm registry, on PATH."""
    folder = tmp_path_factory.mktemp("node")
    with pytest.MonkeyPatch.context() as patch:
        if shutil.which("npm") is not None:
            options = ["--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
            (folder / "package.json").write_text('{"private": true}')
            fetch(["npm", "install", *options, *NPM], folder)
            bins = folder / "node_modules" / ".bin"
            patch.setenv("PATH", f"{bins}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("RUSTUP_HOME", os.environ.get("RUSTUP_HOME", os.path.expanduser("~/.rustup")))
        yield


class LoggedTool:
    """A tool as a task, whose program is one that writes down which files it is given, and goes
    on as the tool's own.
    """

    def __init__(self, name: str, folder: Path) -> None:
        document = load_tool_document(name)
        program, *words = document["run"]
        self._log, wrapper = folder / "log", folder / program
        wrapper.write_text(
            '#!/bin/sh\nfor word; do [ -f "$word" ] && printf \'%s\\n\' "$word" '
            f'>> {self._log}; done\nexec {find_program(program)} "$@"\n'
        )
        wrapper.chmod(0o755)
        self._task = codebatch.tool(**document | {"run": [str(wrapper), *words]})
        self._store = folder / "store"

    def run(self, tree: Path) -> tuple[set[Row], codebatch.RunReport, list[str]]:
        """Return what is found in a tree, the report, and the files that the program was given."""
        self._log.write_text("")
        batch, report = codebatch.scan(tree, self._store, tasks=[self._task], scheduler="sync")
        assert report.status == "done", report.errors
        keys = ("path", "line", "column", "rule", "message")
        rows = [tuple(one[key] for key in keys) for one in batch.records(kind="diagnostic")]
        assert len({*rows}) == len(rows)
        return {*rows}, report, self._log.read_text().splitlines()


def by_hand(name: str, tree: Path, folder: Path) -> set[Row]:
    """Return what a tool says of a copy of a tree, without its configuration, if called there."""
    case, document = CASES[name], load_tool_document(name)
    hidden = {*document.get("direct_configs", ()), *document.get("code_configs", ())}
    copy = shutil.copytree(tree, folder, ignore=lambda _, names: hidden & {*names})
    for path, content in case.settings.items():
        (copy / path).write_text(content)
    paths = sorted(str(one.relative_to(copy)) for one in copy.rglob("*") if one.is_file())
    files = [path for path in paths if case.files and re.fullmatch(case.files, path)]
    command = [find_program(case.command[0]), *case.command[1:]]
    at = command.index("*") if "*" in command else len(command)
    done = subprocess.run(
        [*command[:at], *files, *command[at + 1 :]],
        cwd=copy,
        env=os.environ | {"HOME": str(folder.parent), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    printed = getattr(done, case.stream)
    return {
        (os.path.relpath(copy / path, copy), *rest, message.replace(f"{copy}/", "").strip())
        for path, *rest, message in case.read(printed)
    }


@pytest.mark.parametrize("name", CASES)
def test_findings_are_those_of_the_tool(name: str, tree: Path, tmp_path: Path, note: Note) -> None:
    document, case = load_tool_document(name), CASES[name]
    if not find_program(document["run"][0]):
        pytest.skip(f"{name} is not installed: {document['install']}")
    edited = shutil.copytree(tree, tmp_path / "tree")
    tool = LoggedTool(name, tmp_path)
    found, _, _ = tool.run(edited)
    assert found == by_hand(name, edited, tmp_path / "first")
    assert found
    note(f"{name}: {len(found)} findings")

    _, report, given = tool.run(edited)
    assert (report.files["computed"], report.nodes["computed"], given) == (0, 0, [])

    with (edited / case.edit).open("a") as file:
        file.write(case.more)
    found, report, given = tool.run(edited)
    if document["depends"] != "project":
        assert (report.files["computed"], len(given)) == (1, 1)
    assert found == by_hand(name, edited, tmp_path / "second")
