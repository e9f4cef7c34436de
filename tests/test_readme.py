"""The README's commands print what it says, and its Python runs.

Blocks marked ``console`` are run line by line in one shell per block: what follows ``$ `` is a
command (with its here-document, if it has one), everything else is expected output. Ids, digests
and times follow from tool versions and the clock; they are compared by form only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from codebatch.cli import cli

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIABLE = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"\b(snap|batch)-[0-9a-f]{16}\b"), r"<\1>"),
    (re.compile(r"\b\d+\.\d s\b"), "<seconds>"),
)


class Command(NamedTuple):
    """A command with the lines it is documented to print."""

    text: str
    output: str


def blocks(language: str) -> list[str]:
    return [match[2] for match in _BLOCK.finditer(TEXT) if match[1] == language]


def commands(block: str) -> Iterator[Command]:
    lines = block.splitlines()
    while lines:
        text = [lines.pop(0).removeprefix("$ ")]
        if marker := re.search(r"<<'(\w+)'$", text[0]):
            while text[-1] != marker[1]:
                text.append(lines.pop(0))
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        yield Command("\n".join(text), "\n".join(output))


def normal(output: str) -> str:
    for pattern, form in _VARIABLE:
        output = pattern.sub(form, output)
    return output.strip()


class Shell:
    """Runs commands in one folder; what ``export`` sets holds for later commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CODEBATCH_", "DASK_"))
        }
        self.environment["COLUMNS"] = "100"

    def run(self, command: str) -> str:
        here = f"codebatch() {{ '{sys.executable}' -m codebatch \"$@\"; }}\n"
        exported = re.match(r"export (\w+)=", command)
        if exported:
            command += f'; printf %s "${exported[1]}"'
        done = subprocess.run(
            ["bash", "-c", here + command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if exported:
            self.environment[exported[1]] = done.stdout
            return ""
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in which every console block was run, its output compared on the way."""
    shell = Shell(tmp_path_factory.mktemp("readme"))
    for block in blocks("console"):
        for command in commands(block):
            assert normal(shell.run(command.text)) == normal(command.output), command.text
    return shell


def test_console_blocks(shell: Shell) -> None:
    assert (shell.folder / "work" / "store.json").is_file()


def test_result_digest_is_the_same_wherever_it_is_printed() -> None:
    full = re.findall(r"^  result   (\S+)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(full) > 2
    assert len(set(full)) == 1


def test_python_blocks(shell: Shell) -> None:
    assert blocks("python")
    for block in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            cwd=shell.folder,
            env=shell.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("done ")


def test_every_command_is_in_the_table() -> None:
    table = TEXT[TEXT.index("## Commands") : TEXT.index("### JSON")]
    documented = {name.split()[0] for name in re.findall(r"`([^`]+)`", table)}
    assert set(cli.commands) <= documented
    rows = re.findall(r"^\| (`.*?) \|", table[: table.index("`codebatch COMMAND --help`")], re.M)
    claimed = {name.split()[0] for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert claimed <= set(cli.commands)


def test_links_point_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", TEXT):
        assert (README.parent / target).exists(), target
