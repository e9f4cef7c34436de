"""The examples of ``docs/transforming.md``, and that they do what their programs do directly."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Outcome

from codebatch.tasks.tools.program import find_program

Main = Callable[..., Outcome]

PAGE = (REPOSITORY / "docs/transforming.md").read_text(encoding="utf-8")
EXAMPLES = {
    json.loads(text)["name"]: json.loads(text)
    for text in re.findall(r"^\{\n.*?^\}$", PAGE, re.MULTILINE | re.DOTALL)
}
(CODEMOD,) = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TREE = {
    "pkg/cart.py": b"import os\r\nimport sys\r\n\r\nprint('{}'.format(sys.argv))  # a Cart\r\n",
    "pkg/deep/shop.py": b"import json, os\n\n\nclass Cart:\n    x = json\n",
    "broken.py": b"def f(:\n",
    "web/price.ts": b"let one = 1;\nexport function f() {\n  let two = one;  return two\n}\n",
    "web/view.js": b"var a = {b:1}\n",
}


def write(folder: Path) -> Path:
    for name, content in TREE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def selected(example: dict[str, Any]) -> list[str]:
    ends = {"python": ".py", "typescript": ".ts", "javascript": ".js"}
    wanted = tuple(ends[one] for one in example["files"]["languages"] if one in ends)
    return [name for name in TREE if name.endswith(wanted)]


def test_the_page_has_examples() -> None:
    assert {*EXAMPLES} == {"ruff-fix", "biome-write", "const"}


@pytest.mark.parametrize("name", ["ruff-fix", "biome-write", "const"])
def test_what_is_applied_is_what_the_program_does(name: str, main: Main, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    program = find_program(example["run"][0])
    if not program:
        pytest.skip(f"{example['run'][0]} is not installed")
    direct, tree = write(tmp_path / "direct"), write(tmp_path / "tree")
    words = [program, *example["run"][1:-1], *selected(example)]
    subprocess.run(words, cwd=direct, capture_output=True, check=False)
    assert contents(direct) != TREE
    (tmp_path / "tool.json").write_text(json.dumps(example))
    store = ("--store", tmp_path / "store")
    done = main("scan", tree, "--tool", tmp_path / "tool.json", "--scheduler", "sync", *store)
    assert done.code == 0, done
    diff = main("export", "--format", "patch", *store).stdout
    assert main("apply", tree, *store).code == 0
    assert contents(tree) == contents(direct)
    other = write(tmp_path / "other")
    subprocess.run(["git", "apply", "-"], input=diff, cwd=other, check=True)
    assert contents(other) == contents(direct)


def test_a_codemod_of_a_library(main: Main, tmp_path: Path) -> None:
    pytest.importorskip("libcst", reason="libcst is not installed")
    tree = write(tmp_path / "tree")
    (tmp_path / "rename.py").write_text(CODEMOD, encoding="utf-8")
    command = (*(sys.executable, "-m", "codebatch"), "scan", "tree", "--task", "rename.py:rename")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CODEBATCH_")}
    subprocess.run(
        [*command, "--store", "store"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    store = ("--store", tmp_path / "store")
    assert main("apply", tree, *store).code == 0
    expected = TREE["pkg/deep/shop.py"].replace(b"Cart", b"Basket")
    assert contents(tree) == {**TREE, "pkg/deep/shop.py": expected}
    explained = main("explain", "--task", "rename", "--file", "shop.py", "--json", *store).out
    assert "libcst" in explained
    shutil.rmtree(tmp_path / "store")
