"""``tool import``: descriptions made of trunk's plugins and of hooks of pre-commit."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Outcome, write_tree

from codebatch.model.resources import load_schema, load_tool_document
from codebatch.tasks.tools import load_tool

Main = Callable[..., Outcome]

TYPES = r"""
version: 0.1
lint:
  files:
    - name: ALL
      regexes: [.+]
    - name: header
      extensions: [h]
    - name: code
      inherit: [header]
      extensions: [cc]
      filenames: [CODE]
    - name: workflow
      regexes: ['ci/.+\.yaml$']
    - name: stack
      extensions: [yaml]
      required_yaml_keys: [Stack]
"""
PLUGIN = r"""
version: 0.1
tools:
  definitions:
    - {name: spots, runtime: python, package: spots-cli}
lint:
  definitions:
    - name: spots
      files: [python, code]
      description: Looks for spots
      tools: [spots]
      direct_configs: [.spots, spots.config.js, .config/spots]
      affects_cache: [setup.cfg]
      environment:
        - {name: PATH, list: ['${linter}']}
        - {name: LANG, value: C}
        - {name: SPOTS_KEY, value: '${env.SPOTS_KEY}'}
        - {name: CACHE, value: '${cachedir}', optional: true}
      run_timeout: 2m
      version_command: {parse_regex: 'spots ${semver}', run: spots version --short}
      commands:
        - name: lint
          run: spots check "--root=${workspace}" -o ${tmpfile} ${target}
          output: regex
          parse_regex: '(?P<path>.*):(?P<line>\d+):(?P<col>\d+):(?P<kind>\w) (?P<message>.+)'
          read_output_from: tmp_file
          success_codes: [0, 3]
          batch: true
          cache_results: true
        - name: fix
          run: [spots, fix, '${target}']
          output: rewrite
          in_place: true
          error_codes: [2]
    - name: whole
      files: [ALL]
      commands:
        - {name: lint, run: 'whole ${target}', target: ., output: sarif, success_codes: [0]}
    - name: server
      files: [workflow]
      commands: [{name: lint, run: 'server ${target}', output: lsp_json, cache_results: true}]
"""
# What is left, by the reason.
LEFT = {
    "there is one packaged: --tool ruff": "{name: ruff, files: [python], commands: [{run: 'ruff "
    "${target}', output: sarif, parser: {run: x.py}}]}",
    "parser": "{name: a, files: [ALL], commands: [{run: 'a ${target}', parser: {run: x.py}}]}",
    "prepare_run": "{name: a, files: [ALL], commands: [{run: 'a ${target}', prepare_run: b}]}",
    "stdin": "{name: a, files: [ALL], commands: [{run: a, stdin: true, output: sarif}]}",
    "needs a shell": "{name: a, files: [ALL], commands: [{run: 'a ${target} | b', output: sarif}]}",
    "${linter}": "{name: a, files: [ALL], commands: [{run: '${linter}/a ${target}'}]}",
    "part of a word": "{name: a, files: [ALL], commands: [{run: 'a --in=${target}'}]}",
    "does not name the file": "{name: a, files: [ALL], commands: [{run: a --all}]}",
    "its target is ${parent}": "{name: a, files: [ALL], commands: [{run: a, target: '${parent}'}]}",
    "runs from ${parent}": "{name: a, files: [ALL], commands: [{run: a, run_from: '${parent}'}]}",
    "read by trunk itself": "{name: a, files: [ALL], commands: [{run: 'a ${target}', output: a}]}",
    "several lines": "{name: a, files: [ALL], commands: [{run: 'a ${target}', output: regex, "
    r"parse_regex: '(?P<message>.*)\n'}]}",
    "parse_regex cannot be used": "{name: a, files: [ALL], commands: [{run: 'a ${target}', "
    "output: regex, parse_regex: '(?P<message>'}]}",
    "maximum recursion": "{name: a, files: [ALL], commands: [{run: 'a ${target}', output: regex, "
    f"parse_regex: '{'(' * 3_000}'}}]}}",
    "may take ages": "{name: a, files: [ALL], commands: [{run: 'a ${target}', output: regex, "
    "parse_regex: '(?P<message>(a+)+)b'}]}",
    "no group named message": "{name: a, files: [ALL], commands: [{run: 'a ${target}', "
    "output: regex, parse_regex: '(?P<path>.*)'}]}",
    "prints the new text": "{name: a, files: [ALL], commands: [{run: 'a ${target}', "
    "output: rewrite}]}",
    "type of files odd is not defined": "{name: a, files: [odd], commands: [{run: 'a ${target}', "
    "output: sarif}]}",
    "one of content": "{name: a, files: [stack], commands: [{run: 'a ${target}', output: sarif}]}",
    "given no files": "{name: a, files: [], commands: [{run: 'a ${target}', output: sarif}]}",
    "for windows": "{name: a, files: [ALL], commands: [{run: 'a ${target}', platforms: [win"
    "dows]}]}",
    "editors": "{name: a, files: [ALL], commands: [{run: 'a ${target}', run_when: [lsp]}]}",
    "switched off": "{name: a, files: [ALL], commands: [{run: 'a ${target}', enabled: false}]}",
    "deprecated": "{name: a, files: [ALL], deprecated: now b, commands: [{run: 'a ${target}'}]}",
    "its variable KEY": "{name: a, files: [ALL], environment: [{name: KEY, value: '${linter}'}], "
    "commands: [{run: 'a ${target}', output: sarif}]}",
    "no valid description": "{name: '1 a', files: [ALL], commands: [{run: 'a ${target}', "
    "output: sarif}]}",
    "is no list of texts": "{name: a, files: python, commands: [{run: 'a ${target}', "
    "output: sarif}]}",
    "is no list of mappings": "{name: a, files: [ALL], commands: a}",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with programs on the path that must not be run."""
    monkeypatch.chdir(tmp_path)
    programs = tmp_path / "programs"
    write_tree(programs, {"spots": "#!/bin/sh\ntouch ran\n", "check-it": "#!/bin/sh\ntouch ran\n"})
    for name in ("spots", "check-it", "codespell"):
        (programs / name).touch()
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def imported(main: Main, *words: object) -> dict[str, Any]:
    """Import as JSON; what is written is valid, and nothing was run."""
    done = main("tool", "import", *words, "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load_schema("cli.tool-import")).validate(document)
    for one in document["written"]:
        assert load_tool(one["file"]).name == one["name"]
    assert not Path("ran").exists()
    return document


def written(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(file).read_text())
    return found


def test_plugins_are_translated(here: Path, main: Main) -> None:
    write_tree(here / "plugins/linters", {"plugin.yaml": TYPES, "spots/plugin.yaml": PLUGIN})
    document = imported(main, "plugins")
    assert not document["left"]
    names = [one["name"] for one in document["written"]]
    assert names == ["server", "spots-fix", "spots-lint", "whole"]
    assert written("tools/spots-lint.json") == {
        "name": "spots-lint",
        "summary": "Looks for spots",
        "install": {"pip": "spots-cli"},
        "files": {
            "languages": ["python"],
            "include": ["*.h", "*.cc", "CODE"],
            "exclude": ["*.pyi"],
        },
        "run": ["spots", "check", "--root=${dir}", "-o", "${output}", "${target}"],
        "output": {
            "format": "lines",
            "pattern": r"(?P<path>.*):(?P<line>\d+):(?P<column>\d+):(?:\w) (?P<message>.+)",
            "from": "file",
        },
        "severities": {
            **dict.fromkeys(("error", "deny"), "error"),
            **dict.fromkeys(("warning", "*"), "warning"),
            **dict.fromkeys(("note", "notice", "info", "allow"), "info"),
        },
        "success_codes": [0, 3],
        "version_command": ["spots", "version", "--short"],
        "code_configs": [".spots", "spots.config.js", "setup.cfg"],
        "environment": ["SPOTS_KEY"],
        "variables": {"LANG": "C"},
        "timeout": 120,
    }
    fix = written("tools/spots-fix.json")
    assert fix["output"] == {"format": "rewrite"}
    assert (fix["success_codes"], fix["error_codes"], fix["batch"]) == ([], [2], 1)
    assert "depends" not in fix
    whole = written("tools/whole.json")
    assert (whole["run"], "files" in whole) == (["whole", "${dir}"], False)
    assert whole["depends"] == "project"
    server = written("tools/server.json")
    assert server["files"] == {"include": ["**/*ci/**/*.yaml"]}
    assert (server["output"]["line_base"], server["batch"]) == (0, 1)


def test_the_same_is_written_each_time(here: Path, main: Main) -> None:
    write_tree(here / "plugins/linters", {"plugin.yaml": TYPES, "spots/plugin.yaml": PLUGIN})
    imported(main, "plugins", "--output", "a")
    imported(main, "plugins", "--output", "b/c")
    texts = [{p.name: p.read_bytes() for p in Path(one).iterdir()} for one in ("a", "b/c")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("reason", LEFT)
def test_what_cannot_be_translated_is_left(here: Path, main: Main, reason: str) -> None:
    plugin = f"lint:\n  definitions:\n    - {LEFT[reason]}\n"
    write_tree(here / "linters", {"plugin.yaml": TYPES, "a/plugin.yaml": plugin})
    document = imported(main, ".")
    assert not document["written"]
    (left,) = document["left"]
    assert reason in left["reason"]


def test_of_several_versions_the_first_is_taken(here: Path, main: Main) -> None:
    command = "{version: %s, name: lint, run: 'a %s ${target}', output: sarif}"
    both = ", ".join(command % pair for pair in (('">=2"', "new"), ('">=1"', "old")))
    plugin = f"lint: {{definitions: [{{name: a, files: [python], commands: [{both}]}}]}}\n"
    write_tree(here / "linters", {"a/plugin.yaml": plugin})
    document = imported(main, ".")
    assert document["left"] == [{"name": "a (>=1)", "reason": "another of that name is translated"}]
    assert written("tools/a.json")["run"] == ["a", "new", "${target}"]


def test_hooks_are_translated(here: Path, main: Main) -> None:
    config = r"""
exclude: ^vendor/
repos:
  - repo: https://example.org/ruff
    rev: v1
    hooks:
      - {id: ruff, args: [--select, 'E,F', --line-length=99], files: ^src/}
      - {id: codespell}
      - {id: other}
  - repo: local
    hooks:
      - id: check.it
        name: Check it
        entry: check-it --fast
        args: [--level, '2']
        language: system
        types_or: [python, pyi]
        exclude: \.gen\.py$
      - {id: all, entry: check-it ., language: python, pass_filenames: false,
         additional_dependencies: [x]}
  - repo: meta
    hooks: [{id: identity}]
"""
    write_tree(here, {".pre-commit-config.yaml": config})
    document = imported(main, ".", "--output", "d")
    assert [one["name"] for one in document["written"]] == ["all", "check-it", "codespell", "ruff"]
    reasons = {one["name"]: one["reason"] for one in document["left"]}
    assert reasons.pop("other") == "its entry is in another repository"
    assert reasons.pop("identity") == "it is about pre-commit itself"
    assert reasons.pop("all").startswith("additional_dependencies are not taken over")
    assert written("d/check-it.json") == {
        "name": "check-it",
        "summary": "Check it",
        "files": {"languages": ["python"], "exclude": ["/vendor/**", "**/*.gen.py"]},
        "run": ["check-it", "--fast", "--level", "2", "${target}"],
        "output": {
            "format": "lines",
            "pattern": written("d/all.json")["output"]["pattern"],
            "code": "check-it",
        },
    }
    assert written("d/all.json")["run"] == ["check-it", "${dir}"]
    assert written("d/all.json")["depends"] == "project"
    packaged = load_tool_document("ruff")
    ruff = written("d/ruff.json")
    added = ["--select", "E,F", "--line-length=99"]
    place = ruff["run"].index("--select")
    assert ruff["run"][place : place + 3] == added
    assert [*ruff["run"][:place], *ruff["run"][place + 3 :]] == packaged["run"]
    assert ruff["files"] == {"include": ["/src/**/*.py"], "exclude": ["/vendor/**"]}
    assert ruff["output"] == packaged["output"]


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("{id: a, entry: absent-program, language: system}", "is not installed here"),
        ("{id: a, entry: bin/check-it, language: system}", "is no installed program"),
        ("{id: a, entry: check-it.*, language: pygrep}", "its language is pygrep"),
        ("{id: a, entry: check-it, language: system, types: [elf]}", "type of files elf"),
        ("{id: a, entry: check-it, language: system, types: [python, executable]}", "several"),
        ("{id: a, entry: check-it, language: system, exclude_types: [python]}", "exclude_types"),
        ("{id: a, entry: check-it, language: system, files: '(?!a)'}", "files cannot be said"),
        (
            f"{{id: a, entry: check-it, language: system, files: '{'(' * 3_000}'}}",
            "files cannot be",
        ),
        (f"{{id: a, entry: check-it, language: system, exclude: '{'a' * 3_000}'}}", "exclude can"),
        ("{id: a, entry: check-it, language: system, exclude: '.*'}", "exclude cannot be said"),
        ("{id: a, entry: check-it, language: system, stages: [commit-msg]}", "its stages are"),
        ("{id: a, entry: check-it, language: system, pass_filenames: false}", "not given files"),
        ("{id: a, entry: 'check-it ${x}', language: system}", "a word with ${"),
        ("{id: ruff, args: [--fix]}", "the argument --fix may change more"),
        ("{id: ruff, args: [--select]}", "the argument --select has no value"),
    ],
)
def test_hooks_that_are_left(here: Path, main: Main, hook: str, reason: str) -> None:
    text = f"repos: [{{repo: local, hooks: [{hook}]}}]\n"
    write_tree(here, {"hooks.yaml": text})
    document = imported(main, "hooks.yaml")
    assert not document["written"]
    (left,) = document["left"]
    assert reason in left["reason"]
    assert len(left["reason"]) <= 500


HOSTILE = {
    "objects": "repos: !!python/object/apply:os.system ['touch ran']\n",
    "merges": "a: &a {x: 1}\nrepos: [{<<: *a}]\n",
    "nesting": "repos: " + "[" * 5000 + "\n",
    "no mapping": "- a\n",
    "not YAML": "repos: [\n",
    "not text": "repos: \udcff\n",
    "too large": "# " + "x" * 2**20,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_an_error(here: Path, main: Main, text: str) -> None:
    (here / ".pre-commit-config.yaml").write_text(text, errors="surrogateescape")
    done = main("tool", "import", ".", "--json")
    assert done.code == 2
    assert json.loads(done.stdout)["error"]["code"] == "TOOL_IMPORT_INVALID"
    assert not (here / "ran").exists()


def test_aliases_do_not_multiply(here: Path, main: Main) -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    steps = (
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in itertools.pairwise(names)
    )
    text = "a: &a [x]\n" + "".join(steps) + "repos: *z\n"
    (here / ".pre-commit-config.yaml").write_text(text)
    (left,) = imported(main, ".")["left"]
    assert left["reason"] == "repos is no list of mappings"


def test_what_is_written_runs(here: Path, main: Main) -> None:
    """A linter of trunk, and a hook that is read as lines, find what ruff finds."""
    plugin = """
lint:
  definitions:
    - name: sarif-ruff
      files: [python]
      commands:
        - name: lint
          run: ruff check --isolated --no-cache --select F --output-format sarif -o ${tmpfile}
            ${target}
          output: sarif
          read_output_from: tmp_file
          success_codes: [0, 1]
          batch: true
          cache_results: true
"""
    hooks = """
repos:
  - repo: local
    hooks:
      - id: lines-ruff
        entry: ruff check --isolated --no-cache --select F --output-format concise --quiet
        language: system
        types: [python]
  - repo: https://example.org/ruff
    hooks: [{id: ruff-check, args: [--select, F]}]
"""
    write_tree(here, {"linters/ruff/plugin.yaml": plugin, "hooks.yaml": hooks})
    write_tree(here / "tree", {"a.py": "import os\n", "b/c.py": "x = y\n", "d.txt": "import os\n"})
    assert not imported(main, ".")["left"]
    assert not imported(main, "hooks.yaml")["left"]
    found = []
    for name in ("sarif-ruff", "lines-ruff", "ruff"):
        where = ("--store", here / "store", "--scheduler", "sync")
        done = main("scan", "tree", "--tool", f"tools/{name}.json", "-q", *where)
        assert done.code == 0, done.err
        rows = json.loads(main("errors", "--json", "--store", here / "store").stdout)
        found.append({(one["path"], one["line"], one["column"], one["code"]) for one in rows})
    assert found[0] == {("a.py", 1, 8, "F401"), ("b/c.py", 1, 5, "F821")}
    assert found[1:] == found[:1] * 2


def test_links_and_pipes_of_a_checkout_are_not_read(here: Path, main: Main) -> None:
    write_tree(here, {"outside/plugin.yaml": PLUGIN})
    (here / "src/linters").mkdir(parents=True)
    (here / "src/linters/spots").symlink_to(here / "outside")
    done = main("tool", "import", "src", "--json")
    assert done.code == 2
    assert json.loads(done.stdout)["error"]["code"] == "TOOL_IMPORT_INVALID"
    os.mkfifo(here / ".pre-commit-config.yaml")
    assert main("tool", "import", ".").code == 2


def test_what_is_there_is_not_overwritten(here: Path, main: Main) -> None:
    write_tree(here, {"linters/plugin.yaml": TYPES, "linters/spots/plugin.yaml": PLUGIN})
    write_tree(here, {"tools/whole.json": "{}"})
    done = main("tool", "import", ".")
    assert done.code == 2
    assert "tools/whole.json is there already" in done.err
    assert os.listdir("tools") == ["whole.json"]


def test_what_people_see(here: Path, main: Main) -> None:
    plugin = f"lint:\n  definitions:\n    - {LEFT['parser']}\n"
    files = {"plugin.yaml": TYPES, "spots/plugin.yaml": PLUGIN, "a/plugin.yaml": plugin}
    write_tree(here / "linters", files)
    lines = main("tool", "import", ".").out.splitlines()
    assert lines[0] == "wrote tools/server.json"
    assert "a     its output goes through a program of the plugin (parser)" in lines
    assert lines[-1] == "next: codebatch scan . --tool tools/server.json"
    (here / "empty").mkdir()
    for source in ("empty", "absent"):
        done = main("tool", "import", source)
        assert (done.code, "nothing to import from" in done.err) == (2, True)
