"""The manual holds: its commands print what it says, its Python runs, its links lead somewhere.

Blocks marked ``console`` of the README and of every page in ``docs/`` are run line by line: what
follows ``$ `` is a command (with its here-document, if it has one), everything else is expected
output. Each page starts in a copy of the folder that the README's quick start leaves. Ids, digests,
ages and times follow from tool versions and the clock; they are compared by form only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import tool_table
from conftest import REPOSITORY

from codebatch.cli import cli
from codebatch.cli.commands.describe import iter_commands
from codebatch.cli.root import SECTIONS

ROOT = REPOSITORY
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), ROOT / "deploy/README.md"]
COMMANDS_PAGE = (DOCS / "commands.md").read_text(encoding="utf-8")
QUICK_START = "## Quick start"
README_LINES = 250
SLOW_PAGES = frozenset(
    "asking comparing findings pipelines reuse steps store tasks tools transforming".split()
)

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIABLE = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"\b(snap|batch)-[0-9a-f]{16}\b"), r"<\1>"),
    (re.compile(r"\b\d+\.\d s\b"), "<seconds>"),
    (re.compile(r"\bjust now\b|\b\d+ [a-z]+ ago\b"), "<ago>"),
)


class Command(NamedTuple):
    """A command with the lines it is documented to print."""

    text: str
    output: str


def blocks(text: str, language: str) -> list[str]:
    return [match[2] for match in _BLOCK.finditer(text) if match[1] == language]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def having(language: str) -> list[Any]:
    """The pages with blocks of a language, those whose commands take long marked as slow."""
    return [
        pytest.param(page, marks=pytest.mark.slow) if page.stem in SLOW_PAGES else page
        for page in PAGES
        if blocks(page.read_text(encoding="utf-8"), language)
    ]


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

    def follow(self, text: str) -> None:
        """Run every console block of a text and compare what it prints."""
        for block in blocks(text, "console"):
            for command in commands(block):
                assert normal(self.run(command.text)) == normal(command.output), command.text


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the quick start leaves."""
    shell = Shell(tmp_path_factory.mktemp("start"))
    shell.follow(quick_start())
    return shell.folder


@pytest.fixture(scope="module")
def follow(started: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Shell]:
    """A function that gives the shell in which a page was followed; each page is run once."""
    shells: dict[Path, Shell] = {}

    def followed(page: Path) -> Shell:
        if page not in shells:
            folder = tmp_path_factory.mktemp(page.stem) / "folder"
            shutil.copytree(started, folder)
            shells[page] = Shell(folder)
            text = page.read_text(encoding="utf-8")
            shells[page].follow(text.replace(quick_start(), ""))
        return shells[page]

    return followed


def quick_start() -> str:
    text = PAGES[0].read_text(encoding="utf-8")
    return QUICK_START + text.partition(QUICK_START)[2].partition("\n## ")[0]


@pytest.mark.parametrize("page", having("console"), ids=named)
def test_console_blocks(page: Path, follow: Callable[[Path], Shell]) -> None:
    assert (follow(page).folder / ".codebatch/store.json").is_file()


@pytest.mark.parametrize("page", having("python"), ids=named)
def test_python_blocks(page: Path, follow: Callable[[Path], Shell]) -> None:
    shell = follow(page)
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        script = shell.folder / "block.py"  # as a notebook has it: what it defines has a source
        script.write_text(block, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=shell.folder,
            env=shell.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("done ")


def test_result_digest_is_the_same_wherever_it_is_printed() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    full = re.findall(r"^  result   (\S+)$", text, re.MULTILINE)
    assert len(full) > 2
    assert len(set(full)) == 1


# -- commands --------------------------------------------------------------------------------------


def sections(text: str) -> dict[str, list[str]]:
    """The commands in the first column of the table below each heading."""
    found: dict[str, list[str]] = {}
    for section in text.split("\n## ")[1:]:
        rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        found[section.partition("\n")[0]] = [n for r in rows for n in re.findall(r"`([^`]+)`", r)]
    return found


def test_the_manual_has_every_command_below_its_heading_of_the_help() -> None:
    tables = {h: names for h, names in sections(COMMANDS_PAGE).items() if h in SECTIONS}
    first_words = {h: list(dict.fromkeys(n.split()[0] for n in ns)) for h, ns in tables.items()}
    assert list(first_words.items()) == [(h, list(names)) for h, names in SECTIONS.items()]


def test_the_manual_has_every_subcommand() -> None:
    documented = {name for names in sections(COMMANDS_PAGE).values() for name in names}
    for name, _ in iter_commands(cli):
        assert any(f"{one} ".startswith(f"{name} ") for one in documented), name


def test_options_of_the_manual_exist() -> None:
    offered = {
        option
        for command in (cli, *(command for _, command in iter_commands(cli)))
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    rows = sections(COMMANDS_PAGE)["Options"]
    documented = {word for name in rows for word in name.split() if word.startswith("-")}
    assert documented
    assert documented <= offered


def test_help_lists_each_command_once_below_its_heading() -> None:
    # click keeps the help option that it made for the first context.
    settings = {**cli.context_settings, "max_content_width": 200}
    text = cli.get_help(click.Context(cli, info_name="codebatch", **settings))
    found = {}
    for heading in SECTIONS:
        section = text.partition(f"\n{heading}:\n")[2].partition("\n\n")[0]
        found[heading] = re.findall(r"^  (\S+)  +\S", section, re.MULTILINE)
    assert found == {heading: list(names) for heading, names in SECTIONS.items()}
    assert sorted(name for names in found.values() for name in names) == sorted(cli.commands)


# -- the texts -------------------------------------------------------------------------------------


def test_readme_is_short_and_in_order() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        *("Install", "Quick start", "How it works", "Asking and comparing", "Your own tasks"),
        *("In CI", "Python and Jupyter", "A cluster", "Promises and limits", "Links"),
    ]


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"README.md"}


def test_the_manual_has_every_packaged_tool() -> None:
    """``python tests/tool_table.py`` writes the table."""
    assert tool_table.PAGE.read_text(encoding="utf-8").endswith(tool_table.HEAD + tool_table.rows())


def anchors(text: str) -> set[str]:
    """The anchors that headings have on GitHub."""
    headings = re.findall(r"^#+ (.*)$", re.sub(_BLOCK, "", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_point_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target


@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if one.name != "CHANGELOG.md"], ids=named
)
def test_paths_of_the_code_exist(document: Path) -> None:
    """What a text names in backticks below a folder of the repository; ``<name>`` is any name."""
    bases = [ROOT, ROOT / "codebatch", ROOT / "tests", document.parent]
    folders = {one.name for base in bases[:2] for one in base.iterdir() if one.is_dir()} - {".git"}
    for name in re.findall(r"`([\w.*<>/-]+/[\w.*<>/-]*)`", document.read_text(encoding="utf-8")):
        if name.partition("/")[0] in folders:
            pattern = re.sub(r"<\w+>", "*", name).rstrip("/")
            assert any(any(base.glob(pattern)) for base in bases), name


def test_contributing_names_every_folder_of_the_package() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `codebatch/(\w+)/` \|", text, re.MULTILINE)
    picture = text[text.index("```\n  faces") : text.index("Data flows")]
    folders = {one.name for one in (ROOT / "codebatch").iterdir() if (one / "__init__.py").exists()}
    assert sorted(table) == sorted(folders)
    assert all(re.search(rf"\b{folder}\b", picture) for folder in folders)
