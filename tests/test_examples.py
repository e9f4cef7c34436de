"""The examples hold: notebooks give what is committed, what they show is shown, scripts run."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browsers import Browser
from conftest import REPOSITORY, cli_environment, write_tree
from repositories import git_init

nbformat = pytest.importorskip("nbformat")
notebooks = pytest.importorskip("notebooks")

EXAMPLES = REPOSITORY / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PAGES = ("README.md", *(one.name for one in (*notebooks.NOTEBOOKS, *SCRIPTS)))
HARD = "def hard(a):\n    if a and a:\n        return 1\n    return 2\n\n\ndef easy():\n    pass\n"
OF_A_MACHINE = re.compile(r"/(tmp|home|root|usr|dev|work|var)/|\b20(?!26-01-01)\d\d-\d\d-\d\d")
HOST = re.compile(r"https?://(?!click\.palletsprojects\.com)")


def named(path: Path) -> str:
    return path.name


def test_the_index_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in PAGES[1:] if f"]({name})" not in text] == []
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_file()) == sorted(PAGES)


@pytest.mark.parametrize("notebook", notebooks.NOTEBOOKS, ids=named)
def test_nothing_of_a_machine_is_committed(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    document = nbformat.reads(text, as_version=4)
    nbformat.validate(document)
    for _, _, data in notebooks.outputs(document):
        assert not {"stderr", "error"} & data.keys()
        for shown in (text for kind, text in data.items() if not kind.startswith("image/")):
            assert not OF_A_MACHINE.search(shown)
            assert socket.gethostname() not in shown
    assert not HOST.search("\n".join(cell.source for cell in document.cells))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", notebooks.NOTEBOOKS, ids=named)
def test_a_notebook_gives_what_is_committed(
    notebook: Path, tmp_path: Path, browser: Browser
) -> None:
    """``python tests/notebooks.py`` writes what they give. It is compared without ids and digests,
    which follow from the versions of tools, without the pixels of figures, which follow from that
    of matplotlib, and of cells with the tag ``varies``, which look at installed packages, by kind.
    """
    found = notebooks.run(notebook)
    committed = nbformat.read(notebook, as_version=4)
    assert notebooks.forms(found) == notebooks.forms(committed)
    for _, _, data in notebooks.outputs(found):
        if "image/png" in data:
            assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    looked_at(browser, notebooks.page(found), tmp_path)


def looked_at(browser: Browser, text: str, folder: Path) -> None:
    """Show a page light and dark, wide and narrow: nothing goes wrong, and nothing is asked for."""
    page = folder / "outputs.html"
    page.write_text(text, encoding="utf-8")
    tab: Any = browser.open(page)
    for dark in (False, True):
        for width in (1440, 390):
            tab.show_as(width=width, dark=dark)
            tab.settle()
            name = f"{'dark' if dark else 'light'}-{width}.png"
            assert tab.screenshot(folder / name, whole=True).stat().st_size > 1_000
    assert tab.evaluate("[...document.images].every(it => it.complete && it.naturalWidth > 0)")
    assert (tab.problems, tab.requests) == ([], [])
    tab.close()


def run(script: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", script, *arguments],
        cwd=folder,
        env=cli_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_gate_fails_for_what_is_new(tmp_path: Path) -> None:
    project = write_tree(tmp_path / "project", {"a.py": "x = 1\n", ".gitignore": "*.sarif\n"})
    git_init(project)
    script = EXAMPLES / "gate.py"
    same = run(script, project, ".", "HEAD")
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout == "0 new, 0 fixed, 0 too severe\n"
    write_tree(project, {"a.py": "import os\n\nx = 1\n"})
    worse = run(script, project, ".", "HEAD")
    assert worse.returncode == 1
    assert worse.stdout.splitlines() == [
        "a.py:1: warning `os` imported but unused",
        "1 new, 0 fixed, 1 too severe",
    ]
    assert '"2.1.0"' in (project / "findings.sarif").read_text()
    wrong = run(script, project, ".", "nothing")
    assert wrong.returncode == 2
    assert wrong.stdout.startswith("REVISION_NOT_FOUND: ")


@pytest.mark.slow
def test_the_most_complex_functions_are_listed(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"pkg/a.py": HARD})
    done = run(EXAMPLES / "top_functions.py", tmp_path, "tree", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "   3  pkg/a.py:1  def hard(a):\n"
