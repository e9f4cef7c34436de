"""Whatever is edited in a package, the records of tools are those of a run from nothing.

``HISTORIES`` says how many random histories are tried, ``HISTORIES_SEED`` which.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from conftest import Note
from corpora import wheel

import codebatch
from codebatch.tasks.tools.catalogue import described, load_tool
from codebatch.tasks.tools.program import MISSING, version_of

TOOLS = ("ruff", "bandit", "codespell", "mypy")
NEW_LINES = (
    *("import os\n", "x: int = 'text'\n", "assert True\n", "# teh word\n", "def f(a): return a\n"),
    *("try:\n    pass\nexcept Exception:\n    pass\n", "eval('1')\n", "class A: ...\n", "  bad\n"),
)


def edit(tree: Path, chance: random.Random) -> None:
    """Change, add, remove, move or copy a file; an `__init__.py` may come or go with it."""
    files = sorted(path for path in tree.rglob("*.py") if path.is_file())
    one = chance.choice(files)
    what = chance.choice(["insert", "insert", "insert", "delete line", "add", "remove", "move"])
    if what == "insert":
        lines = one.read_text().splitlines(keepends=True)
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(NEW_LINES))
        one.write_text("".join(lines))
    elif what == "delete line":
        lines = one.read_text().splitlines(keepends=True)
        if lines:
            del lines[chance.randrange(len(lines))]
        one.write_text("".join(lines))
    elif what == "add":
        folder = one.parent / chance.choice(["", "new", "new/deep"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"added{chance.randrange(3)}.py").write_text(chance.choice(NEW_LINES))
    elif what == "remove" and len(files) > 3:
        one.unlink()
    elif what == "move":
        one.rename(one.with_name(f"moved{chance.randrange(3)}.py"))


@pytest.mark.slow
def test_random_histories(tmp_path: Path, note: Note) -> None:
    here = [t for t in TOOLS if version_of(described(load_tool(t).config)) != MISSING]
    assert "ruff" in here
    package = wheel(tmp_path / "package", "itsdangerous==2.2.0")
    number = int(os.environ.get("HISTORIES", "6"))
    seed = os.environ.get("HISTORIES_SEED", "20261130")
    compared = 0
    for history in range(number):
        chance = random.Random(f"{seed} {history}")
        tree = tmp_path / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(package, tree)
        for _ in range(chance.randrange(1, 4)):
            edit(tree, chance)
            warm, _ = codebatch.scan(tree, tmp_path / "warm", tasks=here, scheduler="sync")
        clean, _ = codebatch.scan(tree, tmp_path / "clean", tasks=here, scheduler="sync")
        assert warm.id == clean.id
        assert warm.summary()["result"] == clean.summary()["result"], f"history {history}"
        shutil.rmtree(tmp_path / "clean")
        compared += 1
    note(f"histories of tools {', '.join(here)}: {compared} equal, seed {seed}")
