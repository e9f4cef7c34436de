"""A forge on this machine: clones as its runners make them, and the shell steps of its jobs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from conftest import Outcome, cli_environment, write_tree
from repositories import git

REMOTE = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "team/project"}
BEFORE: dict[str, str | bytes] = {
    "app/main.py": "import os\n\n\ndef main():\n    return 1\n",
    "README.md": "# Project\n",
}
ADDED: dict[str, str | bytes] = {
    "app/main.py": "import os\n\n\ndef main():\n    unused = 1\n    return 1\n",
    "app/new.py": "import sys\n",
}
NEW = {("app/main.py", 5, "L102"), ("app/new.py", 1, "L101")}
_INPUT = re.compile(r"\$\{\{ inputs\.([a-z-]+) \}\}")


@dataclass
class Clone:
    """The clone of a pull request, as a runner has it; ``temp`` is for what steps keep."""

    folder: Path
    temp: Path
    base: str
    head: str
    variables: dict[str, str] = field(default_factory=dict)

    def shell(self, script: str, *words: str, **variables: str) -> Outcome:
        """Run a script as a runner does, with codebatch on the path."""
        environment = cli_environment(**{"CI": "true", **self.variables, **variables})
        environment["PATH"] = f"{self._programs()}:{environment['PATH']}"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", *words, "-c", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def _programs(self) -> Path:
        programs = self.temp.with_name("programs")
        if not programs.exists():
            programs.mkdir()
            program = programs / "codebatch"
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -m codebatch "$@"\n')
            program.chmod(0o755)
        return programs


def pull_request(folder: Path, added: Mapping[str, str | bytes] = ADDED, *words: str) -> Clone:
    """Make a repository whose pull request 1 adds files, and clone the merge that the forge tests;
    ``words`` are options of that clone's fetch.
    """
    origin = folder / "origin"
    write_tree(origin, BEFORE)
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "before")
    base = git(origin, "rev-parse", "HEAD").decode().strip()
    git(origin, "checkout", "-q", "-b", "change")
    write_tree(origin, dict(added))
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "change")
    git(origin, "checkout", "-q", "--detach", "main")
    git(origin, "merge", "-q", "--no-ff", "-m", "merge", "change")
    git(origin, "update-ref", "refs/pull/1/merge", "HEAD")
    git(origin, "checkout", "-q", "main")
    clone, temp = folder / "clone", folder / "temp"
    temp.mkdir()
    clone.mkdir()
    git(clone, "init", "-q")
    git(clone, "remote", "add", "origin", f"file://{origin}")
    refs = ("+refs/heads/*:refs/remotes/origin/*", "+refs/pull/1/merge:refs/remotes/pull/1/merge")
    git(clone, "fetch", "-q", *words, "origin", *(refs[1:] if words else refs))
    git(clone, "checkout", "-q", "--detach", "refs/remotes/pull/1/merge")
    head = git(clone, "rev-parse", "HEAD").decode().strip()
    return Clone(clone, temp, base, head)


def on_github(clone: Clone) -> Clone:
    """Give the clone the environment of a job on GitHub."""
    clone.variables = {
        **REMOTE,
        "GITHUB_ACTIONS": "true",
        "GITHUB_BASE_REF": "main",
        "GITHUB_HEAD_REF": "change",
        "GITHUB_REF": "refs/pull/1/merge",
        "GITHUB_SHA": clone.head,
        "GITHUB_WORKSPACE": str(clone.folder),
        "RUNNER_TEMP": str(clone.temp),
        "GITHUB_STEP_SUMMARY": str(clone.temp / "summary.md"),
        "GITHUB_OUTPUT": str(clone.temp / "output"),
    }
    for name in ("summary.md", "output"):
        (clone.temp / name).touch()
    return clone


def on_gitlab(clone: Clone) -> Clone:
    """Give the clone the environment of a job on GitLab."""
    clone.variables = {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(clone.folder),
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": clone.base,
        "CI_COMMIT_SHA": clone.head,
        "CI_PROJECT_URL": "https://gitlab.com/team/project",
        "CI_PIPELINE_SOURCE": "merge_request_event",
    }
    return clone


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def shell_steps(action: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [step for step in action["runs"]["steps"] if "run" in step]


def run_action(
    action: Mapping[str, Any], clone: Clone, **inputs: str
) -> Iterator[tuple[str, Outcome]]:
    """Run the shell steps of a composite action one after the other, as far as they succeed."""
    given = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
    given.update({name.replace("_", "-"): value for name, value in inputs.items()})
    for step in shell_steps(action):
        if step.get("if") == "inputs.requirement != ''" and not given["requirement"]:
            continue
        environment = {name: _filled(text, given) for name, text in step.get("env", {}).items()}
        done = clone.shell(step["run"], "-e", "-o", "pipefail", **environment)
        yield step["name"], done
        if done.code:
            return


def _filled(text: str, inputs: Mapping[str, str]) -> str:
    """Return the value of an expression, which is an input and nothing else."""
    match = _INPUT.fullmatch(text)
    assert match, text
    return inputs[match[1]]


def run_gitlab(job: Mapping[str, Any], clone: Clone, parts: Sequence[str]) -> Outcome:
    """Run the lines of a job in one shell, as GitLab's runner does."""
    variables = {
        name: value.replace("$CI_PROJECT_DIR", str(clone.folder))
        for name, value in job["variables"].items()
    }
    lines = [line for part in parts for line in job[part]]
    return clone.shell("\n".join(lines), "-e", "-o", "pipefail", **variables)


def copy_of_the_package(folder: Path, repository: Path) -> str:
    """Commit what an installation is built from, and return the commit."""
    for name in ("codebatch", "graphs", "schemas"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(repository / name, folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")
    return git(folder, "rev-parse", "HEAD").decode().strip()


def script_of(step: Mapping[str, Any], folder: Path) -> Path:
    """Write a shell step to a file, for a linter."""
    path = folder / f"{re.sub('[^a-z]+', '-', str(step['name']).lower())}.sh"
    path.write_text(f"#!/bin/bash\nset -eo pipefail\n{step['run']}\n")
    os.chmod(path, 0o755)
    return path
